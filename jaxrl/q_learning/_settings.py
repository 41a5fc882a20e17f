"""Settings that several agents which learn action values have, in groups to inherit from."""

from jaxrl.networks.settings import ValueNetworkSettings
from jaxrl.settings import MAX_STEPS, default_network, number, settings, static


@settings
class TargetSettings:
    """How the target networks follow, and how often."""

    tau: float = number(0.005, minimum=0, maximum=1, open_minimum=True)
    """Share of the learning network in each change of its target; 1 copies it."""
    target_period: int = static(1, minimum=1, maximum=MAX_STEPS)
    """Updates between two changes of the targets."""


@settings
class ActionValueSettings(ValueNetworkSettings):
    """The network of the values of discrete actions."""

    hidden_sizes: tuple[int, ...] = static((120, 84), minimum=1, maximum=2**20)
    """Widths of the dense layers."""
    dueling: bool = static(False, needs=default_network())
    """A state's value and the actions' advantages are learnt apart."""

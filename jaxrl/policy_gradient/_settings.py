"""Settings that several policy-gradient agents have, in groups to inherit from.

An agent's class lists its groups in reverse: of `class XConfig(SharedNetworkSettings,
OnPolicySettings)` the fields of `OnPolicySettings` come first.
"""

from jaxrl.learning.normalization import NormalizationSettings
from jaxrl.learning.optimizers import OptimizerSettings
from jaxrl.loops.rollouts import RolloutSettings, num_rollouts
from jaxrl.networks import TorsoSettings
from jaxrl.settings import number, settings, static


@settings
class NetworkSettings(TorsoSettings):
    """The networks, and the noise of continuous actions."""

    state_dependent_exploration: bool = static(False)
    """gSDE: noise that depends on the state and lasts for several steps; Box actions only."""
    noise_interval: int = static(8, minimum=1)
    """Steps for which gSDE keeps its noise matrix."""
    initial_log_std: float = number(0.0, minimum=-20.0, maximum=20.0)
    """Logarithm of the standard deviation of Box actions at the start."""
    rescale_actions: bool = static(False)
    """Scale the policy's actions from -1 .. 1 to the bounds of a Box, which must be finite."""


@settings
class SharedNetworkSettings:
    """The parts of the network that actor and critic may share, its memory among them."""

    shared_torso: bool = static(False)
    """One feature extractor for actor and critic instead of one each."""
    core: str = static("none", choices=("none", "gru"))
    """gru: a memory between feature extractor and output layers, for what cannot be seen at once;
    minibatches are then of sequences."""
    core_size: int = static(64, minimum=1, maximum=2**20)
    """Width of the memory."""
    shared_core: bool = static(True)
    """One memory for actor and critic instead of one each, which takes nearly twice the time; the
    critic's own features, if it has some, go to the value beside the memory."""
    sequence_length: int = static(0, minimum=0)
    """Steps through which gradients pass back: each rollout is learnt from in sequences of as many,
    side by side, which begin with what the actor remembered there. Must divide num_steps; 0: whole
    rollouts."""


@settings
class PolicyGradientSettings(NetworkSettings, OptimizerSettings, RolloutSettings):
    """How much is collected, what it is worth, and how a network learns from it."""

    gae_lambda: float = number(0.95, minimum=0, maximum=1)
    """Trades bias (0) for variance (1) in the advantage; 1: returns of up to num_steps rewards."""

    @property
    def num_updates(self) -> int:
        """How many rollouts a run learns from."""
        return num_rollouts(self)


@settings
class OnPolicySettings(NormalizationSettings, PolicyGradientSettings):
    """The same, of one learner that may see all of it standardised."""

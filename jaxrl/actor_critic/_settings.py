"""Settings that DDPG, TD3 and SAC have in common, in groups to inherit from."""

from jaxrl.learning.optimizers import ConstantOptimizerSettings
from jaxrl.loops.replays import ReplaySettings
from jaxrl.networks import ValueNetworkSettings
from jaxrl.settings import BOX_ACTIONS, MAX_STEPS, default_network, number, settings, static


@settings
class ActorCriticSettings(ValueNetworkSettings, ConstantOptimizerSettings, ReplaySettings):
    """What DDPG, TD3 and SAC have in common."""

    learning_rate: float = number(1e-3, minimum=0, open_minimum=True)
    """The critics' step size at the start."""
    actor_learning_rate: float | None = number(None, minimum=0, open_minimum=True, optional=True)
    """The actor's step size at the start; None: the critics'."""
    max_gradient_norm: float | None = number(None, minimum=0, open_minimum=True, optional=True)
    """The critics' gradient is scaled down to this Euclidean norm; None: never."""
    tau: float = number(0.005, minimum=0, maximum=1, open_minimum=True)
    """Share of the learning network in each change of its target; 1 copies it."""
    policy_delay: int = static(1, minimum=1, maximum=MAX_STEPS)
    """Updates of the critics for each of the actor and of the targets."""
    policy: str = static("default")
    """The actor: default, or the name under which register_network knows one of one's own."""
    critic: str = static("default")
    """The critics: default, or the name under which register_network knows one of one's own."""
    action_layer: int = static(0, minimum=0, needs=(default_network("critic"), BOX_ACTIONS))
    """The critics' dense layer that the action enters; 0: the first, beside the observation."""


@settings
class DeterministicSettings(ActorCriticSettings):
    """What DDPG and TD3 have in common: how a deterministic policy explores."""

    noise: str = static("gaussian", choices=("gaussian", "ornstein-uhlenbeck", "parameter"))
    """Added to the actions, afresh or with inertia, or to the policy's parameters."""
    noise_scale: float = number(0.1, minimum=0)
    """Of an action's deviation, in half the width of the bounds; of ornstein-uhlenbeck, sigma."""
    noise_reversion: float = number(0.15, minimum=0, needs=("noise", "ornstein-uhlenbeck"))
    """Theta: how fast the noise goes back to 0."""
    noise_time_step: float = number(
        0.01, minimum=0, open_minimum=True, needs=("noise", "ornstein-uhlenbeck")
    )
    """Duration of one environment step for the noise."""

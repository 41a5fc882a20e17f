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
    action_layer: int = static(0, minimum=0, needs=(default_network("critic"), BOX_ACTIONS))
    """The critics' dense layer that the action enters; 0: the first, beside the observation."""


@settings
class ActionNoiseSettings:
    """How a deterministic policy explores."""

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


@settings
class SoftSettings(ActorCriticSettings):
    """What a policy is paid for its entropy, and how it explores."""

    num_critics: int = static(2, minimum=1, maximum=100)
    """Critics of which the least counts; 1: no twin."""
    initial_temperature: float = number(1.0, minimum=0, open_minimum=True)
    """Alpha, what a nat of entropy is worth: at the start, or for ever where it is not learnt."""
    learn_temperature: bool = static(True)
    """Let the temperature seek the target entropy."""
    target_entropy: float | None = number(None, optional=True, needs=("learn_temperature", True))
    """In nats, of actions scaled to -1 .. 1; None: minus their number, or .98 log K, with K the
    number of actions that are allowed where there are masks."""
    state_dependent_exploration: bool = static(False, needs=BOX_ACTIONS)
    """Noise that is a function of the state for some steps (gSDE)."""
    noise_interval: int = static(8, minimum=1, needs=("state_dependent_exploration", True))
    """Steps for which that function is kept, and at most until the episode's end."""
    initial_log_std: float = number(
        -3.0, needs=(("state_dependent_exploration", True), default_network("policy"))
    )
    """Logarithm of the deviations at the start."""

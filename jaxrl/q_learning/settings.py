"""Settings that several agents which learn action values have, in groups to inherit from."""

from collections.abc import Callable

from jaxtyping import Array

from jaxrl.budget import MAX_STEPS
from jaxrl.networks import ACTIVATIONS, TorsoSettings
from jaxrl.normalization import ObservationNormalizationSettings
from jaxrl.optimization import OptimizerSettings
from jaxrl.settings import number, settings, static


@settings
class ReplaySettings(ObservationNormalizationSettings):
    """How much is collected, how much of it is kept, and how often it is learnt from."""

    total_steps: int = static(100_000, minimum=1, maximum=MAX_STEPS)
    """Budget in environment steps, all environments together, the random steps included."""
    num_envs: int = static(1, minimum=1)
    """Environments stepped side by side."""
    num_steps: int = static(1, minimum=1)
    """Steps of each environment in an iteration."""
    num_updates: int = static(1, minimum=1)
    """Updates in an iteration; one per environment step where it is num_envs * num_steps."""
    random_steps: int = static(1_000, minimum=0, maximum=MAX_STEPS)
    """Environment steps with random actions before the first update."""
    buffer_size: int = static(100_000, minimum=1, maximum=MAX_STEPS)
    """Transitions that the replay keeps, of all environments together."""
    batch_size: int = static(256, minimum=1, maximum=2**24)
    """Transitions of each update."""
    discount: float = number(0.99, minimum=0, maximum=1)
    """Gamma, the worth of a reward one step later."""
    n_step: int = static(1, minimum=1, maximum=10_000)
    """Rewards that are summed before the successor's value counts."""
    prioritized: bool = static(False)
    """Replay what surprised most more often (Schaul et al. 2016) instead of everything alike."""
    priority_exponent: float = number(0.6, minimum=0, maximum=1)
    """Alpha: how much more often a greater error is replayed; 0: not at all."""
    importance_exponent: float = number(0.4, minimum=0, maximum=1)
    """Beta at the start, 1 at the end: how far the loss makes up for it; 1: wholly."""


@settings
class SoftTargetSettings:
    """How the target networks follow."""

    tau: float = number(0.005, minimum=0, maximum=1, open_minimum=True)
    """Share of the learning network in each change of its target; 1 copies it."""


@settings
class TargetSettings(SoftTargetSettings):
    """How the target networks follow, and how often."""

    target_period: int = static(1, minimum=1, maximum=MAX_STEPS)
    """Updates between two changes of the targets."""


@settings
class QOptimizerSettings(OptimizerSettings):
    """How a gradient becomes a step."""

    learning_rate: float = number(3e-4, minimum=0, open_minimum=True)
    """The optimiser's step size at the start."""
    learning_rate_schedule: str | Callable[[Array], Array] = static(
        "constant", choices=("constant", "linear")
    )
    """constant, linear (to zero over the run), or an optax schedule (a factor per iteration)."""
    optimizer_epsilon: float = number(1e-8, minimum=0, open_minimum=True)
    """Added to the root of the optimiser's second moment."""
    max_gradient_norm: float | None = number(None, minimum=0, open_minimum=True, optional=True)
    """The whole gradient is scaled down to this Euclidean norm; None: never."""


@settings
class QNetworkSettings(TorsoSettings):
    """The networks."""

    hidden_sizes: tuple[int, ...] = static((256, 256), minimum=1, maximum=2**20)
    """Widths of the dense layers."""
    activation: str = static("relu", choices=tuple(ACTIVATIONS))
    """Elementwise function between layers."""
    layer_norm: bool = static(False)
    """Normalise each layer before its activation (Ba et al. 2016)."""


@settings
class ActorCriticSettings(QNetworkSettings, SoftTargetSettings, QOptimizerSettings, ReplaySettings):
    """What DDPG, TD3 and SAC have in common."""

    learning_rate: float = number(1e-3, minimum=0, open_minimum=True)
    """The critics' step size at the start."""
    actor_learning_rate: float | None = number(None, minimum=0, open_minimum=True, optional=True)
    """The actor's step size at the start; None: the critics'."""
    max_gradient_norm: float | None = number(None, minimum=0, open_minimum=True, optional=True)
    """The critics' gradient is scaled down to this Euclidean norm; None: never."""
    policy_delay: int = static(1, minimum=1, maximum=MAX_STEPS)
    """Updates of the critics for each of the actor and of the targets."""
    action_layer: int = static(0, minimum=0)
    """The critics' dense layer that the action enters; 0: the first, beside the observation."""


@settings
class ActionNoiseSettings:
    """How a deterministic policy explores."""

    noise: str = static("gaussian", choices=("gaussian", "ornstein-uhlenbeck", "parameter"))
    """Added to the actions, afresh or with inertia, or to the policy's parameters."""
    noise_scale: float = number(0.1, minimum=0)
    """Of an action's deviation, in half the width of the bounds; of ornstein-uhlenbeck, sigma."""
    noise_reversion: float = number(0.15, minimum=0)
    """Theta of ornstein-uhlenbeck: how fast its noise goes back to 0."""
    noise_time_step: float = number(0.01, minimum=0, open_minimum=True)
    """Duration of one environment step, for ornstein-uhlenbeck."""


@settings
class ActionValueSettings(QNetworkSettings):
    """The network of the values of discrete actions."""

    hidden_sizes: tuple[int, ...] = static((120, 84), minimum=1, maximum=2**20)
    """Widths of the dense layers."""
    dueling: bool = static(False)
    """A state's value and the actions' advantages are learnt apart; of the default network."""


@settings
class SoftSettings(ActorCriticSettings):
    """What a policy is paid for its entropy, and how it explores."""

    num_critics: int = static(2, minimum=1, maximum=100)
    """Critics of which the least counts; 1: no twin."""
    initial_temperature: float = number(1.0, minimum=0, open_minimum=True)
    """Alpha, what a nat of entropy is worth: at the start, or for ever where it is not learnt."""
    learn_temperature: bool = static(True)
    """Let the temperature seek the target entropy."""
    target_entropy: float | None = number(None, optional=True)
    """In nats, of actions scaled to -1 .. 1; None: minus their number, or .98 log K, with K the
    number of actions that are allowed where there are masks."""
    state_dependent_exploration: bool = static(False)
    """Noise that is a function of the state for some steps (gSDE), for Box actions."""
    noise_interval: int = static(8, minimum=1)
    """Steps for which that function is kept, and at most until the episode's end."""
    initial_log_std: float = number(-3.0)
    """Logarithm of the deviations at the start, of state-dependent exploration."""

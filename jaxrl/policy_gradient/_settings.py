"""Settings that several policy-gradient agents have, in groups to inherit from.

An agent's class lists its groups in reverse: `class XConfig(NetworkSettings, OptimizerSettings,
OnPolicySettings)` has the fields of `OnPolicySettings` first.
"""

from typing import Any

import jax

from jaxrl.loops.rollouts import RolloutSettings
from jaxrl.networks import TorsoSettings
from jaxrl.settings import (
    BOX_ACTIONS,
    MAX_STEPS,
    Need,
    Surroundings,
    default_network,
    number,
    settings,
    static,
    unless,
)
from jaxrl.types import RecurrentNetwork

_DEFAULT = default_network()


def _remembers(config: Any, surroundings: Surroundings | None) -> bool:
    """Whether the network has a memory, the default one or the user's."""
    if surroundings is None or config.core != "none":
        return True
    network = surroundings.networks["network"]
    return isinstance(network, RecurrentNetwork) and bool(
        jax.tree.leaves(jax.eval_shape(network.start))
    )


_MEMORY = Need("core='gru', or a network of one's own with memory", _remembers, fields=("core",))


@settings
class OnPolicySettings(RolloutSettings):
    """How much is collected, and what it is worth."""

    gae_lambda: float = number(0.95, minimum=0, maximum=1, needs=unless("num_steps", 1))
    """Trades bias (0) for variance (1) in the advantage; 1: returns of up to num_steps rewards."""


@settings
class WholeEpisodeSettings:
    """How many whole episodes are collected, and what each of their actions is credited with."""

    total_steps: int = static(200_000, minimum=1, maximum=MAX_STEPS)
    """Budget in environment steps, all episodes together."""
    num_episodes: int = static(8, minimum=1)
    """Whole episodes played side by side for each update."""
    discount: float = number(0.99, minimum=0, maximum=1)
    """Gamma, the worth of a reward one step later."""
    credit: str = static("reward_to_go", choices=("total", "reward_to_go"))
    """An action's weight: the episode's whole return, or what came from the action on."""
    discount_time: bool = static(False, needs=("credit", "reward_to_go"))
    """Weigh step t by discount^t: the discounted objective's true gradient; few do it in practice.

    The whole return is discounted from the episode's start as it is.
    """
    baseline: str = static("value", choices=("none", "batch_mean", "leave_one_out", "value"))
    """Subtracted from the weight: nothing, a mean over all or all other episodes, or V(s)."""
    normalize_returns: bool = static(False)
    """Standardise an update's weights, baseline already subtracted; equal ones become 0, a single
    one stays as it is."""


@settings
class NetworkSettings(TorsoSettings):
    """The networks, and the noise of continuous actions."""

    state_dependent_exploration: bool = static(False, needs=BOX_ACTIONS)
    """gSDE: noise that depends on the state and lasts for several steps; Box actions only."""
    noise_interval: int = static(8, minimum=1, needs=("state_dependent_exploration", True))
    """Steps for which gSDE keeps its noise matrix."""
    initial_log_std: float = number(0.0, minimum=-20.0, maximum=20.0, needs=(_DEFAULT, BOX_ACTIONS))
    """Logarithm of the standard deviation of Box actions at the start."""
    rescale_actions: bool = static(False)
    """Scale the policy's actions from -1 .. 1 to the bounds of a Box, which must be finite."""


@settings
class MemorySettings:
    """What the network remembers of an episode."""

    core: str = static("none", choices=("none", "gru"), needs=_DEFAULT)
    """gru: a memory between feature extractor and output layers, for what cannot be seen at once;
    minibatches are then of sequences."""
    core_size: int = static(64, minimum=1, maximum=2**20, needs=("core", "gru"))
    """Width of the memory."""
    shared_core: bool = static(True, needs=("core", "gru"))
    """One memory for actor and critic instead of one each, which takes nearly twice the time; the
    critic's own features, if it has some, go to the value beside the memory."""
    sequence_length: int = static(0, minimum=0, needs=_MEMORY)
    """Steps through which gradients pass back: each rollout is learnt from in sequences of as many,
    side by side, which begin with what the actor remembered there. Must divide num_steps; 0: whole
    rollouts."""


@settings
class ValueAndEntropySettings:
    """What the actor and the critic have to do with each other, in one loss."""

    value_coefficient: float = number(0.5, minimum=0)
    """Weight of the value loss."""
    entropy_coefficient: float = number(0.01, minimum=0)
    """Weight of the entropy bonus."""
    shared_torso: bool = static(False, needs=_DEFAULT)
    """One feature extractor for actor and critic instead of one each."""

"""Settings that several policy-gradient agents have, in groups to inherit from.

An agent's class lists its groups in reverse: of `class XConfig(SharedNetworkSettings,
OnPolicySettings)` the fields of `OnPolicySettings` come first.
"""

from typing import Any

import jax

from jaxrl.learning.normalization import NormalizationSettings
from jaxrl.learning.optimizers import OptimizerSettings
from jaxrl.loops.rollouts import RolloutSettings, num_rollouts
from jaxrl.networks import TorsoSettings
from jaxrl.settings import (
    BOX_ACTIONS,
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


_MEMORY = Need(
    "core='gru' or core='lstm', or a network of one's own with memory", _remembers, fields=("core",)
)
_CORE = ("core", "gru", "lstm")


@settings
class NetworkSettings(TorsoSettings):
    """The networks, and the noise of continuous actions."""

    network: str = static("default")
    """default, or the name under which register_network knows a network of one's own."""
    state_dependent_exploration: bool = static(False, needs=BOX_ACTIONS)
    """gSDE: noise that depends on the state and lasts for several steps."""
    noise_interval: int = static(8, minimum=1, needs=("state_dependent_exploration", True))
    """Steps for which gSDE keeps its noise matrix."""
    initial_log_std: float = number(0.0, minimum=-20.0, maximum=20.0, needs=(_DEFAULT, BOX_ACTIONS))
    """Logarithm of the standard deviation of Box actions at the start."""
    rescale_actions: bool = static(False)
    """Scale the policy's actions from -1 .. 1 to the bounds of a Box, which must be finite."""


@settings
class SharedNetworkSettings:
    """The parts of the network that actor and critic may share, its memory among them."""

    shared_torso: bool = static(False, needs=_DEFAULT)
    """One feature extractor for actor and critic instead of one each."""
    core: str = static("none", choices=("none", "gru", "lstm"), needs=_DEFAULT)
    """gru or lstm: a memory between feature extractor and output layers, for what cannot be seen at
    once; minibatches are then of sequences."""
    core_size: int = static(64, minimum=1, maximum=2**20, needs=_CORE)
    """Width of the memory."""
    shared_core: bool = static(True, needs=_CORE)
    """One memory for actor and critic instead of one each, which takes nearly twice the time; the
    critic's own features, if it has some, go to the value beside the memory."""
    sequence_length: int = static(0, minimum=0, needs=_MEMORY)
    """Steps through which gradients pass back: each rollout is learnt from in sequences of as many,
    side by side, which begin with what the actor remembered there. Must divide num_steps; 0: whole
    rollouts."""


@settings
class PolicyGradientSettings(NetworkSettings, OptimizerSettings, RolloutSettings):
    """How much is collected, what it is worth, and how a network learns from it."""

    gae_lambda: float = number(0.95, minimum=0, maximum=1, needs=unless("num_steps", 1))
    """Trades bias (0) for variance (1) in the advantage; 1: returns of up to num_steps rewards."""

    @property
    def num_updates(self) -> int:
        """How many rollouts a run learns from."""
        return num_rollouts(self)


@settings
class OnPolicySettings(NormalizationSettings, PolicyGradientSettings):
    """The same, of one learner that may see all of it standardised."""

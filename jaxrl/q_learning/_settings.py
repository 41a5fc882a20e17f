"""Settings that DQN and PQN have in common, in groups to inherit from."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxrl.exploration import linear_epsilon
from jaxrl.networks import ValueNetworkSettings
from jaxrl.settings import Need, default_network, number, settings, static


@settings
class ActionValueSettings(ValueNetworkSettings):
    """The Q-network."""

    network: str = static("default")
    """default, or the name under which register_network knows a network of one's own."""
    hidden_sizes: tuple[int, ...] = static((120, 84), minimum=1, maximum=2**20)
    """Widths of the dense layers."""
    dueling: bool = static(False, needs=default_network())
    """A state's value and the actions' advantages are learnt apart."""


def _falls(config: Any, _: Any) -> bool:
    return bool(np.any(np.not_equal(config.epsilon_start, config.epsilon_end)))


_FALL = Need(
    "an epsilon_end other than epsilon_start", _falls, fields=("epsilon_start", "epsilon_end")
)


@settings
class EpsilonSettings:
    """How often a random action is taken instead of the best one."""

    epsilon_start: float = number(1.0, minimum=0, maximum=1)
    """Probability of a random action at first."""
    epsilon_end: float = number(0.05, minimum=0, maximum=1)
    """Probability of a random action at last."""
    epsilon_fraction: float = number(0.5, minimum=0, maximum=1, open_minimum=True, needs=_FALL)
    """Share of the budget over which that probability falls, in a straight line."""


def epsilon_after(rollouts: Int[Array, ""], config: Any) -> Float[Array, ""]:
    """The probability of a random action after a number of rollouts.

    Args:
        rollouts: of `num_envs * num_steps` environment steps each, taken so far.
        config: `EpsilonSettings` with the fields `num_envs`, `num_steps` and `total_steps`.

    Returns:
        Epsilon, in [0, 1].
    """
    return linear_epsilon(
        # In float32, which does not go round where int32 would.
        jnp.float32(rollouts) * (config.num_envs * config.num_steps),
        start=config.epsilon_start,
        end=config.epsilon_end,
        duration=config.epsilon_fraction * float(config.total_steps),
    )

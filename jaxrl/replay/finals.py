"""The last observations of episodes that a limit cut off: no later step sees what these show."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxrl.replay.encoding import Encoding

# Steps for each final observation that is kept where nothing is known of the episodes' lengths.
_STEPS_PER_CUT = 16


class Finals(NamedTuple):
    """The last F final observations of each of B environments.

    Attributes:
        observation: encoded, leaves [F + 1, B, ...]; in the last row the newest step's successor,
            whether or not its episode ended.
        time: int32 [F, B], of the step that the row belongs to; -1 for none.
        kept: int32 [B], final observations ever kept.
    """

    observation: Any
    time: Int[Array, "F B"]
    kept: Int[Array, " B"]


def num_finals(num_slots: int, num_steps: int, n_step: int, max_episode_steps: int | None) -> int:
    """F: one for every episode that the ring can hold, and some for those that are cut short.

    Never fewer than T + n - 1: even where every step is cut off, the T steps of an addition that
    are known to their n-th are remembered, so that there is always something to sample.
    """
    episodes = 0 if max_episode_steps is None else math.ceil(num_slots / max_episode_steps) + 1
    return min(num_slots, max(episodes, num_slots // _STEPS_PER_CUT, num_steps + n_step - 1))


def no_finals(count: int, num_envs: int, observations: Encoding) -> Finals:
    """Room for `count` final observations of each environment."""
    return Finals(
        observation=observations.zeros((count + 1, num_envs)),
        time=jnp.full((count, num_envs), -1, jnp.int32),
        kept=jnp.zeros(num_envs, jnp.int32),
    )


def keep_finals(
    finals: Finals, observation: Any, cut: Bool[Array, "T B"], time: Int[Array, " T"]
) -> tuple[Finals, Int[Array, "T B"], Int[Array, ""]]:
    """Puts the final observations of T steps, at most F, into their rows.

    Args:
        finals: those before.
        observation: encoded, leaves [T, B, ...]: the successors of the steps.
        cut: where a limit cut the episode off, so that the successor is to be kept.
        time: of the steps.

    Returns:
        The finals, the rows where `cut` says so, and the latest time whose final observation had to
        make room, -1 for none.
    """
    size, num_envs = finals.time.shape
    row = (finals.kept[None] + jnp.cumsum(cut, axis=0, dtype=jnp.int32) - 1) % size
    # Out of bounds, and so dropped, where there is nothing to keep.
    target = jnp.where(cut, row, size + 1)
    environment = jnp.arange(num_envs, dtype=jnp.int32)

    def keep(old: Array, new: Array) -> Array:
        return old.at[target, environment].set(new, mode="drop").at[-1].set(new[-1])

    times = jnp.broadcast_to(time[:, None], cut.shape)
    lost = jnp.max(jnp.where(cut, finals.time[row, environment], -1))
    finals = Finals(
        observation=jax.tree.map(keep, finals.observation, observation),
        time=finals.time.at[target, environment].set(times, mode="drop"),
        kept=finals.kept + jnp.sum(cut, axis=0, dtype=jnp.int32),
    )
    return finals, row, lost

"""Episodes that ended during a rollout, and their means."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxrl.ops.missing import missing_value
from jaxrl.types import Metrics


class FinishedEpisodes(NamedTuple):
    """At each step of each environment: did an episode end here, and what was it worth.

    Attributes:
        ended: bool [T, B].
        episode_return: float32 [T, B], of the task's own rewards; read where `ended`.
        episode_length: int32 [T, B]; read where `ended`.
    """

    ended: Bool[Array, "*T B"]
    episode_return: Float[Array, "*T B"]
    episode_length: Int[Array, "*T B"]


def episode_metrics(finished: FinishedEpisodes) -> Metrics:
    """Means over the episodes that ended: nan where none did."""
    count = jnp.sum(finished.ended, dtype=jnp.int32)

    def mean(values: Array) -> Float[Array, ""]:
        total = jnp.sum(jnp.where(finished.ended, values.astype(jnp.float32), 0.0))
        return jnp.where(count > 0, total / jnp.maximum(count, 1), missing_value())

    return {
        "episodes": count,
        "episode_return": mean(finished.episode_return),
        "episode_length": mean(finished.episode_length),
    }

"""Episodes that ended during a rollout, and their means."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxrl.ops.missing import missing_value
from jaxrl.types import Environment, Metrics


class FinishedEpisodes(NamedTuple):
    """At each step of each environment: did an episode end here, and what was it worth.

    Attributes:
        ended: bool [T, B].
        episode_return: float32 [T, B], of the task's own rewards; read where `ended`.
        episode_length: int32 [T, B]; read where `ended`.
        reported: by name, float32 [T, B], of the environment's `metrics`; read where `ended`.
    """

    ended: Bool[Array, "*T B"]
    episode_return: Float[Array, "*T B"]
    episode_length: Int[Array, "*T B"]
    reported: dict[str, Float[Array, "*T B"]] = {}  # noqa: RUF012 - nobody writes into it.


def reported_of(environment: Environment, info: Mapping[str, Any]) -> dict[str, Array]:
    """What one step's `info` has of the environment's `metrics`, float32 ().

    Raises:
        ValueError: an entry is missing, or not one number.
    """
    found = {}
    for name in environment.metrics:
        if name not in info:
            raise ValueError(
                f"{environment.name} reports the metric {name!r}, and its info has "
                f"{', '.join(sorted(info)) or 'nothing'}"
            )
        value = jnp.asarray(info[name])
        if value.size != 1 or jnp.issubdtype(value.dtype, jnp.complexfloating):
            raise ValueError(
                f"{environment.name} reports the metric {name!r}, whose shape is {value.shape}: it "
                "must be one number"
            )
        found[name] = value.astype(jnp.float32).reshape(())
    return found


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
        **{f"episode_{name}": mean(values) for name, values in finished.reported.items()},
    }

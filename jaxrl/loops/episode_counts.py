"""What is counted of a population's episodes: returns, lengths, moments of what was seen."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxrl.learning.observation_statistics import (
    ObservationStatistics,
    ObservationSums,
    add_observed,
    init_observed_sums,
    normalize_observed,
)
from jaxrl.ops.missing import missing_value
from jaxrl.types import Metrics, Observation, Transition


class PlayedEpisodes(NamedTuple):
    """Whole episodes of N candidates, E each; of some lanes while they are under way.

    Of an episode that had not ended when the time limit was reached, fitness and return are nan and
    the length is 0: such a candidate has failed.

    Attributes:
        fitness: float32 [N, E], sums of the reward that the search maximises.
        returns: float32 [N, E], sums of the task's own reward.
        lengths: int32 [N, E], environment steps.
        reported: by name, float32 [N, E], of the environment's `metrics`, at the last step so far.
        observations: sums over what the actions were chosen from; None if not asked for.
    """

    fitness: Float[Array, "*lanes"]
    returns: Float[Array, "*lanes"]
    lengths: Int[Array, "*lanes"]
    reported: dict[str, Float[Array, "*lanes"]]
    observations: ObservationSums | None


def episode_metrics(played: PlayedEpisodes) -> Metrics:
    """Means over the episodes of an iteration, and the best candidate's mean return.

    A return that is nan is a failure, which the metrics leave out where there are others. Episodes
    that the time limit cut short are none.
    """
    lengths, whole = played.lengths.astype(jnp.float32), played.lengths > 0

    def reported(known: Bool[Array, ""], value: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.where(known, value, missing_value())

    best_return = jnp.nanmax(jnp.mean(played.returns, axis=1))
    return {
        "episodes": jnp.sum(whole, dtype=jnp.int32),
        "episode_return": reported(jnp.any(whole), jnp.nanmean(played.returns)),
        "episode_length": reported(jnp.any(whole), jnp.mean(lengths, where=whole)),
        "best_return": reported(jnp.any(jnp.all(whole, axis=1)), best_return),
        **{
            f"episode_{name}": reported(jnp.any(whole), jnp.mean(values, where=whole))
            for name, values in played.reported.items()
        },
    }


def normalized(statistics: ObservationStatistics | None, observation: Observation) -> Observation:
    """The observation as a policy sees it: standardised where there are statistics."""
    return observation if statistics is None else normalize_observed(statistics, observation)


def nothing_played(
    shape: tuple[int, int],
    statistics: ObservationStatistics | None,
    observation: Observation,
    metrics: Sequence[str] = (),
) -> PlayedEpisodes:
    """Zeros [N, E], and sums of observations where there are statistics to normalise by.

    Args:
        shape: (N, E).
        statistics: of what was seen so far; None where observations are not normalised.
        observation: the first ones, leaves [N, E, ...].
        metrics: the names of what the environment reports.
    """
    return PlayedEpisodes(
        fitness=jnp.zeros(shape, jnp.float32),
        returns=jnp.zeros(shape, jnp.float32),
        lengths=jnp.zeros(shape, jnp.int32),
        reported={name: jnp.zeros(shape, jnp.float32) for name in metrics},
        observations=None if statistics is None else init_observed_sums(statistics, observation),
    )


def count_step(
    played: PlayedEpisodes,
    transition: Transition,
    info: dict[str, Any],
    running: Bool[Array, "*lanes"],
) -> PlayedEpisodes:
    """Adds one step of the episodes that are running."""
    task_reward = info.get("task_reward", transition.reward)
    sums = played.observations
    # One candidate's world that blows up must not spoil the moments for all.
    if sums is not None:
        sums = add_observed(sums, transition.observation, counted=running)
    return played._replace(
        fitness=played.fitness + jnp.where(running, transition.reward, 0.0).astype(jnp.float32),
        returns=played.returns + jnp.where(running, task_reward, 0.0).astype(jnp.float32),
        lengths=played.lengths + running,
        reported={
            name: jnp.where(running, info[name], value) for name, value in played.reported.items()
        },
        observations=sums,
    )


def without_parts(played: PlayedEpisodes, running: Bool[Array, "*lanes"]) -> PlayedEpisodes:
    """The episodes, of those that are still running nothing: a part is not worth what a whole is.

    Args:
        played: at the time limit, or when all have ended.
        running: which have not ended.
    """
    return played._replace(
        fitness=jnp.where(running, jnp.nan, played.fitness),
        returns=jnp.where(running, jnp.nan, played.returns),
        lengths=jnp.where(running, 0, played.lengths),
        reported={
            name: jnp.where(running, jnp.nan, value) for name, value in played.reported.items()
        },
    )

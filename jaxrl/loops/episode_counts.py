"""What is counted of a population's episodes: returns, lengths, moments of what was seen."""

from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxrl.ops.statistics import RunningStatistics, normalize
from jaxrl.types import Metrics, Observation, TimeStep

Pivot: TypeAlias = Float[Array, "..."] | None


class PlayedEpisodes(NamedTuple):
    """Whole episodes of N candidates, E each; of some lanes while they are under way.

    Attributes:
        fitness: float32 [N, E], sums of the reward that the search maximises.
        returns: float32 [N, E], sums of the task's own reward.
        lengths: int32 [N, E], environment steps.
        observations: moments of what the actions were chosen from; None if not asked for.
    """

    fitness: Float[Array, "*lanes"]
    returns: Float[Array, "*lanes"]
    lengths: Int[Array, "*lanes"]
    observations: RunningStatistics | None


def episode_metrics(played: PlayedEpisodes) -> Metrics:
    """Means over the episodes of an iteration, and the best candidate's mean return.

    A return that is nan is a failure, which the metrics leave out where there are others.
    """
    return {
        "episodes": jnp.int32(played.returns.size),
        "episode_return": jnp.nanmean(played.returns),
        "episode_length": jnp.mean(played.lengths.astype(jnp.float32)),
        "best_return": jnp.nanmax(jnp.mean(played.returns, axis=1)),
    }


def normalized(statistics: RunningStatistics | None, observation: Observation) -> Observation:
    """The observation as a policy sees it: standardised where there are statistics."""
    return observation if statistics is None else normalize(statistics, observation)


def nothing_played(shape: tuple[int, int], statistics: RunningStatistics | None) -> PlayedEpisodes:
    """Zeros [N, E], and sums of observations where there are statistics to normalise by."""
    sums = None
    if statistics is not None:
        zeros = jnp.zeros_like(statistics.mean)
        sums = RunningStatistics(mean=zeros, variance=zeros, count=jnp.float32(0))
    return PlayedEpisodes(
        fitness=jnp.zeros(shape, jnp.float32),
        returns=jnp.zeros(shape, jnp.float32),
        lengths=jnp.zeros(shape, jnp.int32),
        observations=sums,
    )


def pivot_of(statistics: RunningStatistics | None, observation: Observation) -> Pivot:
    """About what the sums of observations are taken.

    Of squares far from it, float32 would keep too few digits.

    Args:
        statistics: of what was seen so far; None where observations are not normalised.
        observation: the first ones, leaves [*lanes, ...]; their mean serves while there are none.
    """
    if statistics is None:
        return None
    lane_axes = tuple(range(observation.ndim - statistics.mean.ndim))
    first = jnp.nan_to_num(jnp.mean(observation.astype(jnp.float32), axis=lane_axes))
    return jnp.where(statistics.count == 0, first, statistics.mean)


def count_step(
    played: PlayedEpisodes,
    timestep: TimeStep,
    running: Bool[Array, "*lanes"],
    observation: Observation,
    pivot: Pivot,
) -> PlayedEpisodes:
    """Adds one step of the episodes that are running."""
    task_reward = timestep.info.get("task_reward", timestep.reward)
    return PlayedEpisodes(
        fitness=played.fitness + jnp.where(running, timestep.reward, 0.0).astype(jnp.float32),
        returns=played.returns + jnp.where(running, task_reward, 0.0).astype(jnp.float32),
        lengths=played.lengths + running,
        observations=_add_observations(played.observations, pivot, observation, running),
    )


# Until the episodes have ended, `observations` holds sums of differences from the pivot. One
# candidate's world that blows up must not spoil the moments for all: what is not finite, or has no
# finite square, is left out.
def _add_observations(
    sums: RunningStatistics | None,
    pivot: Pivot,
    observation: Observation,
    running: Bool[Array, "*lanes"],
) -> RunningStatistics | None:
    if sums is None or pivot is None:
        return None
    difference = observation.astype(jnp.float32) - jnp.broadcast_to(pivot, observation.shape)
    lane_axes = tuple(range(running.ndim))
    sample_axes = tuple(range(running.ndim, difference.ndim))
    counted = running & jnp.all(jnp.isfinite(jnp.square(difference)), axis=sample_axes)
    difference = jnp.where(jnp.expand_dims(counted, sample_axes), difference, 0.0)
    return RunningStatistics(
        mean=sums.mean + jnp.sum(difference, axis=lane_axes),
        variance=sums.variance + jnp.sum(jnp.square(difference), axis=lane_axes),
        count=sums.count + jnp.sum(counted, dtype=jnp.float32),
    )


def with_moments(played: PlayedEpisodes, pivot: Pivot) -> PlayedEpisodes:
    """The episodes with moments in the place of the sums."""
    sums = played.observations
    if sums is None or pivot is None:
        return played
    count = jnp.maximum(sums.count, 1.0)
    offset = sums.mean / count
    variance = jnp.maximum(sums.variance / count - jnp.square(offset), 0.0)
    return played._replace(observations=RunningStatistics(pivot + offset, variance, sums.count))

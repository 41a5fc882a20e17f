"""What is counted of a population's episodes: returns, lengths, moments of what was seen."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxrl.ops.statistics import RunningStatistics, normalize
from jaxrl.types import Metrics, Observation, TimeStep


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
    """Means over the episodes of an iteration, and the best candidate's mean return."""
    return {
        "episodes": jnp.int32(played.returns.size),
        "episode_return": jnp.mean(played.returns),
        "episode_length": jnp.mean(played.lengths.astype(jnp.float32)),
        "best_return": jnp.max(jnp.mean(played.returns, axis=1)),
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
        fitness=jnp.zeros(shape),
        returns=jnp.zeros(shape),
        lengths=jnp.zeros(shape, jnp.int32),
        observations=sums,
    )


def count_step(
    played: PlayedEpisodes,
    timestep: TimeStep,
    running: Bool[Array, "*lanes"],
    observation: Observation,
    statistics: RunningStatistics | None,
) -> PlayedEpisodes:
    """Adds one step of the episodes that are running."""
    task_reward = timestep.info.get("task_reward", timestep.reward)
    return PlayedEpisodes(
        fitness=played.fitness + jnp.where(running, timestep.reward, 0.0),
        returns=played.returns + jnp.where(running, task_reward, 0.0),
        lengths=played.lengths + running,
        observations=_add_observations(played.observations, statistics, observation, running),
    )


# Until the episodes have ended, `observations` holds sums of differences from the mean so far: of
# squares far from zero, float32 would keep too few digits.
def _add_observations(
    sums: RunningStatistics | None,
    statistics: RunningStatistics | None,
    observation: Observation,
    running: Bool[Array, "*lanes"],
) -> RunningStatistics | None:
    if sums is None or statistics is None:
        return None
    difference = observation.astype(jnp.float32) - statistics.mean
    lane_axes = tuple(range(running.ndim))
    mask = running.reshape(running.shape + (1,) * (difference.ndim - running.ndim))
    difference = jnp.where(mask, difference, 0.0)
    return RunningStatistics(
        mean=sums.mean + jnp.sum(difference, axis=lane_axes),
        variance=sums.variance + jnp.sum(jnp.square(difference), axis=lane_axes),
        count=sums.count + jnp.sum(running),
    )


def with_moments(played: PlayedEpisodes, statistics: RunningStatistics | None) -> PlayedEpisodes:
    """The episodes with moments in the place of the sums."""
    sums = played.observations
    if sums is None or statistics is None:
        return played
    offset = sums.mean / sums.count
    variance = jnp.maximum(sums.variance / sums.count - jnp.square(offset), 0.0)
    return played._replace(
        observations=RunningStatistics(statistics.mean + offset, variance, sums.count)
    )

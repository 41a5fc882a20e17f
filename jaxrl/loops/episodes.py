"""Whole episodes of a population of policies: one batched program, which ends with the last."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxrl.ops.statistics import RunningStatistics, normalize
from jaxrl.types import Action, Environment, Key, Metrics, Observation, Params, TimeStep

Act: TypeAlias = Callable[[Key, Params, Observation], Action]


class PlayedEpisodes(NamedTuple):
    """Whole episodes of N candidates, E each.

    Attributes:
        fitness: float32 [N, E], sums of the reward that the search maximises.
        returns: float32 [N, E], sums of the task's own reward.
        lengths: int32 [N, E], environment steps.
        observations: moments of what the actions were chosen from; None if not asked for.
    """

    fitness: Float[Array, "N E"]
    returns: Float[Array, "N E"]
    lengths: Int[Array, "N E"]
    observations: RunningStatistics | None


def play_population(
    key: Key,
    environment: Environment,
    act: Act,
    params: Params,
    *,
    num_episodes: int,
    common_random_numbers: bool = True,
    statistics: RunningStatistics | None = None,
) -> PlayedEpisodes:
    """Plays whole episodes with every candidate, until the last has ended.

    Args:
        key: consumed.
        environment: with a time limit, which no episode overruns.
        act: (key, params, observation) -> action, one candidate in one environment.
        params: leaves [N, ...].
        num_episodes: E, of each candidate.
        common_random_numbers: the same keys for all candidates. Random numbers, and resets that
            depend on nothing else, are then computed once instead of N times.
        statistics: normalise observations by these, and take the moments of what is seen.
    """
    shape = (jax.tree.leaves(params)[0].shape[0], num_episodes)
    key_shape = shape[1:] if common_random_numbers else shape
    keys_axis = None if common_random_numbers else 0
    reset_all = jax.vmap(jax.vmap(environment.reset), keys_axis, axis_size=shape[0])
    act_all = jax.vmap(jax.vmap(act, (0, None, 0)), (keys_axis, 0, 0))
    step_all = jax.vmap(jax.vmap(environment.step), (keys_axis, 0, 0))
    key_reset, key_loop = jax.random.split(key)
    env_state, observation = reset_all(jax.random.split(key_reset, key_shape))

    def unfinished(carry: Any) -> Any:
        time, _, _, running, _ = carry
        # The second bound keeps a task that overruns its own limit from running for ever.
        return jnp.any(running) & (time < environment.max_episode_steps)

    def play(carry: Any) -> Any:
        time, env_state, observation, running, played = carry
        key_now = jax.random.fold_in(key_loop, time)
        keys_act, keys_env = jax.random.split(key_now, (2, *key_shape))
        action = act_all(keys_act, params, normalized(statistics, observation))
        env_state, timestep = step_all(keys_env, env_state, action)
        played = _count(played, timestep, running, observation, statistics)
        running = running & ~(timestep.terminated | timestep.truncated)
        return time + 1, env_state, timestep.observation, running, played

    running = jnp.ones(shape, bool)
    start = (jnp.int32(0), env_state, observation, running, _nothing_played(shape, statistics))
    return _with_moments(jax.lax.while_loop(unfinished, play, start)[-1], statistics)


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


def _nothing_played(shape: tuple[int, int], statistics: RunningStatistics | None) -> PlayedEpisodes:
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


def _count(
    played: PlayedEpisodes,
    timestep: TimeStep,
    running: Bool[Array, "N E"],
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
    running: Bool[Array, "N E"],
) -> RunningStatistics | None:
    if sums is None or statistics is None:
        return None
    difference = observation.astype(jnp.float32) - statistics.mean
    mask = running.reshape(running.shape + (1,) * (difference.ndim - 2))
    difference = jnp.where(mask, difference, 0.0)
    return RunningStatistics(
        mean=sums.mean + jnp.sum(difference, axis=(0, 1)),
        variance=sums.variance + jnp.sum(jnp.square(difference), axis=(0, 1)),
        count=sums.count + jnp.sum(running),
    )


def _with_moments(played: PlayedEpisodes, statistics: RunningStatistics | None) -> PlayedEpisodes:
    sums = played.observations
    if sums is None or statistics is None:
        return played
    offset = sums.mean / sums.count
    variance = jnp.maximum(sums.variance / sums.count - jnp.square(offset), 0.0)
    return played._replace(
        observations=RunningStatistics(statistics.mean + offset, variance, sums.count)
    )

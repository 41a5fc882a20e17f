"""Whole episodes of a population of policies: one batched program, which ends with the last."""

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxrl.learning.observation_statistics import ObservationStatistics
from jaxrl.loops.episode_counts import (
    PlayedEpisodes,
    count_step,
    normalized,
    nothing_played,
    without_parts,
)
from jaxrl.loops.finished_episodes import reported_of
from jaxrl.loops.worlds import Worlds, step_world
from jaxrl.types import Action, Carry, Environment, Key, Observation, Params, Transition

Act: TypeAlias = Callable[[Key, Params, Observation], Action]


class Playing(NamedTuple):
    """Episodes under way, in lanes [N, E], or [W] where only some are left.

    Attributes:
        time: int32 (), steps since all began.
        worlds: leaves [*lanes, ...]; the actors have no memory.
        running: bool [*lanes].
        played: what has been counted.
    """

    time: Any
    worlds: Worlds
    running: Bool[Array, "*lanes"]
    played: PlayedEpisodes


class Interaction(NamedTuple):
    """How all lanes take a step.

    Attributes:
        keys: (time) -> keys [2, ...], to act and to step.
        step: (keys to act, keys to step, params, worlds) -> (worlds, transition, info), over the
            lanes.
        params: leaves [N, ...], or [W, ...].
    """

    keys: Callable[[Array], Key]
    step: Callable[[Key, Key, Params, Worlds], tuple[Worlds, Transition, dict[str, Any]]]
    params: Params


def play_population(
    key: Key,
    environment: Environment,
    act: Act,
    params: Params,
    *,
    num_episodes: int,
    common_random_numbers: bool = True,
    statistics: ObservationStatistics | None = None,
) -> PlayedEpisodes:
    """Plays whole episodes with every candidate, until the last has ended.

    Args:
        key: consumed.
        environment: with a time limit; a candidate that overruns it has failed.
        act: (key, params, observation) -> action, one candidate in one environment.
        params: leaves [N, ...].
        num_episodes: E, of each candidate.
        common_random_numbers: the same keys for all candidates. Random numbers, and resets that
            depend on nothing else, are then computed once instead of N times.
        statistics: normalise observations by these, and add up what is seen.
    """
    shape = (jax.tree.leaves(params)[0].shape[0], num_episodes)
    key_shape = shape[1:] if common_random_numbers else shape
    keys_axis = None if common_random_numbers else 0
    reset_all = jax.vmap(jax.vmap(environment.reset), keys_axis, axis_size=shape[0])
    step_one = functools.partial(_step_candidate, environment, act, statistics)
    step_all = jax.vmap(jax.vmap(step_one, (0, 0, None, 0)), (keys_axis, keys_axis, 0, 0))
    key_reset, key_loop = jax.random.split(key)
    env_state, observation = reset_all(jax.random.split(key_reset, key_shape))
    playing = Playing(
        time=jnp.int32(0),
        worlds=Worlds(env_state=env_state, observation=observation, carry=()),
        running=jnp.ones(shape, bool),
        played=nothing_played(shape, statistics, observation, environment.metrics),
    )

    def keys_at(time: Array) -> Key:
        return jax.random.split(jax.random.fold_in(key_loop, time), (2, *key_shape))

    play = functools.partial(_play, limit=environment.max_episode_steps)
    lanes = _lanes_of_stages(shape[0] * shape[1])
    playing = play(playing, Interaction(keys_at, step_all, params), until=lanes[0])
    for width, until in itertools.pairwise(lanes):
        chosen = _running_first(playing.running, width)
        keys_of = chosen % num_episodes if common_random_numbers else chosen
        few = Interaction(
            keys=lambda time, keys_of=keys_of: keys_at(time).reshape(2, -1)[:, keys_of],
            step=jax.vmap(step_one),
            params=jax.tree.map(lambda x, chosen=chosen: x[chosen // num_episodes], params),
        )
        rest = play(_take(playing, chosen), few, until=until)
        playing = _put_back(playing, rest, chosen)
    return without_parts(playing.played, playing.running)


def _step_candidate(
    environment: Environment,
    act: Act,
    statistics: ObservationStatistics | None,
    key_act: Key,
    key_step: Key,
    params: Params,
    world: Worlds,
) -> tuple[Worlds, Transition, dict[str, Any]]:
    """One step of one candidate in one environment."""

    def choose(key: Key, carry: Carry, observation: Observation) -> tuple[Carry, Action, Any]:
        return carry, act(key, params, normalized(statistics, observation)), ()

    world, transition, info = step_world(key_act, key_step, world, environment, choose)
    return world, transition, {**info, **reported_of(environment, info)}


def _play(playing: Playing, interaction: Interaction, *, until: int, limit: Any) -> Playing:
    """Goes on until no more than so many episodes are running."""

    def unfinished(playing: Playing) -> Any:
        # The second bound keeps a task that overruns its own limit from running for ever.
        return (jnp.sum(playing.running) > until) & (playing.time < limit)

    def step(playing: Playing) -> Playing:
        time, worlds, running, played = playing
        keys = interaction.keys(time)
        worlds, transition, info = interaction.step(keys[0], keys[1], interaction.params, worlds)
        return Playing(
            time=time + 1,
            worlds=worlds,
            running=running & ~(transition.terminated | transition.truncated),
            played=count_step(played, transition, info, running),
        )

    return jax.lax.while_loop(unfinished, step, playing)


def _lanes_of_stages(num_episodes: int) -> list[int]:
    """How few running episodes end each stage: the next stage has no more lanes than that.

    A quarter each time, so that the last few long episodes do not drag all the ended ones along;
    below 16 lanes the cost is per operation, and nothing is saved.
    """
    lanes = []
    while num_episodes // 4 >= 16:
        num_episodes //= 4
        lanes.append(num_episodes)
    return [*lanes, 0]


def _running_first(running: Bool[Array, "*lanes"], width: int) -> Int[Array, " W"]:
    """The numbers of the lanes that are running, and then of ended ones, in a third of a sort."""
    return jax.lax.top_k(running.reshape(-1).astype(jnp.float32), width)[1]


def _take(playing: Playing, chosen: Int[Array, " W"]) -> Playing:
    """The lanes that are chosen of those [N, E], as [W]; the sums of observations stay whole."""

    def take(x: Array) -> Array:
        return jax.lax.collapse(x, 0, playing.running.ndim)[chosen]

    sums = playing.played.observations
    lanes = jax.tree.map(take, playing._replace(time=(), played=_lanes(playing.played)))
    played = lanes.played._replace(observations=sums)
    return lanes._replace(time=playing.time, played=played)


def _put_back(playing: Playing, rest: Playing, chosen: Int[Array, " W"]) -> Playing:
    """The lanes with what the chosen ones have become."""

    def put(x: Array, y: Array) -> Array:
        flat = jax.lax.collapse(x, 0, playing.running.ndim)
        return flat.at[chosen].set(y).reshape(x.shape)

    pairs = (playing, rest)
    whole, part = (p._replace(time=(), played=_lanes(p.played)) for p in pairs)
    lanes = jax.tree.map(put, whole, part)
    played = lanes.played._replace(observations=rest.played.observations)
    return lanes._replace(time=rest.time, played=played)


def _lanes(played: PlayedEpisodes) -> PlayedEpisodes:
    return played._replace(observations=None)

"""The loop of whole episodes: play m with the present policy, then learn from them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Int

from jaxrl.environments import clip_actions, record_episode_statistics
from jaxrl.keys import taking_any_key
from jaxrl.loops.finished_episodes import FinishedEpisodes, episode_metrics
from jaxrl.loops.worlds import Act, Start, Worlds, collect, exploring_policy, start_worlds
from jaxrl.sharding import over_devices
from jaxrl.types import (
    Agent,
    AgentState,
    Algorithm,
    Carry,
    Environment,
    Episodes,
    Key,
    Metrics,
    Observation,
    Policy,
    Transition,
)

# Whether all episodes have ended is asked once per chunk of steps: under vmap every pass of the
# outer loop selects between old and new buffers.
_CHUNK = 32


class WholeEpisodesState(NamedTuple):
    """Everything a run of whole episodes needs to go on; environments are reset in every iteration.

    Attributes:
        agent: the learning rule's state.
        steps: int32 (), environment steps taken.
    """

    agent: AgentState
    steps: Int[Array, ""]


class _Play(NamedTuple):
    """Episodes under way.

    Attributes:
        worlds: the environments, m of them.
        unfinished: bool [m], whose first episode goes on.
        num_chunks: int32 (), played so far.
        records: (transitions, finished episodes, mask), leaves [T, m, ...], filled so far.
    """

    worlds: Worlds
    unfinished: Array
    num_chunks: Array
    records: tuple[Transition, FinishedEpisodes, Array]


def whole_episodes(
    environment: Environment, agent: Agent, *, num_episodes: int, total_steps: int
) -> Algorithm:
    """Builds the algorithm that alternates `num_episodes` whole episodes with updates.

    Args:
        environment: the task; Box actions are clipped to its bounds at its door.
        agent: the learning rule; its `update` takes `Episodes`.
        num_episodes: m, episodes played side by side for each update.
        total_steps: the budget; the fewest iterations that reach it are taken. Only the episodes'
            own steps count.

    Raises:
        ValueError: the length of an episode has no limit, or one that is not known yet.
    """
    max_steps = longest_episode(environment)
    recorded = record_episode_statistics(clip_actions(environment))

    def init(key: Key) -> WholeEpisodesState:
        return WholeEpisodesState(agent=agent.init(key), steps=jnp.int32(0))

    def step(key: Key, state: WholeEpisodesState) -> tuple[WholeEpisodesState, Metrics]:
        key_play, key_update = jax.random.split(key)

        def act(key: Key, carry: Carry, observation: Observation) -> Any:
            return agent.act(key, state.agent, carry, observation)

        episodes, finished = play_episodes(
            key_play,
            recorded,
            act,
            agent.start,
            num_episodes=num_episodes,
            max_steps=max_steps,
        )
        agent_state, learning_metrics = agent.update(key_update, state.agent, episodes)
        # An episode without a step of its own was played up to the limit, and cut there.
        lengths = jnp.sum(episodes.mask, axis=0, dtype=jnp.int32)
        steps = state.steps + jnp.sum(jnp.where(lengths > 0, lengths, max_steps), dtype=jnp.int32)
        metrics = {"steps": steps} | episode_metrics(finished) | learning_metrics
        return WholeEpisodesState(agent=agent_state, steps=steps), metrics

    def policy(state: WholeEpisodesState) -> Policy:
        return agent.policy(state.agent)

    algorithm = Algorithm(
        init=init,
        step=step,
        policy=policy,
        environment=environment,
        total_steps=total_steps,
        steps_per_iteration=None,
        # An episode has at least one step.
        max_iterations=-(-total_steps // num_episodes),
        behavior=lambda state: exploring_policy(agent, state.agent),
    )
    return taking_any_key(algorithm)


def longest_episode(environment: Environment) -> int:
    """The environment's time limit, which decides how much room its episodes need.

    Raises:
        ValueError: there is none, or it is traced.
    """
    limit = environment.max_episode_steps
    if limit is None:
        raise ValueError(
            f"{environment.name} has no time limit, so the length of its episodes is not known: "
            "wrap it, as in time_limit(env, max_steps=1000)"
        )
    if isinstance(limit, Tracer):
        raise ValueError(
            f"the time limit of {environment.name} is traced, but whole episodes are stored, so "
            "their length must be known: give the limit as a plain number"
        )
    return int(limit)


def play_episodes(
    key: Key,
    environment: Environment,
    act: Act,
    start: Start,
    *,
    num_episodes: int,
    max_steps: int,
) -> tuple[Episodes, FinishedEpisodes]:
    """Plays episodes from fresh resets, side by side, until all of them have ended.

    Args:
        key: consumed.
        environment: with episode statistics recorded.
        act: (key, carry, observation) -> (carry, action, extras), for one environment.
        start: (key) -> carry, at an episode's start.
        num_episodes: m.
        max_steps: T, the environment's time limit.

    Returns:
        The episodes, and at which steps they ended with which return and length. One that had not
        ended after `max_steps` is no whole episode, and its mask has no step.
    """
    key_worlds, key_play = jax.random.split(key)
    first = start_worlds(key_worlds, environment, start, num_envs=num_episodes, resets=None)
    first = over_devices(first, axis=0, name="num_episodes")
    most_chunks = -(-max_steps // _CHUNK)
    chunk = -(-max_steps // most_chunks)

    def continue_play(play: _Play) -> _Play:
        key_chunk = jax.random.fold_in(key_play, play.num_chunks)
        worlds, rollout, finished = collect(
            key_chunk, environment, act, start, play.worlds, num_steps=chunk, resets=None
        )
        ended_before = jnp.cumsum(finished.ended, axis=0) > finished.ended
        mask = play.unfinished[None] & ~ended_before
        transitions = rollout.transitions._replace(next_observation=())
        finished = finished._replace(ended=finished.ended & mask)
        time = play.num_chunks * chunk
        records = jax.tree.map(
            lambda room, rows: jax.lax.dynamic_update_slice_in_dim(room, rows, time, 0),
            play.records,
            (transitions, finished, mask),
        )
        unfinished = play.unfinished & ~jnp.any(finished.ended, axis=0)
        return _Play(worlds, unfinished, play.num_chunks + 1, records)

    def is_unfinished(play: _Play) -> Array:
        # The second bound keeps a task that overruns its own limit from running for ever.
        return jnp.any(play.unfinished) & (play.num_chunks < most_chunks)

    records = _empty_records(
        key_play, environment, act, start, first, num_steps=most_chunks * chunk
    )
    play = _Play(first, jnp.ones(num_episodes, bool), jnp.int32(0), records)
    played = jax.lax.while_loop(is_unfinished, continue_play, play).records
    transitions, finished, mask = jax.tree.map(lambda x: x[:max_steps], played)
    mask = mask & jnp.any(finished.ended, axis=0, keepdims=True)
    repeated = jax.tree.map(lambda x: _where(mask, x, x[:1]), transitions)
    return Episodes(transitions=repeated, mask=mask, carry=first.carry), finished


def _empty_records(
    key: Key, environment: Environment, act: Act, start: Start, worlds: Worlds, *, num_steps: int
) -> tuple[Transition, FinishedEpisodes, Array]:
    """Room for `num_steps`, all zeros; the key is not consumed."""

    def shapes(key: Key, worlds: Worlds) -> Any:
        _, rollout, finished = collect(
            key, environment, act, start, worlds, num_steps=num_steps, resets=None
        )
        transitions = rollout.transitions._replace(next_observation=())
        return transitions, finished, finished.ended

    types = jax.eval_shape(shapes, key, worlds)
    return over_devices(jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), types), axis=1)


def _where(mask: Array, x: Array, otherwise: Array) -> Array:
    return jnp.where(mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)), x, otherwise)

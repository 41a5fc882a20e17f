"""Whole episodes: their lengths, masks and counts, and what cannot be stored."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_environments import DISCRETE, constant_reward

import jaxrl
from jaxrl.environments import time_limit
from jaxrl.loops.whole_episodes import whole_episodes
from jaxrl.types import Agent, Box, Environment, Policy, TimeStep

LIMIT = 70


class Countdown(NamedTuple):
    time: jax.Array
    length: jax.Array


def random_lengths(limit=LIMIT, *, shortest=1, action_space=DISCRETE):
    """Each episode draws its own length; the observation is (time + 1, length), the reward 1."""

    def start(key):
        return Countdown(jnp.int32(0), jax.random.randint(key, (), shortest, limit + 1))

    def observe(state):
        return jnp.stack([state.time + 1, state.length]).astype(jnp.float32)

    def reset(key):
        state = start(key)
        return state, observe(state)

    def step(key, state, action):
        after = state._replace(time=state.time + 1)
        over = after.time >= state.length
        cut = over & (state.length == limit)
        return after, TimeStep(observe(after), jnp.float32(1), over & ~cut, cut, {})

    space = Box(1.0, float(limit), (2,))
    return Environment("random-lengths", space, action_space, reset, step, max_episode_steps=limit)


def recording_agent():
    """Acts by counting its own steps within an episode; its update keeps the episodes."""

    def act(key, state, carry, observation):
        return carry + 1, jnp.int32(carry % 2), {"count": carry}

    return Agent(
        init=lambda key: {},
        start=lambda key: jnp.int32(0),
        act=act,
        update=lambda key, state, batch: ({"episodes": batch}, {}),
        policy=lambda state: Policy(lambda key: (), lambda key, carry, x: (carry, jnp.int32(0))),
    )


def play(env, *, num_episodes=16):
    algorithm = whole_episodes(
        env, recording_agent(), num_episodes=num_episodes, total_steps=10_000
    )
    state, metrics = jax.jit(algorithm.step)(jax.random.key(0), algorithm.init(jax.random.key(0)))
    return state.agent["episodes"], state, metrics


@pytest.mark.parametrize("limit", [1, 32, LIMIT])
def test_every_episode_is_whole(limit):
    episodes, state, metrics = play(random_lengths(limit))
    transitions, mask = episodes.transitions, np.asarray(episodes.mask)
    lengths = np.asarray(transitions.observation[0, :, 1])
    assert mask.shape == (limit, 16)
    np.testing.assert_array_equal(mask, np.arange(limit)[:, None] < lengths)
    times = np.where(mask, np.arange(1, limit + 1)[:, None], 1)
    np.testing.assert_array_equal(transitions.observation[..., 0], times)
    np.testing.assert_array_equal(transitions.extras["count"], times - 1)
    np.testing.assert_array_equal(episodes.carry, 0)
    ended = np.asarray(transitions.terminated | transitions.truncated) & mask
    np.testing.assert_array_equal(np.argmax(ended, axis=0), lengths - 1)
    np.testing.assert_array_equal(ended.sum(axis=0), 1)
    assert int(metrics["steps"]) == int(state.steps) == lengths.sum()
    assert int(metrics["episodes"]) == 16
    assert float(metrics["episode_return"]) == pytest.approx(lengths.mean())
    assert float(metrics["episode_length"]) == pytest.approx(lengths.mean())


def test_lengths_vary_and_every_iteration_starts_afresh():
    algorithm = whole_episodes(
        random_lengths(), recording_agent(), num_episodes=16, total_steps=999
    )
    state = algorithm.init(jax.random.key(0))
    step = jax.jit(lambda key: algorithm.step(key, state)[0].agent["episodes"].mask)
    lengths = [np.asarray(step(jax.random.key(seed))).sum(axis=0) for seed in (0, 1)]
    assert len(set(lengths[0])) > 5
    assert not np.array_equal(*lengths)


def test_after_its_end_an_episode_repeats_its_first_step():
    episodes, _, _ = play(random_lengths())
    for x in jax.tree.leaves(episodes.transitions):
        rows = np.asarray(x)
        first = np.broadcast_to(rows[:1], rows.shape)
        np.testing.assert_array_equal(rows[~episodes.mask], first[~episodes.mask])
    assert episodes.transitions.next_observation == ()


def test_playing_stops_with_the_longest_episode():
    """In chunks: with episodes of up to 8 steps of a limit of 640, the first 32 are enough."""
    calls = []
    inner = random_lengths(8)

    def step(key, state, action):
        jax.debug.callback(lambda: calls.append(1))
        return inner.step(key, state, action)

    env = inner._replace(step=step, max_episode_steps=640)
    episodes, _, _ = play(env, num_episodes=2)
    jax.effects_barrier()
    assert episodes.mask.shape == (640, 2)
    # One call for both environments side by side.
    assert len(calls) == 32


def test_an_episode_that_overruns_the_limit_is_none():
    """Lengths are 1 to 9, the declared limit is 4: longer ones are left out, their steps count."""
    whole, _, _ = play(random_lengths(9))
    lengths = np.asarray(whole.mask).sum(axis=0)
    ended = lengths <= 4
    assert 0 < ended.sum() < 16
    episodes, state, metrics = play(random_lengths(9)._replace(max_episode_steps=4))
    wanted = np.where(ended, lengths, 0)
    np.testing.assert_array_equal(episodes.mask, np.arange(4)[:, None] < wanted)
    assert int(state.steps) == np.minimum(lengths, 4).sum()
    assert int(metrics["episodes"]) == ended.sum()
    assert float(metrics["episode_return"]) == pytest.approx(lengths[ended].mean())


def test_training_takes_the_fewest_iterations_that_reach_the_budget():
    algorithm = whole_episodes(
        random_lengths(), recording_agent(), num_episodes=4, total_steps=1000
    )
    assert algorithm.steps_per_iteration is None
    assert algorithm.max_iterations == 250

    # The recorded episodes are no part of a state that a loop can carry: count only.
    inner = recording_agent()
    counting = inner._replace(update=lambda key, state, batch: (state, {}))
    algorithm = whole_episodes(random_lengths(), counting, num_episodes=4, total_steps=1000)
    metrics = jax.jit(lambda key: jaxrl.train(key, algorithm).metrics)(jax.random.key(0))
    steps = np.asarray(metrics["steps"])
    used = np.count_nonzero(steps >= 0)
    assert steps.shape == (250,)
    assert steps[used - 1] >= 1000 > steps[used - 2]
    assert np.all(np.diff(steps[:used]) >= 4)
    assert np.isnan(metrics["episode_return"][used:]).all()


def test_vmapped_members_play_what_they_play_alone():
    algorithm = whole_episodes(random_lengths(), recording_agent(), num_episodes=3, total_steps=100)
    state = algorithm.init(jax.random.key(0))
    keys = jax.random.split(jax.random.key(5), 3)
    together = jax.jit(jax.vmap(lambda key: algorithm.step(key, state)))(keys)
    alone = jax.jit(lambda key: algorithm.step(key, state))
    for i, key in enumerate(keys):
        member = jax.tree.map(lambda x: x[i], together)  # noqa: B023
        jax.tree.map(np.testing.assert_array_equal, member, alone(key))


def test_the_longest_episode_must_be_known():
    endless = constant_reward(5)._replace(max_episode_steps=None)
    with pytest.raises(ValueError, match=r"has no time limit.*time_limit\(env, max_steps=1000\)"):
        whole_episodes(endless, recording_agent(), num_episodes=2, total_steps=10)

    def traced(limit):
        env = time_limit(constant_reward(5), max_steps=limit)
        return whole_episodes(env, recording_agent(), num_episodes=2, total_steps=10).total_steps

    with pytest.raises(ValueError, match="time limit of constant-reward is traced"):
        jax.jit(traced)(3)
    assert traced(3) == 10

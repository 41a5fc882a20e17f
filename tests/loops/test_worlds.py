"""How environments start again where their episodes end: every step, from a pool, from a cache."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recorded_keys
from recorded_keys import Keys
from tiers import named

import jaxrl
from jaxrl.environments import (
    clip_actions,
    clip_reward,
    flatten_observation,
    make_env,
    mask_actions,
    record_episode_statistics,
    rescale_actions,
    scale_reward,
    select_observations,
    stack_frames,
    sticky_actions,
    time_limit,
)
from jaxrl.loops.worlds import Resets, collect, start_worlds
from jaxrl.types import Box, Discrete, Environment, Policy, TimeStep

KEY = jax.random.key(1)
WAYS = {
    "every_step": Resets(),
    "pooled": Resets("pooled", 2),
    "cached": Resets("cached"),
}


def walk(*, limit=3, draws=False):
    """One step to the right at a time, from a drawn start; terminates after `limit`, or drawn."""

    def reset(key):
        start = jax.random.uniform(key)
        return (start, jnp.int32(0)), start[None]

    def step(key, state, action):
        position, time = state[0] + 1.0, state[1] + 1
        ended = jax.random.bernoulli(key, 0.3) if draws else time >= limit
        return (position, time), TimeStep(
            position[None], jnp.float32(1), ended, jnp.array(False), {}
        )

    space = Box(-jnp.inf, jnp.inf, (1,))
    return record_episode_statistics(Environment("walk", space, Discrete(2), reset, step, limit))


def act(key, carry, observation):
    return carry, jnp.int32(0), ()


def no_memory(key):
    return ()


def play(environment, *, resets, num_envs=4, num_steps=7, seed=0, act=act):
    """Where all began, where they stood after, and what was seen, [T, B]."""

    @jax.jit
    def run(key):
        key_start, key_play = jax.random.split(key)
        first = start_worlds(key_start, environment, no_memory, num_envs=num_envs, resets=resets)
        after, rollout, finished = collect(
            key_play, environment, act, no_memory, first, num_steps=num_steps, resets=resets
        )
        return first, after, rollout.transitions, finished

    return run(jax.random.key(seed))


@pytest.mark.parametrize("way", WAYS)
def test_the_next_episode_starts_where_one_ends(way):
    """Episodes of 3 steps: the successor of an end is the true one, the next step starts afresh."""
    first, after, steps, finished = play(walk(), resets=WAYS[way])
    np.testing.assert_array_equal(steps.terminated[:, 0], [0, 0, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(finished.episode_length[:, 0], [1, 2, 3, 1, 2, 3, 1])
    begins = np.asarray(steps.observation)[..., 0]
    ends = np.asarray(steps.next_observation)[..., 0]
    np.testing.assert_allclose(ends, begins + 1)
    np.testing.assert_array_equal(begins[[1, 2, 4, 5]], ends[[0, 1, 3, 4]])
    np.testing.assert_array_equal(begins[0], first.observation[:, 0])
    assert (begins[[0, 3, 6]] < 1).all()
    np.testing.assert_array_equal(after.observation, steps.next_observation[-1])


def starts(way, **options):
    """Where the episodes of 3 steps began, [3, B]."""
    resets = WAYS[way] if isinstance(way, str) else way
    return np.asarray(play(walk(), resets=resets, **options)[2].observation)[[0, 3, 6], :, 0]


def test_every_episode_has_a_start_of_its_own():
    assert np.unique(starts("every_step")).size == 12


def test_a_cached_start_comes_again_for_each_environment():
    found = starts("cached")
    np.testing.assert_array_equal(found, found[:1].repeat(3, axis=0))
    assert np.unique(found[0]).size == 4


def test_more_ends_than_starts_in_a_pool_share_them():
    """All 4 end together: the k-th has start k modulo the size of the pool."""
    first, *later = starts("pooled")
    assert np.unique(first).size == 4
    for found in later:
        np.testing.assert_array_equal(found[:2], found[2:])
        assert found[0] != found[1]
    assert np.unique(later).size == 4
    one = starts(Resets("pooled", 4))
    np.testing.assert_array_equal(one[1:], one[1:, :1].repeat(4, axis=1))
    assert np.unique(starts(Resets("pooled", 1))).size == 12


def test_those_that_end_have_starts_of_their_own_where_the_pool_has_enough():
    """Of 8 environments the third and the sixth end: a pool of 2 has one for each."""

    def reset(key):
        start = jax.random.uniform(key)
        return start, start[None]

    def step(key, state, action):
        end = action == 1
        return state + 1, TimeStep(state[None] + 1, jnp.float32(0), end, jnp.array(False), {})

    space = Box(-jnp.inf, jnp.inf, (1,))
    environment = record_episode_statistics(Environment("ends", space, Discrete(2), reset, step))

    def choose(key, carry, observation):
        return carry, carry, ()

    ending = jnp.zeros(8, jnp.int32).at[jnp.array([2, 5])].set(1)
    resets = Resets("pooled", 4)
    first = start_worlds(KEY, environment, no_memory, num_envs=8, resets=resets)
    first = first._replace(carry=ending)
    after, *_ = collect(
        KEY, environment, choose, lambda key: jnp.int32(0), first, num_steps=1, resets=resets
    )
    moved = np.asarray(after.observation - first.observation)[:, 0]
    np.testing.assert_allclose(moved[[0, 1, 3, 4, 6, 7]], 1.0, rtol=1e-6)
    fresh = np.asarray(after.observation)[[2, 5], 0]
    assert (fresh < 1).all()
    assert fresh[0] != fresh[1]


@pytest.mark.parametrize("way", WAYS)
def test_starts_have_the_distribution_of_the_reset(way):
    """Uniform on [0, 1]: means and deviations of thousands of starts; of the first ones, cached."""
    episodes = starts(way, num_envs=2000)
    found = episodes[1:].ravel() if way != "cached" else episodes[0]
    assert abs(found.mean() - 0.5) < 5 * np.sqrt(1 / 12 / 1000)
    assert abs(found.std() - np.sqrt(1 / 12)) < 0.02
    # Of so many numbers of 23 bits, a few are drawn twice.
    unique = {"every_step": 4000, "pooled": 2000, "cached": 2000}[way]
    assert unique - 10 < np.unique(episodes[1:]).size <= unique


@pytest.mark.parametrize("way", WAYS)
def test_the_same_key_gives_the_same_bits(way):
    one, two, other = (play(walk(draws=True), resets=WAYS[way], seed=seed) for seed in (3, 3, 4))
    chex.assert_trees_all_equal(one, two)
    with pytest.raises(AssertionError):
        chex.assert_trees_all_equal(one[1], other[1])


def test_a_cache_is_part_of_the_worlds():
    """Going on from where they stand is the same as not having stopped: episodes restart alike."""
    first, after, *_ = play(walk(), resets=WAYS["cached"])
    chex.assert_trees_all_equal(first.starts, after.starts)
    chex.assert_trees_all_equal(first.starts, (first.env_state, first.observation))
    for way in ("every_step", "pooled"):
        assert play(walk(), resets=WAYS[way])[0].starts == ()


@pytest.mark.parametrize("draws", [False, True])
def test_a_reset_has_the_whole_key_where_the_step_draws_none(draws):
    """Else step and reset have one each of the two that the environment's key splits into."""
    environment = walk(limit=1, draws=draws)
    worlds = start_worlds(KEY, environment, no_memory, num_envs=3)
    after, rollout, _ = collect(KEY, environment, act, no_memory, worlds, num_steps=1)
    keys = jax.random.split(KEY, 2 * 3).reshape(2, 3)[1]
    keys_step = keys_reset = keys
    if draws:
        keys_step, keys_reset = jax.vmap(jax.random.split, out_axes=1)(keys)
        expected = jax.vmap(functools.partial(jax.random.bernoulli, p=0.3))(keys_step)
        np.testing.assert_array_equal(rollout.transitions.terminated[0], expected)
    fresh = jax.vmap(jax.random.uniform)(keys_reset)
    ended = np.asarray(rollout.transitions.terminated[0])
    np.testing.assert_array_equal(after.observation[ended, 0], fresh[ended])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("limited", [False, True])
def test_a_reset_draws_apart_from_the_step_before_it(way, limited):
    """3 steps of 4 environments; resets are drawn for all of them, for half, or for none."""
    keys = Keys()
    environment = recorded_keys.environment(keys)
    environment = time_limit(environment, max_steps=1) if limited else environment
    play(record_episode_statistics(environment), resets=WAYS[way], num_steps=3)
    resets = {"every_step": 12, "pooled": 6, "cached": 0}[way]
    assert keys.counts() == {"reset": 4 + resets, "step": 12}
    keys.require_fresh()


PENDULUM = {"max_steps_in_episode": 3}
WRAPPED = {
    "bare": lambda: make_env("Pendulum-v1", **PENDULUM),
    "clip_actions": lambda: clip_actions(make_env("Pendulum-v1", **PENDULUM)),
    "rescale_actions": lambda: rescale_actions(make_env("Pendulum-v1", **PENDULUM)),
    "scale_reward": lambda: scale_reward(make_env("Pendulum-v1", **PENDULUM), scale=0.1),
    "clip_reward": lambda: clip_reward(make_env("Pendulum-v1", **PENDULUM)),
    "select": lambda: select_observations(make_env("Pendulum-v1", **PENDULUM), (0, 2)),
    "stack": lambda: stack_frames(make_env("Pendulum-v1", **PENDULUM), 2),
    "flatten": lambda: flatten_observation(make_env("Breakout-MinAtar", max_steps_in_episode=3)),
    "statistics": lambda: record_episode_statistics(make_env("Pendulum-v1", **PENDULUM)),
    "sticky": lambda: sticky_actions(make_env("Pendulum-v1", **PENDULUM), probability=1.0),
    "limited": lambda: time_limit(make_env("Pendulum-v1"), max_steps=3),
    "masked": lambda: mask_actions(
        make_env("CartPole-v1", max_steps_in_episode=3), lambda observation: jnp.ones(2, bool)
    ),
}


@pytest.mark.parametrize(
    "name", named(WRAPPED, "bare", "clip_reward", "sticky", "limited", "masked")
)
def test_an_episode_is_the_same_without_the_reset(name):
    """Three steps of episodes that have no more."""
    environment = record_episode_statistics(WRAPPED[name]())
    space = environment.action_space

    def ones(key, carry, observation):
        return carry, jnp.ones(space.shape, space.dtype), ()

    options = {"num_envs": 2, "num_steps": 3, "act": ones}
    _, after, with_reset, finished = play(environment, resets=Resets(), **options)
    _, stopped, without, same = play(environment, resets=None, **options)
    np.testing.assert_array_equal(with_reset.truncated[:, 0], [False, False, True])
    # Two programs, which may round differently.
    chex.assert_trees_all_close((with_reset, finished), (without, same), rtol=1e-5, atol=1e-6)
    last = jax.tree.map(lambda x: x[-1], without.next_observation)
    chex.assert_trees_all_equal(stopped.observation, last)
    for fresh, ended in ((after.observation, last), (after.env_state, stopped.env_state)):
        with pytest.raises(AssertionError):
            chex.assert_trees_all_close(fresh, ended, rtol=1e-2)


@pytest.mark.parametrize(
    ("resets", "draws"), [(Resets(), True), (Resets("cached"), False), (None, False)]
)
def test_no_random_number_is_drawn_for_a_start_that_nobody_sees(resets, draws):
    environment = record_episode_statistics(make_env("CartPole-v1"))
    worlds = start_worlds(KEY, environment, no_memory, num_envs=2, resets=resets)

    def run(worlds):
        return collect(KEY, environment, act, no_memory, worlds, num_steps=2, resets=resets)

    assert ("random_bits" in str(jax.make_jaxpr(run)(worlds))) == draws


def test_a_users_own_change_of_the_step_is_not_passed_by():
    inner = make_env("CartPole-v1", max_steps_in_episode=5)

    def step(key, state, action):
        state, time_step = inner.step(key, state, action)
        return state, time_step._replace(reward=jnp.float32(7))

    policy = Policy(start=lambda key: (), act=lambda key, carry, observation: (carry, 0))
    returns = jaxrl.evaluate(
        jax.random.key(0), inner._replace(step=step), policy, num_episodes=2
    ).returns
    np.testing.assert_array_equal(returns, [35.0, 35.0])

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments import (
    auto_reset,
    clip_actions,
    clip_reward,
    flatten_observation,
    make_env,
    mask_actions,
    play_once,
    record_episode_statistics,
    rescale_actions,
    scale_reward,
    select_observations,
    sticky_actions,
    time_limit,
)
from jaxrl.types import Box, Discrete, Environment, Policy, TimeStep

PENDULUM = {"max_steps_in_episode": 3}
WRAPPED = {
    "bare": lambda: make_env("Pendulum-v1", **PENDULUM),
    "clip_actions": lambda: clip_actions(make_env("Pendulum-v1", **PENDULUM)),
    "rescale_actions": lambda: rescale_actions(make_env("Pendulum-v1", **PENDULUM)),
    "scale_reward": lambda: scale_reward(make_env("Pendulum-v1", **PENDULUM), scale=0.1),
    "clip_reward": lambda: clip_reward(make_env("Pendulum-v1", **PENDULUM)),
    "select": lambda: select_observations(make_env("Pendulum-v1", **PENDULUM), (0, 2)),
    "flatten": lambda: flatten_observation(make_env("Breakout-MinAtar", max_steps_in_episode=3)),
    "statistics": lambda: record_episode_statistics(make_env("Pendulum-v1", **PENDULUM)),
    "sticky": lambda: sticky_actions(make_env("Pendulum-v1", **PENDULUM), probability=1.0),
    "limited": lambda: time_limit(make_env("Pendulum-v1"), max_steps=3),
    "masked": lambda: mask_actions(
        make_env("CartPole-v1", max_steps_in_episode=3), lambda observation: jnp.ones(2, bool)
    ),
}


def play_three(environment):
    """Three steps of an episode that has no more, and the state after them."""

    def run(key):
        state, _ = environment.reset(key)
        action = jnp.ones(environment.action_space.shape, environment.action_space.dtype)
        return jax.lax.scan(lambda state, _: environment.step(key, state, action), state, length=3)

    return jax.jit(run)(jax.random.key(0))


@pytest.mark.parametrize("name", WRAPPED)
def test_an_episode_is_the_same_without_the_reset(name):
    environment = WRAPPED[name]()
    state, with_reset = play_three(environment)
    last_state, without = play_three(play_once(environment))
    np.testing.assert_array_equal(with_reset.truncated, [False, False, True])
    for field in ("reward", "terminated", "truncated", "final_observation", "info"):
        chex.assert_trees_all_equal(getattr(with_reset, field), getattr(without, field))
    first, last = (jax.tree.map(lambda x: x[-1], t.observation) for t in (with_reset, without))
    final = jax.tree.map(lambda x: x[-1], without.final_observation)
    chex.assert_trees_all_equal(last, final)
    with pytest.raises(AssertionError):
        chex.assert_trees_all_equal(first, final)
    with pytest.raises(AssertionError):
        chex.assert_trees_all_equal(state, last_state)


def walk(limit=3):
    """One step to the right at a time, from a drawn start; terminates after `limit`."""

    def reset(key):
        start = jax.random.uniform(key)
        return (start, jnp.int32(0)), start[None]

    def step(key, state, action):
        position, time = state[0] + 1.0, state[1] + 1
        none = jnp.array(False)
        return (position, time), TimeStep(
            position[None], jnp.float32(1), time >= limit, none, position[None], {}
        )

    return reset, step


@pytest.mark.parametrize("step_uses_key", [True, False])
def test_the_next_episode_starts_where_one_ends(step_uses_key):
    reset, step = walk()
    resetting = auto_reset(reset, step, step_uses_key=step_uses_key)
    state, _ = reset(jax.random.key(0))
    key = jax.random.key(1)
    key_reset = jax.random.split(key)[1] if step_uses_key else key
    for _ in range(2):
        state, time_step = resetting(key, state, jnp.int32(0))
        np.testing.assert_array_equal(time_step.observation, time_step.final_observation)
    position = state[0]
    state, time_step = resetting(key, state, jnp.int32(0))
    assert time_step.terminated
    assert time_step.final_observation[0] == position + 1
    assert time_step.observation[0] == state[0] == reset(key_reset)[0][0]
    assert state[1] == 0


def test_what_resets_in_its_own_way_is_left_alone():
    reset, step = walk()
    space = Box(-jnp.inf, jnp.inf, (1,))
    environment = Environment("own", space, Discrete(2), reset, auto_reset(reset, step).whole, 3)
    assert play_once(environment) is environment


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


def test_no_random_number_is_drawn_for_a_start_that_nobody_sees():
    environment = make_env("CartPole-v1")
    key = jax.random.key(0)
    state, _ = environment.reset(key)

    def draws(environment):
        return "random" in str(jax.make_jaxpr(environment.step)(key, state, jnp.int32(0)))

    assert draws(environment)
    assert not draws(play_once(environment))

"""Tiny worlds with known values: each fails for one kind of mistake only."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.types import Box, Discrete, Environment, MultiDiscrete, TimeStep

DISCRETE = Discrete(2)
SIGN = Box(-1.0, 1.0, (1,))


def _random_sign(key):
    return jax.random.rademacher(key, (1,), jnp.float32)


def _one_step(name, action_space, reward_of):
    """Episodes of one step: a random sign is seen, an action taken, the task ends."""

    def reset(key):
        observation = _random_sign(key)
        return observation, observation

    def step(key, state, action):
        fresh = _random_sign(key)
        reward = jnp.asarray(reward_of(state, action), jnp.float32)
        step = TimeStep(fresh, reward, jnp.array(True), jnp.array(False), state, {})
        return fresh, step

    return Environment(name, SIGN, action_space, reset, step, max_episode_steps=1)


def reward_is_observation():
    """The value is what is seen: a critic that ignores its input or mixes up time fails."""
    return _one_step("reward-is-observation", DISCRETE, lambda state, action: state[0])


def action_matches_observation():
    """+1 for the action that matches the sign, -1 otherwise: the policy must look."""

    def reward_of(state, action):
        return jnp.where((action == 1) == (state[0] > 0), 1.0, -1.0)

    return _one_step("action-matches-observation", DISCRETE, reward_of)


def vector_of_actions():
    """Each of three factors has its own right answer; the best return is 3."""

    def reward_of(state, action):
        return jnp.sum(action == jnp.array([0, 2, 1]))

    return _one_step("vector-of-actions", MultiDiscrete((2, 3, 4)), reward_of)


def continuous_target(shape=(1,), low=-2.0, high=2.0, target=0.7):
    """-(a - target)^2 for a continuous action of any shape: the best return is 0."""

    def reward_of(state, action):
        assert action.shape == shape
        return -jnp.mean(jnp.square(action - target))

    return _one_step("continuous-target", Box(low, high, shape), reward_of)


class Clock(NamedTuple):
    time: jax.Array


def constant_reward(limit=5, *, terminates=False):
    """Reward 1 for ever, cut off every `limit` steps: V = 1 / (1 - discount) with a time limit.

    With `terminates` the cut is the task's own end, and V is a finite sum of the steps left.
    """

    def observe(time):
        return time[None] / limit if terminates else jnp.zeros(1)

    def reset(key):
        del key
        time = jnp.float32(0)
        return Clock(time), observe(time)

    def step(key, state, action):
        del key, action
        time = state.time + 1
        over = time >= limit
        kept = jnp.where(over, 0.0, time)
        timestep = TimeStep(
            observation=observe(kept),
            reward=jnp.float32(1),
            terminated=over & terminates,
            truncated=over & (not terminates),
            final_observation=observe(time),
            info={},
        )
        return Clock(kept), timestep

    return Environment("constant-reward", SIGN, DISCRETE, reset, step, max_episode_steps=limit)


def delayed_reward():
    """Two steps, reward 1 at the end: V = discount at the first, 1 at the second."""

    def observe(time):
        return 2 * time[None] - 1

    def reset(key):
        del key
        return Clock(jnp.float32(0)), observe(jnp.float32(0))

    def step(key, state, action):
        del key, action
        over = state.time >= 1
        kept = jnp.where(over, 0.0, 1.0)
        timestep = TimeStep(
            observation=observe(kept),
            reward=over.astype(jnp.float32),
            terminated=over,
            truncated=jnp.array(False),
            final_observation=observe(state.time + 1),
            info={},
        )
        return Clock(kept), timestep

    return Environment("delayed-reward", SIGN, DISCRETE, reset, step, max_episode_steps=2)

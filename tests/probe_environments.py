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
        del key
        reward = jnp.asarray(reward_of(state, action), jnp.float32)
        return state, TimeStep(state, reward, jnp.array(True), jnp.array(False), {})

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
        timestep = TimeStep(
            observation=observe(time),
            reward=jnp.float32(1),
            terminated=over & terminates,
            truncated=over & (not terminates),
            info={},
        )
        return Clock(time), timestep

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
        timestep = TimeStep(
            observation=observe(state.time + 1),
            reward=over.astype(jnp.float32),
            terminated=over,
            truncated=jnp.array(False),
            info={},
        )
        return Clock(state.time + 1), timestep

    return Environment("delayed-reward", SIGN, DISCRETE, reset, step, max_episode_steps=2)


class Cue(NamedTuple):
    time: jax.Array
    sign: jax.Array


def remembered_cue(delay=5):
    """A sign is seen at the first step; `delay` steps later +1 for its action, -1 for the other.

    The clock is seen at every step. Without memory the best return is 0 on average, with it 1.
    """

    def observe(state):
        seen = jnp.where(state.time == 0, state.sign, 0.0)
        return jnp.stack([seen, state.time / delay])

    def reset(key):
        state = Cue(jnp.float32(0), _random_sign(key)[0])
        return state, observe(state)

    def step(key, state, action):
        del key
        over = state.time >= delay
        right = (action == 1) == (state.sign > 0)
        after = state._replace(time=state.time + 1)
        timestep = TimeStep(
            observation=observe(after),
            reward=jnp.where(over, jnp.where(right, 1.0, -1.0), 0.0),
            terminated=over,
            truncated=jnp.array(False),
            info={},
        )
        return after, timestep

    space = Box(-1.0, 2.0, (2,))
    return Environment("remembered-cue", space, DISCRETE, reset, step, max_episode_steps=delay + 1)


class Door(NamedTuple):
    time: jax.Array
    door: jax.Array


def only_one_door(num_doors=6, limit=8):
    """Only one action is allowed, which is seen in `info["action_mask"]` and nowhere else.

    It gives 1, every other one -1; the right one changes at every step. At an episode's start any
    is right. With the masks even the first policy has the best return, `limit`.
    """

    def reset(key):
        return Door(jnp.int32(0), jax.random.randint(key, (), 0, num_doors)), jnp.zeros(1)

    def step(key, state, action):
        right = (action == state.door) | (state.time == 0)
        time = state.time + 1
        over = time >= limit
        after = Door(time, jax.random.randint(key, (), 0, num_doors))
        timestep = TimeStep(
            observation=jnp.zeros(1),
            reward=jnp.where(right, 1.0, -1.0),
            terminated=over,
            truncated=jnp.array(False),
            info={"action_mask": jnp.arange(num_doors) == after.door},
        )
        return after, timestep

    doors = Discrete(num_doors)
    return Environment("only-one-door", SIGN, doors, reset, step, max_episode_steps=limit)

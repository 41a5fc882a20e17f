"""A world that counts its steps, for tests of what is put around an environment."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from jaxrl.loops.worlds import where_ended
from jaxrl.types import Box, Discrete, Environment, TimeStep


class CountingState(NamedTuple):
    time: jax.Array
    episode: jax.Array


def counting_environment(*, length=4, action_space=None, max_episode_steps=None):
    """Terminates after `length` steps; shows (episode, steps taken, action); rewards the steps.

    Its reset draws the episode's number, so that every reset can be told from every other.
    """
    action_space = Discrete(10) if action_space is None else action_space

    def observe(state, action):
        shown = [state.episode, state.time.astype(jnp.float32), action.reshape(-1)[0]]
        return jnp.stack([jnp.asarray(value, jnp.float32) for value in shown])

    def reset(key):
        state = CountingState(jnp.int32(0), jax.random.uniform(key))
        return state, observe(state, jnp.float32(-1))

    def step(key, state, action):
        after = CountingState(state.time + 1, state.episode)
        return after, TimeStep(
            observation=observe(after, action),
            reward=after.time.astype(jnp.float32),
            terminated=after.time >= length,
            truncated=jnp.array(False),
            info={"kept": after.time},
        )

    space = Box(-jnp.inf, jnp.inf, (3,))
    return Environment("counting", space, action_space, reset, step, max_episode_steps)


def play(environment, actions, seed=0):
    """Plays a list of actions from a reset, and resets where an episode ended.

    Returns the observations that actions were chosen from, one more than there are actions, and all
    time steps.
    """
    key_reset, key_steps = jax.random.split(jax.random.key(seed))

    def run(actions):
        state, first = environment.reset(key_reset)

        def step(state, inputs):
            key, action = inputs
            key_step, key_next = jax.random.split(key)
            state, time_step = environment.step(key_step, state, action)
            ended = time_step.terminated | time_step.truncated
            present = (state, time_step.observation)
            state, seen = where_ended(ended, environment.reset(key_next), present)
            return state, (seen, time_step)

        keys = jax.random.split(key_steps, len(actions))
        _, (seen, steps) = jax.lax.scan(step, state, (keys, actions))
        together = lambda one, others: jnp.concatenate([one[None], others])  # noqa: E731
        return jax.tree.map(together, first, seen), steps

    return jax.jit(run)(jnp.asarray(actions))


@pytest.fixture(name="counting_environment")
def counting_environment_fixture():
    return counting_environment


@pytest.fixture(name="play")
def play_fixture():
    return play

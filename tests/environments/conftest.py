"""A world that counts its steps, for tests of what is put around an environment."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

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
        terminated = after.time >= length
        fresh, first_observation = reset(key)
        final_observation = observe(after, action)
        kept = jax.tree.map(lambda new, old: jnp.where(terminated, new, old), fresh, after)
        return kept, TimeStep(
            observation=jnp.where(terminated, first_observation, final_observation),
            reward=after.time.astype(jnp.float32),
            terminated=terminated,
            truncated=jnp.array(False),
            final_observation=final_observation,
            info={"kept": after.time},
        )

    space = Box(-jnp.inf, jnp.inf, (3,))
    return Environment("counting", space, action_space, reset, step, max_episode_steps)


def play(environment, actions, seed=0):
    """Plays a list of actions from a reset; returns the first observation and all time steps."""
    key_reset, key_steps = jax.random.split(jax.random.key(seed))

    def run(actions):
        state, observation = environment.reset(key_reset)

        def step(state, inputs):
            key, action = inputs
            return environment.step(key, state, action)

        keys = jax.random.split(key_steps, len(actions))
        return observation, jax.lax.scan(step, state, (keys, actions))[1]

    return jax.jit(run)(jnp.asarray(actions))


@pytest.fixture(name="counting_environment")
def counting_environment_fixture():
    return counting_environment


@pytest.fixture(name="play")
def play_fixture():
    return play

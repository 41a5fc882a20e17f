"""A world that counts its steps, for tests of what is put around an environment."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from jaxrl.environments import auto_reset
from jaxrl.types import Box, Discrete, Environment, TimeStep


class CountingState(NamedTuple):
    time: jax.Array
    episode: jax.Array


def counting_environment(
    *, resets_by_itself=False, length=4, action_space=None, max_episode_steps=None
):
    """Terminates after `length` steps; shows (episode, steps taken, action); rewards the steps.

    Its reset draws the episode's number, so that every reset can be told from every other. It
    resets by itself, or has a step that `auto_reset` makes of one that does not.
    """
    action_space = Discrete(10) if action_space is None else action_space

    def observe(state, action):
        shown = [state.episode, state.time.astype(jnp.float32), action.reshape(-1)[0]]
        return jnp.stack([jnp.asarray(value, jnp.float32) for value in shown])

    def reset(key):
        state = CountingState(jnp.int32(0), jax.random.uniform(key))
        return state, observe(state, jnp.float32(-1))

    def count(key, state, action):
        after = CountingState(state.time + 1, state.episode)
        final_observation = observe(after, action)
        return after, TimeStep(
            observation=final_observation,
            reward=after.time.astype(jnp.float32),
            terminated=after.time >= length,
            truncated=jnp.array(False),
            final_observation=final_observation,
            info={"kept": after.time},
        )

    def count_and_reset(key, state, action):
        after, time_step = count(key, state, action)
        ended = time_step.terminated
        fresh, first_observation = reset(key)
        kept = jax.tree.map(lambda new, old: jnp.where(ended, new, old), fresh, after)
        observation = jnp.where(ended, first_observation, time_step.observation)
        return kept, time_step._replace(observation=observation)

    step = count_and_reset if resets_by_itself else auto_reset(reset, count, step_uses_key=False)
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


@pytest.fixture(params=[True, False])
def either_counting_environment(request):
    return functools.partial(counting_environment, resets_by_itself=request.param)


@pytest.fixture(name="play")
def play_fixture():
    return play

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import flatten_observation, make_env, one_hot_observation
from jaxrl.types import Box, Discrete, MultiDiscrete


def with_observation(environment, space, observation):
    """The same observation for ever, then another as the final one."""

    def reset(key):
        return environment.reset(key)[0], observation

    def step(key, state, action):
        state, step = environment.step(key, state, action)
        return state, step._replace(observation=observation, final_observation=observation + 1)

    return environment._replace(observation_space=space, reset=reset, step=step)


def test_flattening():
    pong = make_env("Pong-misc")
    flat = flatten_observation(pong)
    key, action = jax.random.key(0), jnp.int32(0)
    assert flat.observation_space.shape == (30 * 40 * 3,)
    assert flat.name == pong.name
    (state, expected), (_, observation) = pong.reset(key), flat.reset(key)
    np.testing.assert_array_equal(observation, expected.ravel())
    step, flat_step = pong.step(key, state, action)[1], flat.step(key, state, action)[1]
    np.testing.assert_array_equal(flat_step.observation, step.observation.ravel())
    np.testing.assert_array_equal(flat_step.final_observation, step.final_observation.ravel())
    assert flat_step.info.keys() == step.info.keys()


def test_flattened_bounds(counting_environment):
    low = jnp.array([[0.0], [-1.0]])
    space = Box(low, 5.0, (2, 3), jnp.int32)
    environment = with_observation(counting_environment(), space, jnp.zeros((2, 3), jnp.int32))
    flat = flatten_observation(environment).observation_space
    np.testing.assert_array_equal(flat.low, [0, 0, 0, -1, -1, -1])
    assert (flat.high, flat.shape, flat.dtype) == (5.0, (6,), jnp.int32)


def test_flat_observations_pass(counting_environment):
    environment = counting_environment()
    assert flatten_observation(environment) is environment


def test_scalar_observations_gain_an_axis(counting_environment):
    space = Box(0.0, 1.0, ())
    environment = with_observation(counting_environment(), space, jnp.float32(0.5))
    flat = flatten_observation(environment)
    assert flat.observation_space.shape == flat.reset(jax.random.key(0))[1].shape == (1,)


def test_one_hot(counting_environment):
    environment = with_observation(counting_environment(), Discrete(4), jnp.int32(2))
    encoded = one_hot_observation(environment)
    state, observation = encoded.reset(jax.random.key(0))
    _, step = encoded.step(jax.random.key(0), state, jnp.int32(1))
    np.testing.assert_array_equal(observation, [0, 0, 1, 0])
    np.testing.assert_array_equal(step.observation, [0, 0, 1, 0])
    np.testing.assert_array_equal(step.final_observation, [0, 0, 0, 1])
    assert encoded.observation_space == Box(0.0, 1.0, (4,))
    assert observation.dtype == encoded.observation_space.dtype


def test_several_one_hots(counting_environment):
    space, observation = MultiDiscrete((2, 3)), jnp.array([0, 1])
    encoded = one_hot_observation(with_observation(counting_environment(), space, observation))
    state, observation = encoded.reset(jax.random.key(0))
    _, step = encoded.step(jax.random.key(0), state, jnp.int32(1))
    np.testing.assert_array_equal(observation, [1, 0, 0, 1, 0])
    np.testing.assert_array_equal(step.final_observation, [0, 1, 0, 0, 1])
    assert encoded.observation_space == Box(0.0, 1.0, (5,))


def test_wrong_spaces(counting_environment):
    with pytest.raises(ValueError, match="are Discrete, not a Box: use one_hot_observation"):
        flatten_observation(make_env("FrozenLake-misc"))
    with pytest.raises(ValueError, match="only Discrete and MultiDiscrete ones can be one-hot"):
        one_hot_observation(counting_environment())

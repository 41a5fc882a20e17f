import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import (
    flatten_observation,
    make_env,
    one_hot_observation,
    select_observations,
)
from jaxrl.types import Box, Discrete, MultiDiscrete


def with_observation(environment, space, observation):
    """The same observation at every start, and another after every step."""

    def reset(key):
        return environment.reset(key)[0], observation

    def step(key, state, action):
        state, step = environment.step(key, state, action)
        return state, step._replace(observation=observation + 1)

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
    np.testing.assert_array_equal(step.observation, [0, 0, 0, 1])
    assert encoded.observation_space == Box(0.0, 1.0, (4,))
    assert observation.dtype == encoded.observation_space.dtype


def test_several_one_hots(counting_environment):
    space, observation = MultiDiscrete((2, 3)), jnp.array([0, 1])
    encoded = one_hot_observation(with_observation(counting_environment(), space, observation))
    state, observation = encoded.reset(jax.random.key(0))
    _, step = encoded.step(jax.random.key(0), state, jnp.int32(1))
    np.testing.assert_array_equal(observation, [1, 0, 0, 1, 0])
    np.testing.assert_array_equal(step.observation, [0, 1, 0, 0, 1])
    assert encoded.observation_space == Box(0.0, 1.0, (5,))


def test_wrong_spaces(counting_environment):
    with pytest.raises(ValueError, match="are Discrete, not a Box: use one_hot_observation"):
        flatten_observation(make_env("FrozenLake-misc"))
    with pytest.raises(ValueError, match="only Discrete and MultiDiscrete ones can be one-hot"):
        one_hot_observation(counting_environment())


def test_selected_entries(counting_environment):
    space = Box(jnp.array([0.0, -1.0, -2.0]), 5.0, (3,))
    environment = with_observation(counting_environment(), space, jnp.array([0.5, 1.5, 2.5]))
    shown = select_observations(environment, (2, 0))
    state, observation = shown.reset(jax.random.key(0))
    _, step = shown.step(jax.random.key(0), state, jnp.int32(1))
    np.testing.assert_array_equal(observation, [2.5, 0.5])
    np.testing.assert_array_equal(step.observation, [3.5, 1.5])
    visible = shown.observation_space
    np.testing.assert_array_equal(visible.low, [-2, 0])
    assert (visible.high, visible.shape) == (5.0, (2,))


def test_velocities_can_be_hidden():
    cart_pole = make_env("CartPole-v1")
    positions = select_observations(cart_pole, (0, 2))
    key = jax.random.key(0)
    np.testing.assert_array_equal(
        positions.reset(key)[1], cart_pole.reset(key)[1][jnp.array([0, 2])]
    )
    assert positions.observation_space.contains(positions.reset(key)[1])


@pytest.mark.parametrize(
    ("name", "indices", "message"),
    [
        ("CartPole-v1", (0, 4), "index 4 is none of the 4 entries of CartPole-v1: they are 0 to 3"),
        ("CartPole-v1", (-1,), "index -1 is none of the 4"),
        ("CartPole-v1", (), "give at least one"),
        ("FrozenLake-misc", (0,), "needs observations of one axis"),
        ("Breakout-MinAtar", (0,), "use flatten_observation or one_hot_observation first"),
    ],
)
def test_entries_that_are_not_there(name, indices, message):
    with pytest.raises(ValueError, match=message):
        select_observations(make_env(name), indices)

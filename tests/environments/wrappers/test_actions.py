import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import (
    clip_actions,
    flatten_actions,
    make_env,
    rescale_actions,
    sticky_actions,
)
from jaxrl.types import Box


def test_clipping(counting_environment, play):
    environment = counting_environment(action_space=Box(-1.0, np.float32(0.5), (2,)))
    clipped = clip_actions(environment)
    actions = np.array([[-3.0, 0.0], [3.0, 0.0], [0.25, 0.0]], np.float32)
    _, steps = play(clipped, actions)
    np.testing.assert_array_equal(steps.observation[:, 2], [-1.0, 0.5, 0.25])
    assert clipped.action_space == environment.action_space
    assert clip_actions(clipped) is clipped


def test_nothing_to_clip(counting_environment):
    discrete = counting_environment()
    assert clip_actions(discrete) is discrete
    unbounded = counting_environment(action_space=Box(-jnp.inf, jnp.inf, (1,)))
    assert clip_actions(unbounded) is unbounded


def test_half_bounds_are_clipped(counting_environment, play):
    environment = clip_actions(counting_environment(action_space=Box(0.0, jnp.inf, (1,))))
    _, steps = play(environment, [[-2.0], [9.0]])
    np.testing.assert_array_equal(steps.observation[:, 2], [0.0, 9.0])


def test_rescaling(counting_environment, play):
    space = Box(jnp.array([-2.0, 0.0]), jnp.array([6.0, 1.0]), (2,))
    environment = rescale_actions(counting_environment(action_space=space))
    assert environment.action_space == Box(-1.0, 1.0, (2,))
    _, steps = play(environment, [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(steps.observation[:, 2], [-2.0, 2.0, 6.0])


def test_rescaling_a_traced_bound():
    def reward(max_torque, action):
        environment = clip_actions(rescale_actions(make_env("Pendulum-v1", max_torque=max_torque)))
        state, _ = environment.reset(jax.random.key(0))
        return environment.step(jax.random.key(1), state, action)[1].reward

    torques = jnp.array([1.0, 3.0])
    rewards = jax.jit(jax.vmap(reward, (0, None)))(torques, jnp.array([1.0]))
    resting = jax.jit(reward)(2.0, jnp.array([0.0]))
    np.testing.assert_allclose(resting - rewards, 0.001 * torques**2, rtol=1e-3)


@pytest.mark.parametrize("space", [Box(-1.0, jnp.inf, (1,)), Box(-jnp.inf, jnp.inf, (1,))])
def test_rescaling_needs_finite_bounds(counting_environment, space):
    with pytest.raises(ValueError, match="rescale_actions needs finite ones"):
        rescale_actions(counting_environment(action_space=space))


def test_rescaling_needs_a_box(counting_environment):
    with pytest.raises(ValueError, match="are Discrete, not a Box"):
        rescale_actions(counting_environment())


def test_flat_actions_regain_their_shape(counting_environment, play):
    low = jnp.array([[0.0], [-1.0]])
    environment = counting_environment(action_space=Box(low, 5.0, (2, 3)))
    flat = flatten_actions(environment)
    assert flat.action_space.shape == (6,)
    np.testing.assert_array_equal(flat.action_space.low, [0, 0, 0, -1, -1, -1])
    _, steps = play(flat, np.arange(12.0).reshape(2, 6))
    np.testing.assert_array_equal(steps.observation[:, 2], [0.0, 6.0])
    assert flatten_actions(flat) is flat
    scalar = flatten_actions(counting_environment(action_space=Box(-1.0, 1.0, ())))
    _, steps = play(scalar, [[0.5]])
    np.testing.assert_array_equal(steps.observation[:, 2], [0.5])


def test_whole_numbers_are_no_box(counting_environment):
    with pytest.raises(ValueError, match="a Box of int32: whole numbers must be Discrete"):
        flatten_actions(counting_environment(action_space=Box(0, 5, (2,), jnp.int32)))


def test_sticky_actions_repeat_what_was_done(counting_environment, play):
    num_steps, length, probability = 4000, 4, 0.25
    environment = sticky_actions(counting_environment(length=length), probability=probability)
    actions = np.arange(num_steps) % 10
    _, steps = play(environment, actions)
    done = np.asarray(steps.observation[:, 2])
    first = np.arange(num_steps) % length == 0
    np.testing.assert_array_equal(done[first], actions[first])
    repeated = done != actions
    np.testing.assert_array_equal(done[repeated], done[np.flatnonzero(repeated) - 1])
    frequency = repeated[~first].mean()
    standard_error = np.sqrt(probability * (1 - probability) / (~first).sum())
    assert abs(frequency - probability) < 4 * standard_error


@pytest.mark.parametrize(("probability", "expected"), [(0.0, [1, 2, 3, 4]), (1.0, [1, 1, 1, 1])])
def test_sticky_extremes(counting_environment, play, probability, expected):
    environment = sticky_actions(counting_environment(), probability=probability)
    _, steps = play(environment, [1, 2, 3, 4])
    np.testing.assert_array_equal(steps.observation[:, 2], expected)


@pytest.mark.parametrize("probability", [-0.1, 1.5])
def test_sticky_probability(counting_environment, probability):
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        sticky_actions(counting_environment(), probability=probability)

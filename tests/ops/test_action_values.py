"""Targets of action values by hand and against rlax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax

from jaxrl.ops.action_values import (
    double_q_value,
    q_target,
    smoothed_action,
    soft_value,
    temperature_loss,
    value_of,
)


def test_target_of_a_termination_and_a_truncation_by_hand():
    """3 + 0.9 * 10 = 12 goes on or is cut off; 3 ends; 3 + 0.81 * 10 two steps later."""
    target = q_target(jnp.full(3, 3.0), jnp.array([0.9, 0.0, 0.81]), jnp.full(3, 10.0))
    np.testing.assert_allclose(target, [12.0, 3.0, 11.1], rtol=1e-6)


@pytest.mark.parametrize("nothing", [jnp.nan, jnp.inf, -jnp.inf])
def test_the_successor_of_a_termination_is_not_read(nothing):
    target = q_target(jnp.full(2, 3.0), jnp.array([0.0, 0.9]), jnp.array([nothing, 10.0]))
    np.testing.assert_allclose(target, [3.0, 12.0], rtol=1e-6)
    np.testing.assert_array_equal(q_target(jnp.ones(1), jnp.zeros(1), jnp.array([nothing])), [1.0])


def test_the_value_of_an_action_and_its_gradient():
    values = jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    action = jnp.array([2, 0])
    np.testing.assert_array_equal(value_of(values, action), [3.0, 4.0])
    gradient = jax.grad(lambda values: jnp.sum(value_of(values, action)))(values)
    np.testing.assert_array_equal(gradient, [[0, 0, 1], [1, 0, 0]])


@pytest.mark.parametrize("action", [3, -1])
def test_an_action_that_does_not_exist_has_no_value(action):
    values = jnp.array([1.0, 2.0, 3.0])
    value, gradient = jax.value_and_grad(value_of)(values, jnp.int32(action))
    assert np.isnan(value)
    np.testing.assert_array_equal(gradient, 0.0)


def test_double_q_by_hand():
    """The learning network prefers the second and the first action; the target values them."""
    online = jnp.array([[1.0, 2.0], [3.0, 2.0]])
    target = jnp.array([[9.0, 4.0], [-1.0, 8.0]])
    np.testing.assert_array_equal(double_q_value(online, target), [4.0, -1.0])


def test_double_q_errors_are_rlaxs():
    random = np.random.default_rng(0)
    values, online, target = (jnp.asarray(x) for x in random.normal(size=(3, 20, 4)).astype("f4"))
    reward, discount = (jnp.asarray(x) for x in random.random(size=(2, 20)).astype("f4"))
    action = jnp.asarray(random.integers(0, 4, 20), jnp.int32)
    theirs = jax.jit(jax.vmap(rlax.double_q_learning))(
        values, action, reward, discount, target, online
    )
    ours = q_target(reward, discount, double_q_value(online, target)) - value_of(values, action)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    theirs = jax.jit(jax.vmap(rlax.q_learning))(values, action, reward, discount, target)
    ours = q_target(reward, discount, jnp.max(target, axis=-1)) - value_of(values, action)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_smoothing_clips_the_noise_and_keeps_within_the_bounds():
    """Bounds -2 and 4, half a width of 3, a clip of 0.5: noise moves by 1.5 at most.

    0 + 3 * 0.1; 0 + 3 * 0.5 of 0.9; 3.5 + 1.5 > 4; -1.5 - 1.5 < -2; 1 - 3 * 0.2.
    """
    action = jnp.array([[0.0], [0.0], [3.5], [-1.5], [1.0]])
    noise = jnp.array([[0.1], [0.9], [0.9], [-0.9], [-0.2]])
    smoothed = smoothed_action(action, noise, noise_clip=0.5, low=-2.0, high=4.0)
    np.testing.assert_allclose(smoothed[:, 0], [0.3, 1.5, 4.0, -2.0, 0.4], rtol=1e-5)


def test_smoothing_with_bounds_of_each_component():
    low, high = jnp.array([-1.0, 0.0]), jnp.array([1.0, 10.0])
    smoothed = smoothed_action(
        jnp.array([0.5, 5.0]), jnp.array([-0.2, 0.3]), noise_clip=0.25, low=low, high=high
    )
    np.testing.assert_allclose(smoothed, [0.5 - 0.2, 5.0 + 0.25 * 5], rtol=1e-6)


def test_entropy_target_of_twin_critics_by_hand():
    """1 + 0.9 (min(4, 5) - 0.2 log pi) with log pi = -1.5: 1 + 0.9 * 4.3; ended: 1."""
    twins = jnp.array([[4.0, 7.0], [5.0, 6.0]])
    value = soft_value(jnp.min(twins, axis=0), jnp.array([-1.5, 2.0]), temperature=0.2)
    np.testing.assert_allclose(value, [4.3, 5.6], rtol=1e-6)
    target = q_target(jnp.ones(2), jnp.array([0.9, 0.0]), value)
    np.testing.assert_allclose(target, [4.87, 1.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("log_probability", "target_entropy", "gradient"),
    # An entropy of 0.5 above its target of -1: down by 1.5; one of -3 below it: up by 2.
    [([-1.0, 0.0], -1.0, 1.5), ([2.0, 4.0], -1.0, -2.0), ([1.0, 1.0], -1.0, 0.0)],
)
def test_temperature_by_hand(log_probability, target_entropy, gradient):
    def loss(log_temperature):
        return temperature_loss(
            log_temperature, jnp.array(log_probability), target_entropy=target_entropy
        )

    value, found = jax.value_and_grad(loss)(jnp.float32(0.5))
    np.testing.assert_allclose(found, gradient, atol=1e-6)
    np.testing.assert_allclose(value, 0.5 * gradient, atol=1e-6)


@pytest.mark.parametrize(
    "mistaken",
    [
        lambda: q_target(jnp.zeros((2, 1)), jnp.zeros((2, 1)), jnp.zeros(2)),
        lambda: soft_value(jnp.zeros(2), jnp.zeros((2, 1)), temperature=1.0),
        lambda: double_q_value(jnp.zeros((2, 3)), jnp.zeros((2, 4))),
    ],
)
def test_shapes_that_would_broadcast_are_refused(mistaken):
    with pytest.raises((AssertionError, TypeError)):
        mistaken()

"""Value losses by hand, against optax and rlax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import rlax

from jaxrl.ops.value_losses import clipped_value_loss, huber_loss, squared_loss, td_error


def test_td_error_bootstraps_a_truncation_and_not_a_termination() -> None:
    """Only the argument `terminated` exists: 1 + 0.5 * 8 - 2 = 3, and 1 - 2 = -1."""
    error = td_error(
        jnp.ones((1, 2)),
        jnp.full((1, 2), 2.0),
        jnp.full((1, 2), 8.0),
        jnp.array([[False, True]]),
        discount=0.5,
    )
    np.testing.assert_allclose(error, [[3.0, -1.0]])


def test_td_error_equals_rlax() -> None:
    reward, value, next_value = jax.random.normal(jax.random.key(0), (3, 20))
    terminated = jax.random.bernoulli(jax.random.key(1), 0.3, (20,))
    discount = jnp.where(terminated, 0.0, 0.9)
    expected = jax.vmap(rlax.td_learning)(value, reward, discount, next_value)
    actual = td_error(reward, value, next_value, terminated, discount=0.9)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_a_terminal_value_that_is_not_finite_does_not_matter() -> None:
    error = td_error(
        jnp.ones(1), jnp.zeros(1), jnp.full(1, jnp.nan), jnp.array([True]), discount=0.9
    )
    np.testing.assert_allclose(error, [1.0])


def test_squared_loss_by_hand() -> None:
    assert squared_loss(jnp.array([1.0, 4.0]), jnp.array([3.0, 4.0])) == 1.0


@pytest.mark.parametrize("threshold", [0.5, 1.0, 3.0])
def test_huber_loss_equals_optax(threshold: float) -> None:
    prediction, target = 2 * jax.random.normal(jax.random.key(0), (2, 5, 6))
    expected = optax.losses.huber_loss(prediction, target, delta=threshold).mean()
    actual = huber_loss(prediction, target, threshold=threshold)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_huber_loss_by_hand() -> None:
    """Errors 1/2 and 3 at threshold 1: 1/8 and 3 - 1/2."""
    loss = huber_loss(jnp.array([0.5, -3.0]), jnp.zeros(2))
    np.testing.assert_allclose(loss, (0.125 + 2.5) / 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.05, 0.5 * 0.95**2),  # inside the range: the plain loss
        (2.0, 0.5 * 0.9**2),  # the clipped value 1.1 is further from the target 2: it counts
        (0.0, 0.5 * 2.0**2),  # the clipped value 0.9 is nearer: the plain loss counts
    ],
)
def test_clipped_value_loss_by_hand(value: float, expected: float) -> None:
    loss = clipped_value_loss(jnp.array([value]), jnp.ones(1), jnp.full(1, 2.0), clip_epsilon=0.1)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_clipped_value_loss_with_a_wide_range_is_the_squared_loss() -> None:
    value, old_value, target = jax.random.normal(jax.random.key(0), (3, 20))
    clipped = clipped_value_loss(value, old_value, target, clip_epsilon=100.0)
    np.testing.assert_allclose(clipped, squared_loss(value, target), rtol=1e-5)
    unclipped = clipped_value_loss(value, old_value, target, clip_epsilon=None)
    np.testing.assert_array_equal(unclipped, squared_loss(value, target))
    narrow = clipped_value_loss(value, old_value, target, clip_epsilon=0.1)
    assert narrow > squared_loss(value, target)


def test_shapes_that_would_broadcast_are_refused() -> None:
    column, row = jnp.zeros((4, 1)), jnp.zeros(4)
    with pytest.raises(AssertionError):
        squared_loss(column, row)
    with pytest.raises(AssertionError):
        huber_loss(column, row)
    with pytest.raises(AssertionError):
        clipped_value_loss(row, column, row, clip_epsilon=0.1)


@pytest.mark.parametrize("nothing", [jnp.nan, jnp.inf])
def test_what_has_no_weight_is_not_read(nothing: float) -> None:
    prediction, target = jnp.array([nothing, 1.0, 1.0]), jnp.array([0.0, nothing, 0.5])
    weight = jnp.array([0.0, 0.0, 3.0])
    for loss_of in (squared_loss, huber_loss):
        loss, gradient = jax.value_and_grad(loss_of)(prediction, target, weight=weight)
        np.testing.assert_allclose(loss, 3 * 0.5**2 / 2 / 3, rtol=1e-6)
        np.testing.assert_allclose(gradient, [0.0, 0.0, 0.5], rtol=1e-6)


def test_without_a_discount_no_successor_is_read() -> None:
    nothing = jnp.array([jnp.nan])
    error = td_error(jnp.ones(1), jnp.zeros(1), nothing, jnp.array([False]), discount=0.0)
    np.testing.assert_array_equal(error, [1.0])

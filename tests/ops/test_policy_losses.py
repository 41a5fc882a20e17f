"""Policy losses against known values, policy gradients by hand and rlax."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax
from jax import Array

from jaxrl.ops.policy_losses import (
    clipped_surrogate_loss,
    score_function_loss,
    surrogate_loss,
)
from jaxrl.ops.weighting import probability_ratio


def reference_log_ratio() -> Array:
    logits = jnp.array([[1.0, 1.0, 1.0], [2.0, 0.0, 0.0], [-1.0, -2.0, -3.0]])
    old_logits = jnp.array([[1.0, 1.0, 1.0], [2.0, 0.0, 0.0], [-3.0, -2.0, -1.0]])
    taken = jnp.arange(3), jnp.array([0, 1, 2])
    return jax.nn.log_softmax(logits)[taken] - jax.nn.log_softmax(old_logits)[taken]


@pytest.mark.parametrize(("sign", "published"), [(1.0, -0.17117467), (-1.0, 0.19333333)])
def test_clipped_surrogate_known_values(sign: float, published: float) -> None:
    """The ratios are 1, 1 and exp(-2), which is clipped to 0.8 where the advantage is negative."""
    advantage = sign * jnp.array([0.3, 0.2, 0.1])
    loss = clipped_surrogate_loss(reference_log_ratio(), advantage, clip_epsilon=0.2)
    np.testing.assert_allclose(loss, published, rtol=1e-4)
    last_ratio = np.exp(-2) if sign > 0 else 0.8
    np.testing.assert_allclose(loss, -sign * (0.3 + 0.2 + 0.1 * last_ratio) / 3, rtol=1e-6)


def test_clipped_surrogate_equals_rlax() -> None:
    log_ratio, advantage = jax.random.normal(jax.random.key(0), (2, 50))
    loss = clipped_surrogate_loss(log_ratio, advantage, clip_epsilon=0.3)
    expected = rlax.clipped_surrogate_pg_loss(jnp.exp(log_ratio), advantage, 0.3)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_clipped_surrogate_gradient_stops_only_where_leaving_the_range_would_be_rewarded() -> None:
    log_ratio = jnp.log(jnp.array([1.5, 1.5, 0.5, 0.5, 1.1, 0.9]))
    advantage = jnp.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    gradient = jax.grad(clipped_surrogate_loss)(log_ratio, advantage, clip_epsilon=0.2)
    np.testing.assert_allclose(gradient * 6, [0.0, 1.5, -0.5, 0.0, -1.1, 0.9], rtol=1e-5)


@pytest.mark.parametrize(
    ("actions", "weights", "expected"),
    [
        ((1, 0, 0), (1, 1, 1), -2.0),  # game 2 with rewards-to-go
        ((0, 1, 0), (2, 1, 1), -4.0),  # game 3 with rewards-to-go: its last two steps cancel
        ((0, 1, 0), (2, 2, 2), -4.0),  # game 3 with the total reward
    ],
)
def test_surrogate_gradient_is_the_policy_gradient_of_the_three_games(
    actions: tuple[int, ...], weights: tuple[int, ...], expected: float
) -> None:
    """One parameter theta = P(move) = 1/2; the gradient of log pi is 2 for a move, else -2."""
    action, weight = jnp.array(actions), jnp.array(weights, float)

    def loss(theta: Array) -> Array:
        log_probability = jnp.log(jnp.where(action == 1, theta, 1 - theta))
        return surrogate_loss(log_probability - jnp.log(0.5), weight)

    gradient = -len(actions) * jax.grad(loss)(jnp.float32(0.5))
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_surrogate_by_hand_and_within_the_clip_range() -> None:
    log_ratio, advantage = jnp.log(jnp.array([0.95, 1.05])), jnp.array([2.0, -4.0])
    np.testing.assert_allclose(surrogate_loss(log_ratio, advantage), 1.15, rtol=1e-5)
    clipped = clipped_surrogate_loss(log_ratio, advantage, clip_epsilon=0.1)
    np.testing.assert_allclose(clipped, 1.15, rtol=1e-5)


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(AssertionError):
        surrogate_loss(jnp.zeros((4, 1)), jnp.zeros(4))
    with pytest.raises(AssertionError):
        clipped_surrogate_loss(jnp.zeros((4, 1)), jnp.zeros(4), clip_epsilon=0.2)


@pytest.mark.parametrize("log_ratio", [25.0, 100.0, 3e38, jnp.inf])
def test_a_ratio_that_overflows_has_a_loss_and_a_gradient(log_ratio: float) -> None:
    """Clipped, it earns nothing more; where it is to fall, its gradient says so."""
    x = jnp.array([log_ratio, 0.0])
    for advantage, expected in ((1.0, (-1.2 - 1) / 2), (0.0, -0.5)):
        loss, gradient = jax.value_and_grad(clipped_surrogate_loss)(
            x, jnp.array([advantage, 1.0]), clip_epsilon=0.2
        )
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
        np.testing.assert_allclose(gradient, [0.0, -0.5], rtol=1e-6)
    for loss_of in (surrogate_loss, partial(clipped_surrogate_loss, clip_epsilon=0.2)):
        loss, gradient = jax.value_and_grad(loss_of)(x, jnp.array([-1.0, 1.0]))
        assert np.isfinite(loss)
        assert np.isfinite(gradient).all()
        assert gradient[0] >= (1e6 if log_ratio <= 100 else 0.0)
    np.testing.assert_array_equal(surrogate_loss(x, jnp.zeros(2)), 0.0)


@pytest.mark.parametrize("nothing", [jnp.nan, jnp.inf, -jnp.inf])
def test_what_has_no_weight_is_not_read(nothing: float) -> None:
    x, weight = jnp.array([nothing, 0.5]), jnp.array([0.0, 2.0])
    ratio = np.exp(0.5)
    for loss_of, loss, slope in (
        (score_function_loss, -0.5, -1.0),
        (surrogate_loss, -ratio, -ratio),
        (partial(clipped_surrogate_loss, clip_epsilon=0.9), -ratio, -ratio),
    ):
        value, gradient = jax.value_and_grad(loss_of)(x, weight)
        np.testing.assert_allclose(value, loss, rtol=1e-6)
        np.testing.assert_allclose(gradient, [0.0, slope], rtol=1e-6)


def test_the_ratio_is_the_exponential_and_then_its_tangent() -> None:
    x = jnp.array([-jnp.inf, -3.0, 0.0, 20.0, 21.0])
    expected = [0.0, np.exp(-3), 1.0, np.exp(20), 2 * np.exp(20)]
    np.testing.assert_allclose(probability_ratio(x), expected, rtol=1e-6)
    slopes = jax.vmap(jax.grad(probability_ratio))(x)
    np.testing.assert_allclose(slopes, [0.0, np.exp(-3), 1.0, np.exp(20), np.exp(20)], rtol=1e-6)

"""Policy losses against known values, policy gradients by hand and rlax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax
from jax import Array

from jaxrl.ops.policy_losses import clipped_surrogate_loss, surrogate_loss


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

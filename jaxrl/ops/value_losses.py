"""Losses and errors of value predictions.

No gradient is stopped here: pass targets that were computed outside the differentiated function,
or wrap them in `jax.lax.stop_gradient`.
"""

import chex
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxrl.ops.weighting import counted, weighted


def td_error(
    reward: Float[Array, "*batch"],
    value: Float[Array, "*batch"],
    next_value: Float[Array, "*batch"],
    terminated: Bool[Array, "*batch"],
    *,
    discount: Float[Array, "*#batch"] | float,
) -> Float[Array, "*batch"]:
    """The one-step temporal-difference error.

        delta = r + discount (1 - terminated) V(s') - V(s)

    Args:
        reward: r.
        value: V(s).
        next_value: V of the true successor, before any reset; unused where `terminated`.
        terminated: whether the task ended. A truncation does not matter here: its successor counts.
        discount: per step, one for all or one each.

    Returns:
        The error of each element.

    Source: Sutton and Barto (2018), equation 6.5.
    """
    chex.assert_equal_shape([reward, value, next_value, terminated])
    future = weighted(discount, jnp.where(terminated, 0.0, next_value))
    return reward + future - value


def squared_loss(
    prediction: Float[Array, "..."],
    target: Float[Array, "..."],
    *,
    weight: Float[Array, "..."] | float = 1.0,
) -> Float[Array, ""]:
    """Half the mean squared error, whose gradient is the mean error.

        mean[weight (prediction - target)^2 / 2]

    Some libraries leave out the half: their coefficient of this loss is half of ours.

    Args:
        prediction: of any shape.
        target: of the same shape.
        weight: of each element; of the same shape, or one for all. Where it is 0 nothing is read.

    Returns:
        The loss.
    """
    chex.assert_equal_shape([prediction, target])
    return 0.5 * jnp.mean(weight * jnp.square(counted(weight, prediction - target)))


def huber_loss(
    prediction: Float[Array, "..."],
    target: Float[Array, "..."],
    *,
    threshold: float = 1.0,
    weight: Float[Array, "..."] | float = 1.0,
) -> Float[Array, ""]:
    """Quadratic for small errors, linear beyond `threshold`; the mean over all elements.

        mean[weight (e^2 / 2 where |e| <= threshold, else threshold (|e| - threshold / 2))]

    Args:
        prediction: of any shape.
        target: of the same shape.
        threshold: the largest slope, positive.
        weight: of each element; of the same shape, or one for all. Where it is 0 nothing is read.

    Returns:
        The loss.

    Source: Huber (1964), "Robust Estimation of a Location Parameter".
    """
    chex.assert_equal_shape([prediction, target])
    distance = jnp.abs(counted(weight, prediction - target))
    quadratic = jnp.minimum(distance, threshold)
    loss = 0.5 * jnp.square(quadratic) + threshold * (distance - quadratic)
    return jnp.mean(weight * loss)


def clipped_value_loss(
    value: Float[Array, "..."],
    old_value: Float[Array, "..."],
    target: Float[Array, "..."],
    *,
    clip_epsilon: Float[Array, ""] | float | None,
) -> Float[Array, ""]:
    """The squared loss that does not reward moving far from the old value.

        mean[max((V - target)^2, (clip(V, V_old - epsilon, V_old + epsilon) - target)^2) / 2]

    The maximum is pessimistic: where clipping makes the error smaller, the unclipped one counts.

    Args:
        value: V, of any shape.
        old_value: V_old, when the data were gathered; of the same shape.
        target: of the same shape.
        clip_epsilon: in units of the value, positive; None: the squared loss alone.

    Returns:
        The loss.

    Source: Huang et al. (2022), "The 37 Implementation Details of Proximal Policy Optimization",
    detail 9, after the code of Schulman et al. (2017); half of the square as in `squared_loss`.
    """
    chex.assert_equal_shape([value, old_value, target])
    if clip_epsilon is None:
        return squared_loss(value, target)
    clipped_value = old_value + jnp.clip(value - old_value, -clip_epsilon, clip_epsilon)
    loss = jnp.maximum(jnp.square(value - target), jnp.square(clipped_value - target))
    return 0.5 * jnp.mean(loss)

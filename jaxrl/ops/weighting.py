"""Products that do not read what has no weight, and ratios of probabilities that stay finite."""

from typing import TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float

Weight: TypeAlias = Float[Array, "..."] | float

# exp(20) is 5e8: no estimate is any good at such a ratio, and its square is still a float32.
LARGEST_LOG_RATIO = 20.0
# Where the tangent ends: a category that was forbidden has a logit of -3e38.
_END_OF_TANGENT = 1e4


def counted(weight: Weight, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The values that have a weight, and 0 where the weight is 0, whatever stands there.

    No gradient reaches those. It belongs before whatever is not linear: the gradient of a function
    at nan is nan, also where it is multiplied by 0 later.

    Args:
        weight: such as a mask, a discount or a trace; broadcasts against `x`.
        x: anything, also nan or infinite where the weight is 0.

    Returns:
        The values, of the shape of both.
    """
    return jnp.where(jnp.asarray(weight) == 0, 0.0, x)


def weighted(weight: Weight, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The product weight * x, which is 0 where the weight is 0: a plain one is nan where x is.

    Args:
        weight: see `counted`.
        x: see `counted`.

    Returns:
        The product.
    """
    return weight * counted(weight, x)


def probability_ratio(log_ratio: Float[Array, "..."]) -> Float[Array, "..."]:
    """The ratio exp(log_ratio), continued by its tangent beyond e^20.

        exp(x) where x <= 20, else exp(20) (1 + x - 20), for x up to 10,000

    So neither the ratio nor its gradient overflows, and a larger log-ratio is a larger ratio still.

    Args:
        log_ratio: log pi(a|s) - log pi_old(a|s), of any shape.

    Returns:
        The ratio, of the same shape.
    """
    bounded = jnp.minimum(log_ratio, LARGEST_LOG_RATIO)
    beyond = jnp.clip(log_ratio - LARGEST_LOG_RATIO, 0.0, _END_OF_TANGENT)
    return jnp.exp(bounded) * (1.0 + beyond)

"""Baselines of returns: means over episodes played side by side, and standardisation.

Arrays are [T, m]: T times of m episodes of different lengths, with a mask of what counts.
"""

import chex
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# Sums of a few hundred float32 rewards differ by this share of their size through rounding alone.
_ROUNDING = 1e-5


def batch_mean_baseline(
    returns: Float[Array, "T m"], counted: Bool[Array, "T m"]
) -> Float[Array, "T m"]:
    """At each time the mean return over the episodes that count there, one's own included.

    Since an episode's own return is in its baseline, a term of an estimate from n episodes shrinks
    to (1 - 1/n) of what it would be: the direction is right, the length too small.

    Args:
        returns: of each episode from each time.
        counted: which of them count.

    Returns:
        The mean, the same for all episodes; 0 where none counts.

    Source: Williams (1992), "Simple Statistical Gradient-Following Algorithms for Connectionist
    Reinforcement Learning", section 4, on reinforcement baselines.
    """
    chex.assert_equal_shape([returns, counted])
    total = jnp.sum(returns, axis=1, where=counted, keepdims=True)
    count = jnp.sum(counted, axis=1, keepdims=True)
    return jnp.broadcast_to(total / jnp.maximum(count, 1), returns.shape)


def leave_one_out_baseline(
    returns: Float[Array, "T m"], counted: Bool[Array, "T m"]
) -> Float[Array, "T m"]:
    """At each time the mean return over the other episodes that count there.

        b_i = sum_{j != i} G_j / (n - 1)

    It does not depend on what episode i did, so it leaves the estimate without bias.

    Args:
        returns: of each episode from each time.
        counted: which of them count.

    Returns:
        The mean for each episode; 0 where no other counts.

    Source: Kool et al. (2019), "Buy 4 REINFORCE Samples, Get a Baseline for Free!", equation 8.
    """
    chex.assert_equal_shape([returns, counted])
    own = jnp.where(counted, returns, 0.0)
    others = jnp.sum(own, axis=1, keepdims=True) - own
    count = jnp.sum(counted, axis=1, keepdims=True) - counted.astype(jnp.int32)
    return jnp.where(count > 0, others / jnp.maximum(count, 1), 0.0)


def standardize_counted(
    weight: Float[Array, "T m"],
    counted: Bool[Array, "T m"],
    *,
    magnitude: Float[Array, ""] | float,
) -> Float[Array, "T m"]:
    """Mean 0 and standard deviation 1 over what counts; weights without spread become 0.

    A single weight stays as it is: less its mean it would be 0, and nothing would be learnt.

    Args:
        weight: such as returns less a baseline.
        counted: which of them count.
        magnitude: of the numbers that `weight` was computed from. A spread that their rounding can
            explain is none: dividing by it would make noise as large as a signal.

    Returns:
        The standardised weights; 0 where nothing counts.
    """
    chex.assert_equal_shape([weight, counted])
    highest = jnp.max(weight, where=counted, initial=-jnp.inf)
    lowest = jnp.min(weight, where=counted, initial=jnp.inf)
    spread = highest - lowest > _ROUNDING * magnitude
    count = jnp.maximum(jnp.sum(counted), 1)
    centred = weight - jnp.sum(weight, where=counted) / count
    deviation = jnp.sqrt(jnp.sum(jnp.square(centred), where=counted) / count)
    scaled = centred / jnp.where(spread, deviation, 1.0)
    standardized = jnp.where(spread & counted, scaled, 0.0)
    return jnp.where((count == 1) & counted, weight, standardized)

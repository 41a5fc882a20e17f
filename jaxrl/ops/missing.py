"""The value that says "nothing to report": no episode ended, or a row was not needed.

It is nan. While `jax_debug_nans` is on, which stops a program at every nan, it is minus infinity:
so a healthy run passes, and one that diverges is stopped. A mean over values of which one is
missing is missing too, in either case. (`jax_debug_infs` stops at infinities and leaves nan alone:
have one of the two on at a time.)

JAX does not trace a program again when the flag changes. Set it before the first one runs, as
`JAX_DEBUG_NANS=1` does, or call `jax.clear_caches()`.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float


def _stops_at_nan() -> bool:
    return bool(jax.config.jax_debug_nans)  # pyright: ignore[reportAttributeAccessIssue]


def missing_value() -> float:
    """The value, as the flag is while a program is traced."""
    return -math.inf if _stops_at_nan() else math.nan


def is_missing(values: Float[Array, "..."]) -> Bool[Array, "..."]:
    """The value that stands where there is nothing to report.

    Args:
        values: of any shape.
    """
    return values == -jnp.inf if _stops_at_nan() else jnp.isnan(values)


def known_mean(values: Float[Array, " n"], weights: Float[Array, " n"]) -> Float[Array, ""]:
    """The weighted mean of what is not missing; missing where there is nothing of any weight.

    Args:
        values: nan, or what stands for it, where there is nothing to report.
        weights: not negative.
    """
    weights = jnp.where(is_missing(values), 0.0, weights)
    total = jnp.sum(weights)
    # A weight of 0 does not silence an infinite value: 0 * inf is nan.
    products = jnp.where(weights > 0, values * weights, 0.0)
    # Nor may a division that is not needed make a nan.
    mean = jnp.sum(products) / jnp.where(total > 0, total, 1.0)
    return jnp.where(total > 0, mean, missing_value())


def with_nan(values: Any) -> Any:
    """Numpy arrays, among them of numbers, with nan for what is missing: outside of JAX it may be.

    Args:
        values: a tree of numpy arrays.
    """

    def restored(x: Any) -> Any:
        is_float = np.issubdtype(x.dtype, np.floating)
        return np.where(x == -np.inf, np.asarray(np.nan, x.dtype), x) if is_float else x

    return jax.tree.map(restored, values) if _stops_at_nan() else values

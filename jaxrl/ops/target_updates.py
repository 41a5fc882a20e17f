"""How the parameters of a target network follow those that learn."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl.types import Params


def soft_update(params: Params, target: Params, *, tau: Float[Array, ""] | float) -> Params:
    """A step of an exponential moving average: target + tau (params - target), leaf by leaf.

    Args:
        params: that learn; any pytree.
        target: that follow; of the same structure and shapes.
        tau: the share of `params`, in [0, 1].

    Returns:
        The new target.

    Source: Lillicrap et al. (2016, arXiv:1509.02971), algorithm 1.
    """
    return jax.tree.map(lambda new, old: old + tau * (new - old), params, target)


def hard_update(params: Params, target: Params, *, now: Any) -> Params:
    """A copy of the parameters where it is time for one, else the target as it was.

    Args:
        params: that learn; any pytree.
        target: that follow; of the same structure and shapes.
        now: bool, shape ().

    Returns:
        The new target.
    """
    return jax.tree.map(lambda new, old: jnp.where(now, new, old), params, target)


def periodic_update(
    params: Params, target: Params, *, update: Int[Array, ""] | int, period: int
) -> Params:
    """A copy of the parameters after every `period`-th update (Mnih et al. 2015).

    Args:
        params: that learn; any pytree.
        target: that follow; of the same structure and shapes.
        update: how many updates there have been, this one included.
        period: between two copies, at least 1.

    Returns:
        The new target.
    """
    return hard_update(params, target, now=update % period == 0)

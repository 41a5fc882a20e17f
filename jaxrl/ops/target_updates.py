"""Updates of target networks: parameters that follow those that learn."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl.types import Params


def soft_update(params: Params, target: Params, *, tau: Float[Array, ""] | float) -> Params:
    """A step of an exponential moving average: (1 - tau) target + tau params, leaf by leaf.

    Args:
        params: that learn; any pytree.
        target: that follow; of the same structure and shapes.
        tau: the share of `params`, in [0, 1]; 1 copies them exactly.

    Returns:
        The new target.

    Source: Lillicrap et al. (2016, arXiv:1509.02971), algorithm 1.
    """
    return jax.tree.map(lambda new, old: (1 - tau) * old + tau * new, params, target)


def periodic_update(
    params: Params,
    target: Params,
    *,
    update: Int[Array, ""] | int,
    period: int,
    tau: Float[Array, ""] | float = 1.0,
) -> Params:
    """A soft update after every `period`-th update; with tau 1 a copy, as in Mnih et al. (2015).

    Args:
        params: that learn; any pytree.
        target: that follow; of the same structure and shapes.
        update: how many updates there have been, this one included.
        period: between two changes of the target, static, at least 1.
        tau: see `soft_update`.

    Returns:
        The new target; exactly the old one in between.
    """
    if period == 1:
        return soft_update(params, target, tau=tau)
    changed = soft_update(params, target, tau=tau)
    is_due = jnp.asarray(update) % period == 0
    return jax.tree.map(lambda new, old: jnp.where(is_due, new, old), changed, target)

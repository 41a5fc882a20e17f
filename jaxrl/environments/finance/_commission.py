"""Costs of moving a portfolio from one set of weights to another, paid out of the portfolio."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

# Newton's method needs one step per asset that is found to be sold, and of many assets far fewer:
# after six steps the rest is below float32's resolution for costs up to a third of the trade.
_MOST_STEPS = 6


def commission_factor(
    before: Float[Array, " M"],
    after: Float[Array, " M"],
    *,
    buying_cost: Any = 0.0025,
    selling_cost: Any = 0.0025,
) -> Float[Array, ""]:
    """The share of its wealth that a portfolio keeps when its weights change.

    Costs are paid out of the wealth itself, so the factor mu solves

        mu = (1 - c_b w'_0 - (c_s + c_b - c_s c_b) sum_i max(w'_i - mu w_i, 0)) / (1 - c_b w_0)

    with the weights w' before and w after, cash first, which trades at no cost. Of the money spent
    on purchases the share c_b is lost, of the proceeds of sales the share c_s. The difference of
    both sides is convex, increasing and piecewise linear in mu, so that Newton's method from 1
    reaches the fixed point itself, with one linear solution per set of assets that are sold.

    Args:
        before: [M], weights of cash and of each asset before the trade; none is negative, and they
            sum to 1.
        after: those wanted, as shares of the wealth that is left.
        buying_cost: c_b, a share of the money spent, in [0, 1).
        selling_cost: c_s, a share of the proceeds, in [0, 1).

    Returns:
        mu, in (0, 1]; 1 where nothing is traded.

    Example:
        >>> import jax.numpy as jnp
        >>> drifted = jnp.array([0.2, 0.5 * 1.1, 0.3 * 0.9])
        >>> wanted = jnp.array([0.1, 0.3, 0.6])
        >>> print(f"{commission_factor(drifted / drifted.sum(), wanted):.6f}")
        0.998563

    Source: Jiang, Xu and Liang (2017), "A deep reinforcement learning framework for the financial
    portfolio management problem", equation 14, which they iterate.
    """
    return 1.0 - commission_share(before, after, buying_cost=buying_cost, selling_cost=selling_cost)


def commission_share(
    before: Float[Array, " M"],
    after: Float[Array, " M"],
    *,
    buying_cost: Any,
    selling_cost: Any,
) -> Float[Array, ""]:
    """The share of its wealth that a portfolio pays: 1 - `commission_factor`, with all its digits.

    Args:
        before: weights before the trade, cash first.
        after: those wanted.
        buying_cost: a share of the money spent.
        selling_cost: a share of the proceeds.

    Returns:
        In [0, 1).
    """
    both = selling_cost + buying_cost - selling_cost * buying_cost
    cash_before, held = before[0], before[1:]
    cash_after, wanted = after[0], after[1:]
    excess = held - wanted
    share = jnp.float32(0)
    for _ in range(min(held.shape[0] + 1, _MOST_STEPS)):
        sold = excess + share * wanted > 0
        paid = buying_cost * (cash_before - cash_after) + both * jnp.sum(
            jnp.where(sold, excess, 0.0)
        )
        slope = 1.0 - buying_cost * cash_after - both * jnp.sum(jnp.where(sold, wanted, 0.0))
        # Rounding may make nothing of a trade look like less than nothing.
        share = jnp.maximum(paid / slope, 0.0)
    return share

"""Closed forms of market making: Avellaneda-Stoikov quotes, and the optimum by matrix exponential.

A market maker quotes a bid below the mid price and an ask above it; the distance of a quote from
the mid price is its *depth*. Orders of one share arrive at a quote as a Poisson process of
intensity A exp(-k depth), the mid price is a Brownian motion, and inventory is what is held.

Units: prices, depths and profits are in dollars (per share), inventory in shares, time in days,
volatility in dollars per square root of a day, risk aversion in 1 / dollar.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_TAYLOR_TERMS = 10
"""Of a matrix exponential of norm up to 1: 1 / 11! is below the rounding of float32."""
_SUBSTEPS = 4
"""Between two times of a table: over a shorter time, a penalty is less steep for a float32."""


def reservation_price(
    mid_price: Any, inventory: Any, time_left: Any, *, risk_aversion: Any, volatility: Any
) -> Array:
    """The price at which a risk-averse dealer is indifferent to one share more or less.

    s - q gamma sigma^2 (T - t): Avellaneda and Stoikov (2008), equation 29.

    Args:
        mid_price: s, dollars.
        inventory: q, shares; negative if short.
        time_left: T - t, days.
        risk_aversion: gamma, 1 / dollar.
        volatility: sigma, dollars per square root of a day.

    Returns:
        The price in dollars, in the shape that the arguments broadcast to.

    Example:
        >>> float(reservation_price(100.0, 3, 0.5, risk_aversion=0.125, volatility=2.0))
        99.25
    """
    return jnp.asarray(mid_price - inventory * risk_aversion * volatility**2 * time_left)


def optimal_spread(
    time_left: Any, *, risk_aversion: Any, volatility: Any, depth_decay: Any
) -> Array:
    """The distance of ask and bid that Avellaneda and Stoikov quote around the reservation price.

    gamma sigma^2 (T - t) + (2 / gamma) ln(1 + gamma / k): Avellaneda and Stoikov (2008), equation
    30. Without risk aversion it is its limit, 2 / k.

    Args:
        time_left: T - t, days.
        risk_aversion: gamma, 1 / dollar, at least 0.
        volatility: sigma, dollars per square root of a day.
        depth_decay: k, 1 / dollar.

    Returns:
        The spread in dollars, in the shape that the arguments broadcast to.

    Example:
        >>> spread = optimal_spread(1.0, risk_aversion=0.1, volatility=2.0, depth_decay=1.5)
        >>> round(float(spread), 4)
        1.6908
    """
    risk = risk_aversion * volatility**2 * time_left
    return risk + 2.0 * risk_neutral_depth(risk_aversion=risk_aversion, depth_decay=depth_decay)


def average_spread(horizon: Any, *, risk_aversion: Any, volatility: Any, depth_decay: Any) -> Array:
    """The mean of the optimal spread over the horizon: what the symmetric strategy quotes.

    Avellaneda and Stoikov (2008), section 3.3; 1.49 in their first table.

    Args:
        horizon: T, days.
        risk_aversion: gamma, 1 / dollar, at least 0.
        volatility: sigma, dollars per square root of a day.
        depth_decay: k, 1 / dollar.

    Returns:
        The spread in dollars, in the shape that the arguments broadcast to.
    """
    return optimal_spread(
        horizon / 2.0, risk_aversion=risk_aversion, volatility=volatility, depth_decay=depth_decay
    )


def risk_neutral_depth(*, risk_aversion: Any, depth_decay: Any) -> Array:
    """The depth of a quote that leaves the price of inventory alone, ln(1 + gamma / k) / gamma.

    Without risk aversion it is its limit, 1 / k. The remaining depth is what one share more or less
    costs.

    Args:
        risk_aversion: gamma, 1 / dollar, at least 0.
        depth_decay: k, 1 / dollar.

    Returns:
        The depth in dollars, in the shape that the arguments broadcast to.
    """
    ratio = jnp.asarray(risk_aversion / depth_decay, jnp.float32)
    # Where gamma is 0 the division is by 1 instead, so that gradients are numbers too.
    positive = jnp.where(ratio > 0.0, ratio, 1.0)
    return jnp.where(ratio > 0.0, jnp.log1p(positive) / positive, 1.0) / depth_decay


def avellaneda_stoikov_depths(
    inventory: Any, time_left: Any, *, risk_aversion: Any, volatility: Any, depth_decay: Any
) -> Float[Array, "*shape 2"]:
    """The depths of bid and ask around the mid price: the spread around the reservation price.

    They are an approximation for small inventories (a linear expansion of the arrival rate), and
    negative where the reservation price leaves the spread.

    Args:
        inventory: q, shares.
        time_left: T - t, days.
        risk_aversion: gamma, 1 / dollar, at least 0.
        volatility: sigma, dollars per square root of a day.
        depth_decay: k, 1 / dollar.

    Returns:
        Bid and ask depth in dollars, [..., 2] after the shape that the arguments broadcast to.

    Example:
        >>> avellaneda_stoikov_depths(
        ...     0, 0.0, risk_aversion=0.0, volatility=2.0, depth_decay=2.0
        ... ).tolist()
        [0.5, 0.5]
    """
    half = 0.5 * optimal_spread(
        time_left, risk_aversion=risk_aversion, volatility=volatility, depth_decay=depth_decay
    )
    skew = reservation_price(
        0.0, inventory, time_left, risk_aversion=risk_aversion, volatility=volatility
    )
    return jnp.stack(jnp.broadcast_arrays(half - skew, half + skew), axis=-1)


def fill_value(*, arrival_rate: Any, depth_decay: Any, risk_aversion: Any = 0.0) -> Array:
    """The intensity of orders at the best depth, A (1 + gamma / k)^(-1 - k / gamma) per day.

    It is the factor eta of Guéant, Lehalle and Fernandez-Tapia (2013), and A / e without risk
    aversion.

    Args:
        arrival_rate: A, orders per day at depth 0.
        depth_decay: k, 1 / dollar.
        risk_aversion: gamma, 1 / dollar, at least 0.

    Returns:
        eta in orders per day, in the shape that the arguments broadcast to.
    """
    depth = risk_neutral_depth(risk_aversion=risk_aversion, depth_decay=depth_decay)
    return arrival_rate * jnp.exp(-depth_decay * depth) / (1.0 + risk_aversion / depth_decay)


class MarketMakingOptimum(NamedTuple):
    """The optimum in continuous time on a grid of times and inventories.

    Attributes:
        values: h [N + 1, 2 Q + 1] in dollars, at the times 0, T / N .. T and of the inventories
            -Q .. Q. What the market maker expects from now on, beside its wealth at the mid price.
        depths: [N, 2 Q + 1, 2] in dollars at the times 0 .. T - T / N: bid and ask; infinite where
            a fill would break the limit of the inventory.
    """

    values: Float[Array, "N+1 inventories"]
    depths: Float[Array, "N inventories 2"]


def market_making_optimum(
    *,
    volatility: Any,
    arrival_rate: Any,
    depth_decay: Any,
    horizon: Any,
    num_steps: int,
    inventory_limit: int,
    running_penalty: Any = 0.0,
    terminal_penalty: Any = 0.0,
    liquidation_cost: Any = 0.0,
    risk_aversion: Any = 0.0,
    drift: Any = 0.0,
) -> MarketMakingOptimum:
    """The exact optimum in continuous time, by one matrix exponential.

    With no risk aversion it maximises E[profit - phi int q^2 dt - alpha q_T^2 - c |q_T|]: Cartea,
    Jaimungal and Penalva (2015), chapter 10, equations 10.8 - 10.12. With one it maximises
    E[-exp(-gamma profit)]: Guéant, Lehalle and Fernandez-Tapia (2013), theorem 1. In both,
    w = exp(k h) solves the linear w' = -M w, where M has k (mu q - (phi + gamma sigma^2 / 2) q^2)
    on its diagonal and `fill_value` beside it; the best depths are h(q) - h(q +- 1) and
    `risk_neutral_depth`.

    Args:
        volatility: sigma, dollars per square root of a day.
        arrival_rate: A, orders per day and side at depth 0.
        depth_decay: k, 1 / dollar.
        horizon: T, days.
        num_steps: N, the times at which the optimum is given; static.
        inventory_limit: Q, shares; static.
        running_penalty: phi, dollars per share^2 and day.
        terminal_penalty: alpha, dollars per share^2.
        liquidation_cost: c, dollars per share held at the end.
        risk_aversion: gamma, 1 / dollar.
        drift: mu of the mid price, dollars per day.

    Returns:
        Values, and depths in dollars.
    """
    inventory = jnp.arange(-inventory_limit, inventory_limit + 1, dtype=jnp.result_type(float))
    running = (running_penalty + 0.5 * risk_aversion * volatility**2) * inventory**2
    beside = fill_value(
        arrival_rate=arrival_rate, depth_decay=depth_decay, risk_aversion=risk_aversion
    )
    step = horizon / (num_steps * _SUBSTEPS)
    diagonal = depth_decay * (drift * inventory - running)
    log_transition = _log_exponential(diagonal * step, beside * step)
    terminal = -terminal_penalty * inventory**2 - liquidation_cost * jnp.abs(inventory)

    def back(values: Array, _: None) -> tuple[Array, Array]:
        earlier = values
        for _substep in range(_SUBSTEPS):
            terms = log_transition + depth_decay * earlier[None, :]
            earlier = jax.nn.logsumexp(terms, axis=1) / depth_decay
        return earlier, values

    first, later = jax.lax.scan(back, terminal, None, length=num_steps, reverse=True)
    values = jnp.concatenate([first[None], later])
    base = risk_neutral_depth(risk_aversion=risk_aversion, depth_decay=depth_decay)
    return MarketMakingOptimum(values=values, depths=base + _prices_of_a_share(values[:-1]))


def stationary_depths(
    inventory: Any,
    *,
    volatility: Any,
    arrival_rate: Any,
    depth_decay: Any,
    running_penalty: Any = 0.0,
    risk_aversion: Any = 0.0,
) -> Float[Array, "*shape 2"]:
    """The closed-form approximation of the optimum far from the end, without a limit.

    Guéant, Lehalle and Fernandez-Tapia (2013), section 4: the depth of one who does not mind
    inventory, plus (1 +- 2 q) / 2 sqrt(c / (k eta)), where c = phi + gamma sigma^2 / 2 and eta is
    `fill_value`.

    Args:
        inventory: q, shares.
        volatility: sigma, dollars per square root of a day.
        arrival_rate: A, orders per day and side at depth 0.
        depth_decay: k, 1 / dollar.
        running_penalty: phi, dollars per share^2 and day.
        risk_aversion: gamma, 1 / dollar.

    Returns:
        Bid and ask depth in dollars, [..., 2] after the shape that the arguments broadcast to.
    """
    eta = fill_value(
        arrival_rate=arrival_rate, depth_decay=depth_decay, risk_aversion=risk_aversion
    )
    cost = running_penalty + 0.5 * risk_aversion * volatility**2
    slope = jnp.sqrt(cost / (depth_decay * eta))
    base = risk_neutral_depth(risk_aversion=risk_aversion, depth_decay=depth_decay)
    bid = base + (0.5 + inventory) * slope
    ask = base + (0.5 - inventory) * slope
    return jnp.stack(jnp.broadcast_arrays(bid, ask), axis=-1)


def _prices_of_a_share(
    values: Float[Array, "N inventories"],
) -> Float[Array, "N inventories 2"]:
    """What one share more, and one less, costs in value; infinite beyond the limit."""
    cost = values[:, :-1] - values[:, 1:]
    beyond = jnp.full((values.shape[0], 1), jnp.inf)
    more = jnp.concatenate([cost, beyond], axis=1)
    fewer = jnp.concatenate([beyond, -cost], axis=1)
    return jnp.stack([more, fewer], axis=-1)


def _log_exponential(diagonal: Float[Array, " n"], beside: Any) -> Float[Array, "n n"]:
    """The logarithm of exp(M), entry by entry, of a tridiagonal M with positive numbers beside.

    `jax.scipy.linalg.expm` is exact to the rounding of the largest entry, which is not enough: the
    values that it multiplies lie orders of magnitude apart that no float spans. Here no entry is a
    difference of others, so that each has its own digits.
    """
    size = diagonal.shape[0]
    # M is shifted to have no negative entry, and its exponential scaled to have none above 1.
    shift = jnp.min(diagonal)
    matrix = jnp.diag(diagonal - shift) + beside * (jnp.eye(size, k=1) + jnp.eye(size, k=-1))
    norm = jnp.max(jnp.sum(matrix, axis=1))
    halvings = jnp.ceil(jnp.log2(jnp.maximum(norm, 1.0))).astype(jnp.int32)
    scale = 2.0 ** -halvings.astype(jnp.float32)
    exponential = term = jnp.eye(size)
    for power in range(1, _TAYLOR_TERMS + 1):
        term = _product(term, matrix * scale) / power
        exponential = exponential + term
    exponential = exponential * jnp.exp(-norm * scale)
    exponential = jax.lax.fori_loop(0, halvings, lambda _, x: _product(x, x), exponential)
    # An entry on the diagonal that is too small for a float32 keeps the smallest one.
    floor = jnp.finfo(jnp.float32).tiny * jnp.eye(size)
    return jnp.log(jnp.maximum(exponential, floor)) + norm + shift


def _product(one: Float[Array, "n n"], other: Float[Array, "n n"]) -> Float[Array, "n n"]:
    # Accelerators multiply in fewer digits unless told.
    return jnp.matmul(one, other, precision="highest")

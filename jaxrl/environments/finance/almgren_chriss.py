"""Optimal execution of one order in closed form, after Almgren and Chriss.

Source: R. Almgren, N. Chriss, Optimal execution of portfolio transactions, Journal of Risk 3(2),
2000, sections 1 to 3.

A seller has X shares and N periods of tau = T / N days. In period k it sells n_k = x_{k-1} - x_k:

    S_k  = S_{k-1} + sigma sqrt(tau) xi_k - gamma n_k             the price, xi_k standard normal
    S~_k = S_{k-1} - epsilon - (eta / tau) n_k                    what a share brings

A seller's temporary impact lowers what a share brings. The shortfall X S_0 - sum n_k S~_k has

    E = gamma X^2 / 2 + epsilon X + (eta~ / tau) sum n_k^2,   eta~ = eta - gamma tau / 2
    V = sigma^2 tau sum x_k^2, k = 1 .. N

and what minimises E + lambda V is x_j = X sinh(kappa (T - t_j)) / sinh(kappa T) with
(2 / tau^2) (cosh(kappa tau) - 1) = kappa~^2 = lambda sigma^2 / eta~. It is a
hyperbolic sine because the holdings end at 0; a hyperbolic cosine in its place, with the selling
rate kappa tanh, would leave shares over at T.

The formulas are 0 / 0 at lambda = 0 and imaginary below. Both are avoided: the share of what
remains that is sold, f_k = (a + f_{k+1}) / (1 + a + f_{k+1}) with f_N = 1 and a = kappa~^2 tau^2,
gives the same holdings, is a rational function of lambda, and subtracts nothing where lambda >= 0.
All of it can be traced, vmapped and differentiated. It is computed in JAX's default float.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.environments.finance._requirements import (
    concrete,
    require,
    require_not_negative,
    require_positive,
    require_whole,
)

# Bisections of the risk aversion, in factors of a = kappa~^2 tau^2 from e^-30 to e^30.
_LOG_RANGE = 30.0
_BISECTIONS = 60


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class AlmgrenChriss:
    """One order to sell and the market that it meets; the defaults are the paper's (table 1).

    Numbers may be traced; num_periods is static.

    Attributes:
        shares: X, to be sold; shares.
        horizon: T, by when; days.
        num_periods: N, decisions, evenly spaced.
        volatility: sigma; dollars per share and per square root of a day.
        half_spread: epsilon; dollars per share.
        permanent_impact: gamma; dollars per share, for each share sold.
        temporary_impact: eta; dollars per share, for each share per day.

    Raises:
        ValueError: a number is out of its range, or the temporary impact so small beside the
            permanent one (eta <= gamma tau / 2) that there is no optimum.

    Example:
        >>> order = AlmgrenChriss()
        >>> [round(float(x)) for x in optimal_holdings(order, 0.0)]
        [1000000, 800000, 600000, 400000, 200000, 0]
    """

    shares: Any = 1_000_000.0
    horizon: Any = 5.0
    num_periods: int = dataclasses.field(default=5, metadata={"static": True})
    volatility: Any = 0.95
    half_spread: Any = 0.0625
    permanent_impact: Any = 2.5e-7
    temporary_impact: Any = 2.5e-6

    def __post_init__(self) -> None:
        require_whole("num_periods", self.num_periods, minimum=1)
        for name in ("shares", "horizon"):
            require_positive(name, getattr(self, name))
        for name in ("volatility", "half_spread", "permanent_impact", "temporary_impact"):
            require_not_negative(name, getattr(self, name))
        numbers = (self.permanent_impact, self.horizon)
        if all(concrete(number) is not None for number in numbers):
            least = self.permanent_impact * self.period / 2
            should = f"exceed permanent_impact * horizon / num_periods / 2 = {least}"
            require("temporary_impact", self.temporary_impact, lambda eta: eta > least, should)

    @property
    def period(self) -> Any:
        """Length of a period, tau, in days."""
        return self.horizon / self.num_periods

    @property
    def adjusted_impact(self) -> Any:
        """Temporary impact less half of a period's permanent one, eta~."""
        return self.temporary_impact - self.permanent_impact * self.period / 2


def optimal_fractions(order: AlmgrenChriss, risk_aversion: Any) -> Float[Array, " N"]:
    """Shares of what remains that the optimal seller sells in each period; the last is 1.

    Below 0 the seller likes risk, and sells late. Too far below, E + lambda V has no minimum; where
    that is known in traced numbers only, the shares are nan.

    Args:
        order: the order and the market.
        risk_aversion: lambda, per dollar; infinite for a sale of everything at once.

    Raises:
        ValueError: there is no minimum.
    """
    return _sold_and_kept(order, risk_aversion)[0]


def optimal_holdings(order: AlmgrenChriss, risk_aversion: Any) -> Float[Array, " points"]:
    """Optimal holdings x_0 = X to x_N = 0, in shares.

    Args:
        order: the order and the market.
        risk_aversion: lambda, per dollar, as for `optimal_fractions`.

    Example:
        >>> order = AlmgrenChriss()
        >>> holdings = optimal_holdings(order, 1e-6)
        >>> round(float(shortfall_mean(order, holdings)) / 1e6, 3)
        0.911
    """
    _, kept = _sold_and_kept(order, risk_aversion)
    shares = jnp.asarray(order.shares, kept.dtype)
    return shares * jnp.concatenate([jnp.ones(1, kept.dtype), jnp.cumprod(kept)])


def optimal_trades(order: AlmgrenChriss, risk_aversion: Any) -> Float[Array, " N"]:
    """Optimal sales n_1 to n_N, in shares.

    Args:
        order: the order and the market.
        risk_aversion: lambda, per dollar, as for `optimal_fractions`.
    """
    sold, _ = _sold_and_kept(order, risk_aversion)
    return sold * optimal_holdings(order, risk_aversion)[:-1]


def shortfall_mean(order: AlmgrenChriss, holdings: Float[Array, " points"]) -> Float[Array, ""]:
    """Expected shortfall E of a schedule, in dollars.

    Args:
        order: the order and the market.
        holdings: x_0 to x_N, in shares; what is left at the end is not sold.
    """
    trades, held = holdings[:-1] - holdings[1:], holdings[1:]
    permanent = order.permanent_impact * jnp.sum(held * trades)
    temporary = order.temporary_impact / order.period * jnp.sum(trades**2)
    return permanent + order.half_spread * jnp.sum(jnp.abs(trades)) + temporary


def shortfall_variance(order: AlmgrenChriss, holdings: Float[Array, " points"]) -> Float[Array, ""]:
    """Variance V of a schedule's shortfall, in dollars^2.

    Args:
        order: the order and the market.
        holdings: x_0 to x_N, in shares.
    """
    return order.volatility**2 * order.period * jnp.sum(holdings[1:] ** 2)


def efficient_frontier(
    order: AlmgrenChriss, risk_aversions: Float[Array, " K"]
) -> tuple[Float[Array, " K"], Float[Array, " K"]]:
    """Mean and variance of the shortfall of optimal schedules.

    Args:
        order: the order and the market.
        risk_aversions: lambda of each, per dollar.

    Returns:
        E in dollars and V in dollars^2.

    Example:
        >>> import jax.numpy as jnp
        >>> mean, variance = efficient_frontier(AlmgrenChriss(), jnp.array([0.0, 1e-6]))
        >>> float(mean[0])
        662500.0
    """

    def point(risk_aversion: Any) -> tuple[Array, Array]:
        holdings = optimal_holdings(order, risk_aversion)
        return shortfall_mean(order, holdings), shortfall_variance(order, holdings)

    return jax.vmap(point)(jnp.asarray(risk_aversions))


def urgency(order: AlmgrenChriss, risk_aversion: Any) -> Float[Array, ""]:
    """Rate kappa at which optimal holdings fall, per day.

    Where lambda < 0 it is minus the frequency omega of x_j = X sin(omega (T - t_j)) / sin(omega T).
    It grows with the root of lambda, whose slope at 0 is infinite; its derivative is 0 there.

    Args:
        order: the order and the market.
        risk_aversion: lambda, per dollar.
    """
    ratio = _risk_ratio(order, risk_aversion)
    root = _safe_sqrt(jnp.abs(ratio))
    # 2 arcsinh(sqrt(a) / 2) is arccosh(1 + a / 2) without its loss of digits near 1.
    averse = 2 * jnp.arcsinh(root / 2)
    seeking = -2 * jnp.arcsin(jnp.where(ratio < 0, root / 2, 0.0))
    return jnp.where(ratio < 0, seeking, averse) / order.period


def half_life(order: AlmgrenChriss, risk_aversion: Any) -> Float[Array, ""]:
    """Time 1 / kappa in which an optimal seller without a deadline sells all but 1 / e, in days.

    The paper calls it the trade's half-life (section 2.3). Infinite where kappa is 0.

    Args:
        order: the order and the market.
        risk_aversion: lambda >= 0, per dollar.
    """
    kappa = urgency(order, risk_aversion)
    positive = kappa > 0
    return jnp.where(positive, 1 / jnp.where(positive, kappa, 1.0), jnp.inf)


def liquidity_adjusted_value_at_risk(
    order: AlmgrenChriss, holdings: Float[Array, " points"], confidence: Any = 0.95
) -> Float[Array, ""]:
    """Shortfall that a schedule exceeds with probability 1 - confidence: E + z sqrt(V), in dollars.

    Args:
        order: the order and the market.
        holdings: x_0 to x_N, in shares.
        confidence: between 0 and 1; z is its standard normal quantile.
    """
    require("confidence", confidence, lambda p: (p > 0) & (p < 1), "lie between 0 and 1")
    deviation = _safe_sqrt(shortfall_variance(order, holdings))
    return shortfall_mean(order, holdings) + _quantile(confidence) * deviation


def value_at_risk_minimiser(order: AlmgrenChriss, confidence: Any = 0.95) -> Float[Array, ""]:
    """Risk aversion lambda whose optimal schedule has the least liquidity-adjusted value at risk.

    On the frontier dE = -lambda dV, so that E + z sqrt(V) is least where 2 lambda sqrt(V) = z. The
    left side grows with lambda (the frontier of E over sqrt(V) is convex) and is found by
    bisection. Where it stays below z, everything at once is best and lambda is infinite.
    No derivative passes through it; that of the least value itself needs none.

    Args:
        order: the order and the market.
        confidence: above 1/2 and below 1.
    """
    require("confidence", confidence, lambda p: (p > 0.5) & (p < 1), "lie between 0.5 and 1")
    order, quantile = jax.lax.stop_gradient((order, _quantile(confidence)))
    unit = 1 / _risk_ratio(order, 1.0)

    def reaches(log_ratio: Any) -> Array:
        risk_aversion = unit * jnp.exp(log_ratio)
        variance = shortfall_variance(order, optimal_holdings(order, risk_aversion))
        return 2 * risk_aversion * jnp.sqrt(variance) >= quantile

    def halve(_: Any, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = (low + high) / 2
        reached = reaches(middle)
        return jnp.where(reached, low, middle), jnp.where(reached, middle, high)

    ends = jnp.asarray(-_LOG_RANGE, unit.dtype), jnp.asarray(_LOG_RANGE, unit.dtype)
    low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, ends)
    return jnp.where(reaches(ends[1]), unit * jnp.exp((low + high) / 2), jnp.inf)


def continuous_urgency(order: AlmgrenChriss, risk_aversion: Any) -> Float[Array, ""]:
    """Rate kappa = sqrt(lambda sigma^2 / eta) of a seller who trades all the time, per day.

    Where lambda < 0, minus the frequency, as for `urgency`.

    Args:
        order: the order and the market, whose num_periods has no part in it.
        risk_aversion: lambda, per dollar.
    """
    square = _squared_angle(order, risk_aversion)
    return jnp.sign(square) * _safe_sqrt(jnp.abs(square)) / order.horizon


def continuous_holdings(
    order: AlmgrenChriss, risk_aversion: Any, times: Float[Array, "*times"]
) -> Float[Array, "*times"]:
    """Optimal holdings x(t) = X sinh(kappa (T - t)) / sinh(kappa T) of continuous trading, shares.

    Args:
        order: the order and the market.
        risk_aversion: lambda, per dollar; nan comes of less than -eta pi^2 / (sigma T)^2.
        times: t, between 0 and T; days.
    """
    square = _squared_angle(order, risk_aversion)
    left = 1 - jnp.asarray(times) / order.horizon
    near = left * _sinh_over_root(square * left**2) / _sinh_over_root(square)
    root = jnp.sqrt(jnp.maximum(square, 1.0))
    far = jnp.exp(-root * (1 - left)) * jnp.expm1(-2 * root * left) / jnp.expm1(-2 * root)
    return order.shares * jnp.where(square > 1, far, near)


def continuous_rates(
    order: AlmgrenChriss, risk_aversion: Any, times: Float[Array, "*times"]
) -> Float[Array, "*times"]:
    """Optimal rates v(t) = X kappa cosh(kappa (T - t)) / sinh(kappa T), shares per day.

    Args:
        order: the order and the market.
        risk_aversion: lambda, per dollar, as for `continuous_holdings`.
        times: t, between 0 and T; days.
    """
    square = _squared_angle(order, risk_aversion)
    left = 1 - jnp.asarray(times) / order.horizon
    near = _cosh_of_root(square * left**2) / _sinh_over_root(square)
    root = jnp.sqrt(jnp.maximum(square, 1.0))
    waves = (1 + jnp.exp(-2 * root * left)) / -jnp.expm1(-2 * root)
    far = root * jnp.exp(-root * (1 - left)) * waves
    return order.shares / order.horizon * jnp.where(square > 1, far, near)


def continuous_shortfall(
    order: AlmgrenChriss, risk_aversion: Any
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean and variance of the optimal shortfall of continuous trading.

    With r = kappa T, the integral of v^2 is X^2 / T (r coth r + (r / sinh r)^2) / 2, and that of
    x^2 is X^2 T (r coth r - (r / sinh r)^2) / (2 r^2).

    Args:
        order: the order and the market.
        risk_aversion: lambda, per dollar, as for `continuous_holdings`.

    Returns:
        E in dollars and V in dollars^2.
    """
    square = _squared_angle(order, risk_aversion)
    root = jnp.sqrt(jnp.maximum(square, 1.0))
    sine = _sinh_over_root(square)
    slope = jnp.where(square > 1, root / jnp.tanh(root), _cosh_of_root(square) / sine)
    decay = root * jnp.exp(-root) * 2 / -jnp.expm1(-2 * root)
    curve = jnp.where(square > 1, decay, 1 / sine) ** 2
    near = jnp.abs(square) <= 1
    # (S(4 q) - 1) / (2 q) with S(q) = sinh(sqrt q) / sqrt q, which has no 0 / 0 as a series.
    series = _series(jnp.where(near, 4 * square, 0.0), first=3, count=12) * 2
    apart = (slope - curve) / (2 * jnp.where(near, 1.0, square))
    moment = jnp.where(near, series * curve, apart)
    shares, horizon = jnp.asarray(order.shares, square.dtype), order.horizon
    mean = order.permanent_impact * shares**2 / 2 + order.half_spread * shares
    mean = mean + order.temporary_impact * shares**2 / horizon * (slope + curve) / 2
    return mean, order.volatility**2 * shares**2 * horizon * moment


def _sold_and_kept(order: AlmgrenChriss, risk_aversion: Any) -> tuple[Array, Array]:
    """Shares [N] of what remains that are sold, and those that are kept."""
    ratio = _risk_ratio(order, risk_aversion)
    # The least eigenvalue of the second differences is above 0; of one period there are none.
    periods = order.num_periods
    least = -4 * math.sin(math.pi / (2 * periods)) ** 2 if periods > 1 else -math.inf
    market = (order.volatility, order.horizon, order.adjusted_impact)
    if all(concrete(number) is not None for number in market):
        variance = (order.volatility * order.period) ** 2
        bound = least * order.adjusted_impact / variance if variance > 0 else -math.inf
        should = f"exceed {bound:.6g}: below, a seller who likes risk waits without end"
        require("risk_aversion", risk_aversion, lambda x: x > bound, should)
    ratio = jnp.where(ratio > least, ratio, jnp.nan)
    one = jnp.ones((), ratio.dtype)

    def before(sold: Array, _: None) -> tuple[Array, tuple[Array, Array]]:
        pressure = ratio + sold
        bounded = jnp.where(jnp.isinf(pressure), 0.0, pressure)
        sold = jnp.where(jnp.isinf(pressure), one, bounded / (1 + bounded))
        return sold, (sold, 1 / (1 + pressure))

    _, (sold, kept) = jax.lax.scan(before, one, length=order.num_periods - 1, reverse=True)
    return jnp.append(sold, one), jnp.append(kept, 0 * one)


def _risk_ratio(order: AlmgrenChriss, risk_aversion: Any) -> Array:
    """Risk against impact, a = kappa~^2 tau^2 = lambda sigma^2 tau^2 / eta~, without a unit."""
    risk_aversion = jnp.asarray(risk_aversion, jnp.result_type(float))
    variance = jnp.asarray(order.volatility * order.period, risk_aversion.dtype) ** 2
    # Without risk even an infinite aversion to it weighs nothing.
    return jnp.where(variance > 0, risk_aversion, 0.0) * variance / order.adjusted_impact


def _squared_angle(order: AlmgrenChriss, risk_aversion: Any) -> Array:
    """(kappa T)^2 of continuous trading, without a unit; nan where there is no minimum."""
    risk_aversion = jnp.asarray(risk_aversion, jnp.result_type(float))
    square = risk_aversion * (order.volatility * order.horizon) ** 2 / order.temporary_impact
    return jnp.where(square > -(math.pi**2), square, jnp.nan)


def _quantile(confidence: Any) -> Array:
    return jax.scipy.special.ndtri(jnp.asarray(confidence, jnp.result_type(float)))


def _safe_sqrt(x: Array) -> Array:
    """Root of x >= 0, whose derivative at 0 is 0 and not infinite."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0)


def _sinh_over_root(square: Array) -> Array:
    """sinh(sqrt q) / sqrt q for q <= 1, a sine below 0; what comes of q > 1 means nothing."""
    far = square < -1
    root = jnp.sqrt(jnp.where(far, -square, 1.0))
    return jnp.where(far, jnp.sin(root) / root, _series(jnp.clip(square, -1, 1), first=1))


def _cosh_of_root(square: Array) -> Array:
    """cosh(sqrt q) for q <= 1, a cosine below 0; what comes of q > 1 means nothing."""
    far = square < -1
    root = jnp.sqrt(jnp.where(far, -square, 1.0))
    return jnp.where(far, jnp.cos(root), _series(jnp.clip(square, -1, 1), first=0))


def _series(square: Array, *, first: int, count: int = 9) -> Array:
    """Sum of q^k / (2 k + first)! for k = 0, 1, ..: exact to double precision for |q| <= 1."""
    total = jnp.zeros_like(square)
    for k in reversed(range(count)):
        total = total * square + 1 / math.factorial(2 * k + first)
    return total

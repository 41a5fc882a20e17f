"""Optimal weights of a portfolio in closed form: Merton's, Kelly's and Markowitz's.

Computed in float64 from plain numbers, once; cash comes first, as in `finance/portfolio`.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from jaxrl.environments.finance._requirements import FINITE_AND_POSITIVE, require_number
from jaxrl.environments.finance.prices import check_prices

_BISECTIONS = 100


def covariance_of(volatility: Any, correlation: Any) -> Float[np.ndarray, "N N"]:
    """The covariance of assets, from their deviations and their correlation.

    Args:
        volatility: [N], deviations per year^(1/2).
        correlation: [N, N], or the one number of all pairs.

    Returns:
        sigma_i rho_ij sigma_j, per year.
    """
    sigma = np.atleast_1d(np.asarray(volatility, float))
    matrix = np.asarray(correlation, float)
    if matrix.ndim == 0:
        matrix = matrix + (1 - matrix) * np.eye(len(sigma))
    return sigma[:, None] * matrix * sigma


def estimated_moments(
    prices: Any, *, periods_per_year: float
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, "N N"]]:
    """Drift and covariance of a geometric walk, estimated from prices.

    The covariance is that of the log returns (divided by n - 1), the drift their mean and half of
    their variances, both per year.

    Args:
        prices: [time, N], at least 3 rows, positive.
        periods_per_year: rows per year.

    Returns:
        mu [N] and Sigma [N, N].

    Raises:
        ValueError: there are fewer rows, or a hole or a price that is not positive.
    """
    checked = check_prices(prices)
    if len(checked) < 3:
        raise ValueError(f"prices have {len(checked)} rows, but a covariance needs 3 at least")
    log_returns = np.diff(np.log(checked), axis=0)
    covariance = np.atleast_2d(np.cov(log_returns.T)) * periods_per_year
    return log_returns.mean(axis=0) * periods_per_year + np.diag(covariance) / 2, covariance


def merton_weights(
    drift: Any,
    covariance: Any,
    *,
    riskless_rate: float = 0.0,
    risk_aversion: float = 1.0,
    long_only: bool = True,
) -> Float[np.ndarray, " M"]:
    """Merton's constant weights of cash and of each asset; at risk aversion 1, Kelly's.

        w = Sigma^-1 (mu - r) / gamma

    They are optimal for power utility wealth^(1 - gamma) / (1 - gamma), and for log utility at
    gamma = 1, where trade costs nothing and prices are geometric walks that are traded without
    pause. Where they lie outside the simplex and `long_only` is set, the optimum within it takes
    their place, which maximizes w' (mu - r) - gamma w' Sigma w / 2 over w >= 0 with sum w <= 1.

    Args:
        drift: mu [N], per year, of the expected price.
        covariance: Sigma [N, N], per year, positive definite.
        riskless_rate: r, per year, compounded continuously.
        risk_aversion: gamma, positive.
        long_only: whether to stay within the simplex, as `finance/portfolio` does.

    Returns:
        Weights [N + 1], cash first; they sum to 1.

    Raises:
        ValueError: shapes differ, or the covariance is not positive definite.

    Example:
        >>> print(merton_weights([0.08], [[0.16]], riskless_rate=0.02))
        [0.625 0.375]

    Source: Merton (1969), "Lifetime portfolio selection under uncertainty", equation 29; the
    constraints: Cvitanic and Karatzas (1992), "Convex duality in constrained portfolio
    optimization".
    """
    excess, sigma = _excess(drift, covariance, riskless_rate)
    require_number("risk_aversion", risk_aversion, FINITE_AND_POSITIVE[0], "be positive")
    free = np.linalg.solve(sigma, excess) / risk_aversion
    inside = (free >= 0).all() and free.sum() <= 1
    if not long_only or inside:
        return np.concatenate([[1 - free.sum()], free])
    return _within_simplex(excess / risk_aversion, sigma)


def markowitz_weights(
    mean: Any,
    covariance: Any,
    *,
    riskless_rate: float = 0.0,
    risk_aversion: float = 3.0,
    with_cash: bool = True,
) -> Float[np.ndarray, " M"]:
    """Markowitz's mean-variance weights, long only.

        maximize w_0 r + w' m - gamma w' Sigma w / 2,    w >= 0, w_0 + sum w = 1

    Args:
        mean: m [N], expected returns, known or estimated.
        covariance: Sigma [N, N], of the returns, per the same time; positive definite.
        riskless_rate: r, of cash, per the same time.
        risk_aversion: gamma, positive.
        with_cash: whether cash may be held; if not, w_0 = 0.

    Returns:
        Weights [N + 1], cash first; they sum to 1.

    Raises:
        ValueError: shapes differ, or the covariance is not positive definite.

    Example:
        >>> print(markowitz_weights([0.1, 0.1], [[0.04, 0], [0, 0.02]], with_cash=False))
        [0.         0.33333333 0.66666667]

    Source: Markowitz (1952), "Portfolio selection"; cash: Tobin (1958).
    """
    excess, sigma = _excess(mean, covariance, riskless_rate)
    require_number("risk_aversion", risk_aversion, FINITE_AND_POSITIVE[0], "be positive")
    return _within_simplex(excess / risk_aversion, sigma, with_cash=with_cash)


def merton_log_growth(
    weights: Any, drift: Any, covariance: Any, *, riskless_rate: float = 0.0
) -> float:
    """The expected log growth per year of constant weights on geometric walks, without costs.

        g = r + w' (mu - r) - w' Sigma w / 2

    Weights are restored without pause; restored once a period, growth differs by a term of the
    order of the period, which is small beside g for weights in the simplex.

    Args:
        weights: [N + 1], cash first.
        drift: mu [N], per year, of the expected price.
        covariance: Sigma [N, N], per year.
        riskless_rate: r, per year, compounded continuously.
    """
    excess, sigma = _excess(drift, covariance, riskless_rate)
    held = np.asarray(weights, float)[1:]
    if held.shape != excess.shape:
        raise ValueError(
            f"weights have shape {np.shape(weights)}, expected ({len(excess) + 1},), cash first"
        )
    return float(riskless_rate + held @ excess - held @ sigma @ held / 2)


def _excess(
    mean: Any, covariance: Any, riskless_rate: float
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, "N N"]]:
    """The means above the riskless rate, and a covariance that is one."""
    means = np.atleast_1d(np.asarray(mean, float))
    sigma = np.atleast_2d(np.asarray(covariance, float))
    if means.ndim != 1 or sigma.shape != (len(means), len(means)):
        raise ValueError(
            f"covariance has shape {np.shape(covariance)}, expected ({means.size}, {means.size}), "
            f"as there are {means.size} means"
        )
    if not np.isfinite(means).all():
        raise ValueError(f"means {mean} must be finite")
    symmetric = np.isfinite(sigma).all() and np.allclose(sigma, sigma.T)
    if not symmetric or np.linalg.eigvalsh(sigma)[0] <= 0:
        raise ValueError(f"covariance={covariance} must be symmetric and positive definite")
    return means - riskless_rate, sigma


def _within_simplex(
    excess: Float[np.ndarray, " N"], covariance: Float[np.ndarray, "N N"], *, with_cash: bool = True
) -> Float[np.ndarray, " M"]:
    """The maximizer of w' b - w' Sigma w / 2 over w >= 0 with sum w <= 1, or = 1 without cash.

    With a price eta of the budget it is a least-squares problem in w >= 0, whose solution's sum
    falls in eta: bisection finds the price, and the linear equations of the assets that are held
    give the weights.
    """
    # Imported here: it takes longer than all else of this room.
    from scipy.optimize import nnls

    root = np.linalg.cholesky(covariance)

    def held(price: float) -> Any:
        return nnls(root.T, np.linalg.solve(root, excess - price))[0]

    if with_cash and held(0.0).sum() <= 1:
        weights = held(0.0)
        return np.concatenate([[1 - weights.sum()], weights])
    high = float(excess.max())
    low = min(0.0, high - 1.0) if with_cash else high - 1.0
    while held(low).sum() < 1:
        low = high - 2 * (high - low)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if held(middle).sum() > 1 else (low, middle)
    active = np.flatnonzero(held(low))
    inverse = np.linalg.inv(covariance[np.ix_(active, active)])
    price = (inverse.sum(axis=0) @ excess[active] - 1) / inverse.sum()
    weights = np.zeros(len(excess))
    weights[active] = np.maximum(inverse @ (excess[active] - price), 0.0)
    return np.concatenate([[0.0], weights / weights.sum()])

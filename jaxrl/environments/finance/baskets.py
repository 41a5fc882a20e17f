"""Optimal execution of several assets at once (Almgren and Chriss 2000, appendix A).

With holdings x_k [m], sales n_k = x_{k-1} - x_k, covariance C, permanent impact Gamma n_k and
temporary impact H n_k / tau, the shortfall has

    E = sum x_k' Gamma n_k + epsilon' |n_k| + n_k' H n_k / tau
    V = tau sum x_k' C x_k

The paper assumes a symmetric Gamma. Here it may be any matrix: the schedule that minimises
E + lambda V for a given sign of each sale is found by dynamic programming backwards in time, whose
value of holdings x is x' Gamma x / 2 + epsilon' |x| + x' P x. A sale that changes its sign on the
way pays the spread once more; the schedule leaves that out, as the paper does.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxrl.environments.finance._requirements import (
    concrete,
    require,
    require_finite,
    require_not_negative,
    require_positive,
    require_whole,
)

_SYMMETRY = 1e-5  # Relative: what float32 leaves of a symmetric matrix.


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Basket:
    """One order to sell several assets, and the market that it meets.

    Numbers may be traced; num_periods is static. Arrays and lists are taken.

    Attributes:
        shares: [m], to be sold; shares.
        price: [m], at arrival; dollars per share.
        covariance: [m, m], of the price moves of a day; dollars^2 per share^2 and day.
        permanent_impact: [m, m], Gamma: row i has what each share sold of the assets takes off the
            price of asset i; dollars per share.
        temporary_impact: [m, m], H, the same for each share per day.
        half_spread: [m] or one number, epsilon; dollars per share.
        horizon: T, by when; days.
        num_periods: N, decisions, evenly spaced.

    Raises:
        ValueError: a shape does not fit, a number is out of its range, the covariance is not
            symmetric and positive definite, or there is no optimum.

    Example:
        >>> basket = Basket(
        ...     shares=[1e6, 5e5],
        ...     price=[50.0, 20.0],
        ...     covariance=[[0.9, 0.3], [0.3, 0.4]],
        ...     permanent_impact=[[2.5e-7, 0.0], [0.0, 2.5e-7]],
        ...     temporary_impact=[[2.5e-6, 0.0], [0.0, 5e-6]],
        ...     half_spread=0.0625,
        ... )
        >>> basket_holdings(basket, 1e-6).shape
        (6, 2)
    """

    shares: Any
    price: Any
    covariance: Any
    permanent_impact: Any
    temporary_impact: Any
    half_spread: Any = 0.0
    horizon: Any = 5.0
    num_periods: int = dataclasses.field(default=5, metadata={"static": True})

    def __post_init__(self) -> None:
        require_whole("num_periods", self.num_periods, minimum=1)
        require_positive("horizon", self.horizon)
        for name in ("shares", "price"):
            require_positive(name, getattr(self, name))
        require_not_negative("half_spread", self.half_spread)
        self._require_shapes()
        require("covariance", self.covariance, _is_positive, "be symmetric and positive definite")
        for name in ("permanent_impact", "temporary_impact"):
            require_finite(name, getattr(self, name))
        given = [concrete(x) for x in (self.temporary_impact, self.permanent_impact, self.horizon)]
        if all(number is not None for number in given):
            temporary, permanent, horizon = given
            adjusted = (
                _symmetric(temporary) - _symmetric(permanent) * horizon / self.num_periods / 2
            )
            should = (
                "exceed permanent_impact * horizon / num_periods / 2: the symmetric part of the "
                "difference must be positive definite"
            )
            require("temporary_impact", temporary, lambda _: _is_positive(adjusted), should)

    def _require_shapes(self) -> None:
        shares = concrete(self.shares)
        if shares is None:
            return
        require("shares", shares, lambda x: x.ndim == 1 and x.size > 0, "be a list of numbers")
        size = len(shares)
        matrices = ("covariance", "permanent_impact", "temporary_impact")
        shapes = {"price": [(size,)], "half_spread": [(), (size,)]}
        for name, allowed in (shapes | {matrix: [(size, size)] for matrix in matrices}).items():
            known = concrete(getattr(self, name))
            if known is not None and known.shape not in allowed:
                raise ValueError(
                    f"{name} has shape {known.shape}, but shares has {size} assets: it must have "
                    f"shape {allowed[-1]}"
                )

    @property
    def period(self) -> Any:
        """Length of a period, tau, in days."""
        return self.horizon / self.num_periods


def basket_fractions(basket: Basket, risk_aversion: Any) -> Float[Array, "N m m"]:
    """Matrices F_k of the optimal sales n_k = F_k x_{k-1}; the last is the identity.

    Args:
        basket: the order and the market.
        risk_aversion: lambda >= 0, per dollar.
    """
    return _solve(basket, risk_aversion)[0]


def basket_costs_to_go(basket: Basket, risk_aversion: Any) -> Float[Array, "points m m"]:
    """Matrices P_k: least E + lambda V of x left after k periods, less what no schedule changes.

    With x' Gamma x / 2 + epsilon' |x| added it is the least objective, in dollars.

    Args:
        basket: the order and the market.
        risk_aversion: lambda >= 0, per dollar.
    """
    return _solve(basket, risk_aversion)[1]


def basket_holdings(basket: Basket, risk_aversion: Any) -> Float[Array, "points m"]:
    """Optimal holdings x_0 to x_N = 0, in shares.

    Args:
        basket: the order and the market.
        risk_aversion: lambda >= 0, per dollar.
    """
    fractions = basket_fractions(basket, risk_aversion)
    shares = jnp.asarray(basket.shares, fractions.dtype)

    def sell(held: Array, fraction: Array) -> tuple[Array, Array]:
        held = held - fraction @ held
        return held, held

    _, held = jax.lax.scan(sell, shares, fractions)
    return jnp.concatenate([shares[None], held])


def basket_mean(basket: Basket, holdings: Float[Array, "points m"]) -> Float[Array, ""]:
    """Expected shortfall E of a schedule, in dollars.

    Args:
        basket: the order and the market.
        holdings: x_0 to x_N, in shares.
    """
    trades, held = holdings[:-1] - holdings[1:], holdings[1:]
    permanent = jnp.einsum("ki,ij,kj->", held, jnp.asarray(basket.permanent_impact), trades)
    temporary = jnp.einsum("ki,ij,kj->", trades, jnp.asarray(basket.temporary_impact), trades)
    spread = jnp.sum(jnp.asarray(basket.half_spread) * jnp.abs(trades))
    return permanent + spread + temporary / basket.period


def basket_variance(basket: Basket, holdings: Float[Array, "points m"]) -> Float[Array, ""]:
    """Variance V of a schedule's shortfall, in dollars^2.

    Args:
        basket: the order and the market.
        holdings: x_0 to x_N, in shares.
    """
    held = holdings[1:]
    return basket.period * jnp.einsum("ki,ij,kj->", held, jnp.asarray(basket.covariance), held)


def _solve(basket: Basket, risk_aversion: Any) -> tuple[Array, Array]:
    """The matrices F [N, m, m] of the sales and P [N + 1, m, m] of the objective.

    Of x, y is kept: (x - y)' M (x - y) + y' G x + y' (lambda tau C + P') y is least at
    y = (M + Q)^-1 (M - G / 2) x with Q = lambda tau C + P', M = H~ / tau and G the antisymmetric
    part of Gamma.
    """
    require_not_negative("risk_aversion", risk_aversion)
    dtype = jnp.result_type(float)
    matrices = (basket.permanent_impact, basket.temporary_impact, basket.covariance)
    permanent, temporary, covariance = (jnp.asarray(matrix, dtype) for matrix in matrices)
    twist = (permanent - permanent.T) / 2
    impact = _symmetric(temporary) / basket.period - _symmetric(permanent) / 2
    risk = jnp.asarray(risk_aversion, dtype) * basket.period * covariance
    identity = jnp.eye(impact.shape[0], dtype=dtype)

    def before(later: Array, _: None) -> tuple[Array, tuple[Array, Array]]:
        future = risk + later
        sold = jnp.linalg.solve(impact + future, future + twist / 2)
        kept = jnp.linalg.solve(impact + future, impact - twist / 2)
        cost = sold.T @ impact @ sold + kept.T @ future @ kept + kept.T @ twist
        cost = _symmetric(cost)
        return cost, (sold, cost)

    _, (sold, costs) = jax.lax.scan(before, impact, length=basket.num_periods - 1, reverse=True)
    ends = jnp.stack([impact, jnp.zeros_like(impact)])
    return jnp.concatenate([sold, identity[None]]), jnp.concatenate([costs, ends])


def _symmetric(matrix: Any) -> Any:
    return (matrix + matrix.T) / 2


def _is_positive(matrix: "np.ndarray") -> bool:
    """Whether a matrix is symmetric, up to rounding, and positive definite."""
    if not np.isfinite(matrix).all():
        return False
    apart = np.abs(matrix - matrix.T).max()
    return bool(apart <= _SYMMETRY * np.abs(matrix).max() and np.linalg.eigvalsh(matrix).min() > 0)

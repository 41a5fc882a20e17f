"""Optimal execution of several assets, beside that of each and brute force."""

import itertools

import jax
import numpy as np
import pytest
import scipy.optimize

from jaxrl.environments.finance import (
    AlmgrenChriss,
    Basket,
    basket_costs_to_go,
    basket_holdings,
    basket_mean,
    basket_variance,
    optimal_holdings,
    shortfall_mean,
    shortfall_variance,
)


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


def two_assets(**changes):
    numbers = {
        "shares": [1e6, 5e5],
        "price": [50.0, 20.0],
        "covariance": [[0.9, 0.3], [0.3, 0.4]],
        "permanent_impact": [[2.5e-7, 1e-7], [3e-7, 2e-7]],
        "temporary_impact": [[2.5e-6, 5e-7], [2e-7, 5e-6]],
        "half_spread": [0.0625, 0.03],
        "num_periods": 4,
    }
    return Basket(**(numbers | changes))


@pytest.mark.parametrize(
    "risk_aversion",
    [pytest.param(0.0, marks=pytest.mark.full), 1e-6, pytest.param(1e-5, marks=pytest.mark.full)],
)
def test_assets_that_have_nothing_in_common_are_sold_each_for_itself(risk_aversion):
    orders = [
        AlmgrenChriss(),
        AlmgrenChriss(shares=2e5, volatility=2.0, half_spread=0.01, temporary_impact=2e-5),
    ]

    def diagonal(name):
        return np.diag([getattr(order, name) for order in orders])

    basket = Basket(
        shares=[order.shares for order in orders],
        price=[50.0, 80.0],
        covariance=diagonal("volatility") ** 2,
        permanent_impact=diagonal("permanent_impact"),
        temporary_impact=diagonal("temporary_impact"),
        half_spread=[order.half_spread for order in orders],
    )
    holdings = basket_holdings(basket, risk_aversion)
    each = [optimal_holdings(order, risk_aversion) for order in orders]
    np.testing.assert_allclose(holdings, np.stack(each, axis=1), rtol=1e-9, atol=1e-6)
    means = [shortfall_mean(order, held) for order, held in zip(orders, each, strict=True)]
    variances = [shortfall_variance(order, held) for order, held in zip(orders, each, strict=True)]
    np.testing.assert_allclose(basket_mean(basket, holdings), sum(means), rtol=1e-12)
    np.testing.assert_allclose(basket_variance(basket, holdings), sum(variances), rtol=1e-12)


@pytest.mark.parametrize("risk_aversion", [pytest.param(0.0, marks=pytest.mark.full), 1e-6])
def test_no_other_schedule_is_better(risk_aversion):
    """Brute force over all trajectories, with a permanent impact that is not symmetric."""
    basket = two_assets()
    shares, spread = np.array(basket.shares), np.array(basket.half_spread)
    permanent, temporary = np.array(basket.permanent_impact), np.array(basket.temporary_impact)

    def objective(inner):
        held = np.vstack([shares, inner.reshape(3, 2) * 1e6, np.zeros(2)])
        total = 0.0
        for before, after in itertools.pairwise(held):
            sold = before - after
            total += after @ permanent @ sold + spread @ abs(sold)
            total += sold @ temporary @ sold / basket.period
            total += risk_aversion * basket.period * after @ np.array(basket.covariance) @ after
        return total / 1e6

    best = scipy.optimize.minimize(objective, np.full(6, 0.3), method="BFGS", tol=1e-9)
    holdings = basket_holdings(basket, risk_aversion)
    found = np.asarray(holdings)
    np.testing.assert_allclose(found[0], shares)
    np.testing.assert_allclose(found[-1], 0, atol=1e-6)
    np.testing.assert_allclose(best.x.reshape(3, 2) * 1e6, found[1:-1], rtol=1e-3)
    least = objective(found[1:-1].ravel() / 1e6)
    assert least <= best.fun * (1 + 1e-12)
    to_go = basket_costs_to_go(basket, risk_aversion)[0]
    value = shares @ to_go @ shares + shares @ permanent @ shares / 2 + spread @ shares
    assert float(value) / 1e6 == pytest.approx(least, rel=1e-12)
    value = basket_mean(basket, holdings) + risk_aversion * basket_variance(basket, holdings)
    assert float(value) / 1e6 == pytest.approx(least, rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shares": [1e6, -1.0]}, "shares=.* must be a finite number above 0"),
        ({"shares": 1e6}, "shares=1000000.0 must be a list of numbers"),
        ({"price": [50.0]}, r"price has shape \(1,\), but shares has 2 assets"),
        ({"half_spread": [0.1] * 3}, r"half_spread has shape \(3,\)"),
        ({"covariance": [0.9, 0.4]}, r"covariance has shape \(2,\)"),
        ({"covariance": [[0.9, 0.3], [0.2, 0.4]]}, "covariance=.* must be symmetric and positive"),
        ({"covariance": [[1.0, 2.0], [2.0, 1.0]]}, "covariance=.* must be symmetric and positive"),
        ({"permanent_impact": [[np.nan, 0.0], [0.0, 0.0]]}, "permanent_impact=.* must be a finite"),
        ({"temporary_impact": [[0.0, 0.0], [0.0, 0.0]]}, "temporary_impact=.* must exceed"),
        ({"num_periods": 0}, "num_periods=0 must be a whole number"),
        ({"horizon": 0.0}, "horizon=0.0 must be a finite number above 0"),
    ],
)
def test_an_impossible_basket_is_refused(changes, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        two_assets(**changes)


def test_a_basket_has_no_risk_aversion_below_0():
    with pytest.raises(ValueError, match="risk_aversion=-1e-07 must be a finite number, at least"):
        basket_holdings(two_assets(), -1e-7)

"""Closed forms of market making, against hand-computed values, other solvers and limits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from jaxrl.environments import finance

PAPER = {"volatility": 2.0, "depth_decay": 1.5}
MARKET = {"volatility": 2.0, "arrival_rate": 140.0, "depth_decay": 1.5}


@partial(jax.jit, static_argnames="inventory_limit")
def solved(inventory_limit, numbers):
    return finance.market_making_optimum(num_steps=8, inventory_limit=inventory_limit, **numbers)


def optimum(inventory_limit, **changes):
    numbers = {
        **MARKET, "horizon": 1.0, "running_penalty": 0.0, "terminal_penalty": 0.0,
        "liquidation_cost": 0.0, "risk_aversion": 0.0, "drift": 0.0,
    }  # fmt: skip
    return jax.tree.map(np.asarray, solved(inventory_limit, {**numbers, **changes}))


def test_reservation_price_and_spread_of_the_paper():
    # 100 - 3 * .1 * 4 * .5; .1 * 4 * .5 + 20 ln(1 + .1 / 1.5).
    price = finance.reservation_price(100.0, 3, 0.5, risk_aversion=0.1, volatility=2.0)
    assert price == pytest.approx(99.4)
    spread = finance.optimal_spread(0.5, risk_aversion=0.1, **PAPER)
    assert spread == pytest.approx(0.2 + 20 * np.log(1 + 0.1 / 1.5), rel=1e-6)


@pytest.mark.parametrize(("risk_aversion", "spread"), [(0.01, 1.35), (0.1, 1.49)])
def test_average_spreads_of_the_paper(risk_aversion, spread):
    found = finance.average_spread(1.0, risk_aversion=risk_aversion, **PAPER)
    assert found == pytest.approx(spread, abs=0.006)


def test_depths_are_the_spread_around_the_reservation_price():
    bid, ask = finance.avellaneda_stoikov_depths(3, 0.5, risk_aversion=0.1, **PAPER)
    price = float(finance.reservation_price(100.0, 3, 0.5, risk_aversion=0.1, volatility=2.0))
    assert float(100 + ask + 100 - bid) / 2 == pytest.approx(price)
    spread = finance.optimal_spread(0.5, risk_aversion=0.1, **PAPER)
    assert float(bid + ask) == pytest.approx(float(spread), rel=1e-6)
    assert bid > ask


def test_without_risk_aversion_there_is_a_limit_with_a_gradient():
    def spread(risk_aversion):
        return finance.optimal_spread(1.0, risk_aversion=risk_aversion, **PAPER)

    assert spread(0.0) == pytest.approx(2 / 1.5, rel=1e-6)
    assert spread(1e-4) == pytest.approx(2 / 1.5, rel=1e-3)
    assert np.isfinite(jax.grad(spread)(0.0))


def solved_by_scipy(limit, *, running_penalty=0.0, terminal_penalty=0.0, liquidation_cost=0.0,
                    risk_aversion=0.0, drift=0.0, horizon=1.0, volatility=2.0, arrival_rate=140.0,
                    depth_decay=1.5):  # fmt: skip
    """Values h [9, 2 Q + 1] of the equation itself, which is not linear."""
    held = np.arange(-limit, limit + 1.0)
    gamma, k = risk_aversion, depth_decay
    eta = arrival_rate * (1 / np.e if gamma == 0 else (1 + gamma / k) ** (-1 - k / gamma))

    def derivative(_, value):
        change = drift * held - (running_penalty + gamma * volatility**2 / 2) * held**2
        change[:-1] += eta / k * np.exp(-k * (value[:-1] - value[1:]))
        change[1:] += eta / k * np.exp(-k * (value[1:] - value[:-1]))
        return change

    terminal = -terminal_penalty * held**2 - liquidation_cost * np.abs(held)
    times = np.linspace(0, horizon, 9)
    solution = solve_ivp(
        derivative, (0, horizon), terminal, method="LSODA", rtol=1e-8, atol=1e-8, t_eval=times
    )
    return solution.y.T[::-1]


@pytest.mark.parametrize(
    ("limit", "case"),
    [
        (10, {"running_penalty": 0.2, "terminal_penalty": 0.05}),
        (50, {"running_penalty": 0.2}),  # exp(k h) spans more than a float32 holds.
        (
            10,
            {"terminal_penalty": 0.1, "liquidation_cost": 0.3, "risk_aversion": 0.1, "drift": 3.0},
        ),
        (10, {"running_penalty": 5.0, "terminal_penalty": 1.0, "arrival_rate": 20.0}),
        (10, {"volatility": 0.5, "risk_aversion": 2.0, "depth_decay": 4.0, "horizon": 0.25}),
    ],
    ids=["penalties", "wide", "risk-averse", "steep", "other market"],
)
def test_values_solve_the_equation(limit, case):
    found = optimum(limit, **case)
    values = solved_by_scipy(limit, **case)
    np.testing.assert_allclose(found.values, values, atol=3e-4, rtol=1e-5)
    # Cartea, Jaimungal and Penalva (2015), equation 10.9, and Guéant et al. (2013), theorem 1.
    gamma, k = case.get("risk_aversion", 0.0), case.get("depth_decay", 1.5)
    base = 1 / k if gamma == 0 else np.log(1 + gamma / k) / gamma
    now = values[:-1]
    bid, ask = np.moveaxis(found.depths, -1, 0)
    np.testing.assert_allclose(bid[:, :-1], base + now[:, :-1] - now[:, 1:], atol=1e-3)
    np.testing.assert_allclose(ask[:, 1:], base + now[:, 1:] - now[:, :-1], atol=1e-3)
    assert np.isinf(bid[:, -1]).all()
    assert np.isinf(ask[:, 0]).all()


def test_one_who_does_not_mind_inventory_quotes_one_over_k():
    # Two sides earn A exp(-1) / k each, as long as the limits are far.
    found = optimum(50)
    np.testing.assert_allclose(found.depths[:, 40:61], 1 / 1.5, atol=1e-4)
    assert found.values[0, 50] == pytest.approx(2 * 140 / np.e / 1.5, rel=1e-4)


def test_far_from_the_end_quotes_are_stationary_and_near_the_published_approximation():
    kind = {"risk_aversion": 0.01}
    depths = optimum(50, horizon=20.0, **kind).depths[:2, 40:61]
    np.testing.assert_allclose(depths[0], depths[1], atol=1e-3)
    closed = finance.stationary_depths(jnp.arange(-10, 11), **MARKET, **kind)
    np.testing.assert_allclose(depths[0], closed, atol=2e-3)


def test_penalties_pull_the_inventory_back():
    depths = optimum(10, running_penalty=0.2).depths
    assert (np.diff(depths[:, :-1, 0], axis=1) > 0).all()
    assert (np.diff(depths[:, 1:, 1], axis=1) < 0).all()
    np.testing.assert_allclose(depths[:, :, 0], depths[:, ::-1, 1], atol=2e-4)


def test_a_diagonal_too_steep_for_a_float_leaves_numbers():
    found = optimum(50, running_penalty=50.0)
    assert np.isfinite(found.values).all()
    assert not np.isnan(found.depths).any()
    # Near the middle it is what a nearer limit gives.
    near = optimum(10, running_penalty=50.0)
    np.testing.assert_allclose(found.depths[:, 48:53], near.depths[:, 8:13], atol=1e-3)


def test_the_optimum_is_one_program_for_many_parameters():
    def first_depth(volatility, risk_aversion):
        return optimum_of(volatility, risk_aversion).depths[0, 10, 0]

    def optimum_of(volatility, risk_aversion):
        return finance.market_making_optimum(
            **{**MARKET, "volatility": volatility, "risk_aversion": risk_aversion},
            horizon=1.0,
            num_steps=8,
            inventory_limit=10,
        )

    many = jax.jit(jax.vmap(first_depth))(jnp.array([1.0, 2.0]), jnp.array([0.0, 0.1]))
    for depth, volatility, gamma in zip(np.asarray(many), (1.0, 2.0), (0.0, 0.1), strict=True):
        alone = optimum(10, volatility=volatility, risk_aversion=gamma).depths[0, 10, 0]
        assert depth == pytest.approx(alone, abs=1e-4)
    assert abs(many[1] - many[0]) > 1e-3

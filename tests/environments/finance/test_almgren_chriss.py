"""Almgren and Chriss's optimal execution, beside the paper's formulas and brute force."""

import functools

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from jaxrl.environments.finance import (
    AlmgrenChriss,
    continuous_holdings,
    continuous_rates,
    continuous_shortfall,
    continuous_urgency,
    efficient_frontier,
    half_life,
    liquidity_adjusted_value_at_risk,
    optimal_fractions,
    optimal_holdings,
    optimal_trades,
    shortfall_mean,
    shortfall_variance,
    urgency,
    value_at_risk_minimiser,
)

PAPER = AlmgrenChriss()


@pytest.fixture(autouse=True)
def as_users_run_it(request, monkeypatch):
    """Without the checks of annotations where numbers are wrong on purpose: users have none."""
    if "refused" in request.node.name:
        monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def in_double_precision():
    with jax.enable_x64(True):
        yield


@pytest.mark.usefixtures("in_double_precision")
def test_the_values_of_the_paper():
    averse = optimal_holdings(PAPER, 1e-6)
    assert float(urgency(PAPER, 1e-6)) == pytest.approx(0.6070762, abs=5e-8)
    assert float(shortfall_mean(PAPER, averse)) == pytest.approx(911_226.99, abs=5e-3)
    assert float(shortfall_variance(PAPER, averse)) == pytest.approx(3.641286e11, rel=2e-7)
    assert float(optimal_trades(PAPER, 1e-6)[0]) == pytest.approx(458_044.4, abs=0.05)
    assert float(half_life(PAPER, 1e-6)) == pytest.approx(1 / 0.6070762, rel=1e-7)

    neutral = optimal_holdings(PAPER, 0.0)
    np.testing.assert_allclose(neutral, [1e6, 8e5, 6e5, 4e5, 2e5, 0], rtol=1e-14)
    assert float(shortfall_mean(PAPER, neutral)) == pytest.approx(662_500, rel=1e-14)
    assert float(shortfall_variance(PAPER, neutral)) == pytest.approx(1.083e12, rel=1e-14)
    assert np.isposinf(half_life(PAPER, 0.0))

    at_once = optimal_holdings(PAPER, jnp.inf)
    np.testing.assert_array_equal(at_once, [1e6, 0, 0, 0, 0, 0])
    assert float(shortfall_mean(PAPER, at_once)) == pytest.approx(2_562_500, rel=1e-14)
    assert float(shortfall_variance(PAPER, at_once)) == 0.0


def test_the_values_in_single_precision():
    averse = optimal_holdings(PAPER, 1e-6)
    assert averse.dtype == jnp.float32
    assert float(shortfall_mean(PAPER, averse)) == pytest.approx(911_226.99, rel=1e-6)
    assert float(shortfall_variance(PAPER, averse)) == pytest.approx(3.641286e11, rel=1e-6)


def as_in_the_paper(order, risk_aversion):
    """Holdings, trades, E and V by the hyperbolic functions of section 2, lambda > 0."""
    tau, total, periods = order.period, order.horizon, order.num_periods
    adjusted = order.temporary_impact - order.permanent_impact * tau / 2
    square = risk_aversion * order.volatility**2 / adjusted
    kappa = np.arccosh(1 + square * tau**2 / 2) / tau
    times = np.linspace(0, total, periods + 1)
    holdings = order.shares * np.sinh(kappa * (total - times)) / np.sinh(kappa * total)
    middles = (times[1:] + times[:-1]) / 2
    trades = 2 * np.sinh(kappa * tau / 2) * np.cosh(kappa * (total - middles))
    trades *= order.shares / np.sinh(kappa * total)
    mean = order.permanent_impact * order.shares**2 / 2 + order.half_spread * order.shares
    curve = tau * np.sinh(2 * kappa * total) + 2 * total * np.sinh(kappa * tau)
    curve *= np.tanh(kappa * tau / 2) / (2 * tau**2 * np.sinh(kappa * total) ** 2)
    risk = tau * np.sinh(kappa * total) * np.cosh(kappa * (total - tau)) - total * np.sinh(
        kappa * tau
    )
    risk /= np.sinh(kappa * total) ** 2 * np.sinh(kappa * tau)
    variance = order.volatility**2 * order.shares**2 * risk / 2
    return kappa, holdings, trades, mean + adjusted * order.shares**2 * curve, variance


@pytest.mark.usefixtures("in_double_precision")
@pytest.mark.parametrize(
    "risk_aversion",
    [pytest.param(1e-8, marks=pytest.mark.full), 1e-6, pytest.param(3e-5, marks=pytest.mark.full)],
)
@pytest.mark.parametrize(
    "order",
    [
        PAPER,
        AlmgrenChriss(num_periods=1),
        AlmgrenChriss(
            shares=3e4, horizon=0.5, num_periods=13, volatility=2.0, temporary_impact=1e-5
        ),
    ],
    ids=["paper", "one-period", "another"],
)
def test_the_recursion_is_the_papers_hyperbolic_sine(order, risk_aversion):
    kappa, holdings, trades, mean, variance = as_in_the_paper(order, risk_aversion)
    found = optimal_holdings(order, risk_aversion)
    np.testing.assert_allclose(urgency(order, risk_aversion), kappa, rtol=1e-9)
    np.testing.assert_allclose(found, holdings, rtol=1e-8, atol=1e-6)
    np.testing.assert_allclose(optimal_trades(order, risk_aversion), trades, rtol=1e-8)
    np.testing.assert_allclose(shortfall_mean(order, found), mean, rtol=1e-8)
    np.testing.assert_allclose(shortfall_variance(order, found), variance, rtol=1e-6, atol=1e-3)


@pytest.mark.usefixtures("in_double_precision")
@pytest.mark.parametrize("risk_aversion", [-1e-7, 0.0, 1e-6, 2e-5])
def test_no_other_schedule_is_better(risk_aversion):
    """Brute force: E + lambda V written as the paper's sums, minimised over all trajectories."""
    order = AlmgrenChriss(num_periods=4, permanent_impact=4e-7, half_spread=0.01)
    tau = order.period

    def objective(inner):
        held = np.concatenate([[order.shares], inner * order.shares, [0.0]])
        sold = -np.diff(held)
        gained = np.sum(sold * (order.half_spread + order.temporary_impact / tau * sold))
        lost = order.permanent_impact * np.sum(held[1:] * sold)
        risk = order.volatility**2 * tau * np.sum(held[1:] ** 2)
        return (gained + lost + risk_aversion * risk) / 1e6

    best = scipy.optimize.minimize(objective, np.full(3, 0.5), method="BFGS", tol=1e-9)
    found = np.asarray(optimal_holdings(order, risk_aversion))
    np.testing.assert_allclose(best.x * order.shares, found[1:-1], rtol=1e-4)
    assert objective(found[1:-1] / order.shares) <= best.fun * (1 + 1e-12)


def test_holdings_are_smooth_through_no_risk_aversion():
    some = jnp.linspace(-1e-7, 1e-7, 41)
    holdings = jax.vmap(lambda x: optimal_holdings(PAPER, x))(some)
    assert np.isfinite(holdings).all()
    slopes = np.diff(np.asarray(holdings, np.float64), axis=0)[:, 1:-1]
    assert (slopes < 0).all()
    np.testing.assert_allclose(slopes, slopes.mean(axis=0, keepdims=True) + 0 * slopes, rtol=0.5)

    @jax.jit
    def slopes_of_both(risk_aversion):
        both = efficient_frontier(PAPER, risk_aversion[None])
        return jnp.stack(both)[:, 0]

    # The slope of E at its minimum is 0, and that of V is not.
    mean, variance = jax.jacfwd(slopes_of_both)(jnp.float32(0))
    assert abs(float(mean)) < 1e-6 * abs(float(variance))
    assert float(variance) < 0


def test_gradients_are_finite_through_no_risk_aversion():
    @jax.jit
    @jax.vmap
    @jax.jacfwd
    def slopes(risk_aversion):
        functions = (urgency, optimal_fractions, optimal_holdings, optimal_trades)
        return [function(PAPER, risk_aversion) for function in functions]

    for slope in slopes(jnp.array([-1e-8, 0.0, 1e-6])):
        assert np.isfinite(slope).all()


@pytest.mark.usefixtures("in_double_precision")
def test_a_seller_who_likes_risk_follows_a_sine():
    order = AlmgrenChriss(num_periods=7)
    omega = -float(urgency(order, -1e-7))
    times = np.linspace(0, 5, 8)
    expected = 1e6 * np.sin(omega * (5 - times)) / np.sin(omega * 5)
    np.testing.assert_allclose(optimal_holdings(order, -1e-7), expected, rtol=1e-9, atol=1e-6)
    assert omega > 0.1
    assert float(optimal_trades(order, -1e-7)[0]) < 1e6 / 7


def test_below_a_risk_aversion_there_is_no_optimum():
    # -4 sin^2(pi / 10) eta~ / (sigma tau)^2
    least = -4 * np.sin(np.pi / 10) ** 2 * 2.375e-6 / 0.95**2
    with pytest.raises(ValueError, match=r"risk_aversion=-2e-06 must exceed -1\.005"):
        optimal_holdings(PAPER, -2e-6)
    assert np.isfinite(optimal_holdings(PAPER, 0.999 * least)).all()
    traced = jax.jit(lambda x: optimal_holdings(PAPER, x))
    assert np.isnan(traced(1.001 * least)[1:]).all()
    assert np.isfinite(traced(0.999 * least)).all()


def test_many_short_periods_keep_their_digits():
    order = AlmgrenChriss(num_periods=2000)
    times = np.linspace(0, 5, 2001)
    kappa = float(urgency(order, 1e-8))
    expected = np.sinh(kappa * (5 - times)) / np.sinh(kappa * 5)
    found = np.asarray(optimal_holdings(order, 1e-8)) / 1e6
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - (1 - times / 5)).max() > 0.005


@pytest.mark.usefixtures("in_double_precision")
def test_the_frontier_falls_with_the_slope_of_the_risk_aversion():
    some = jnp.array([1e-7, 1e-6, 1e-5])
    mean, variance = efficient_frontier(PAPER, some)
    assert (np.diff(mean) > 0).all()
    assert (np.diff(variance) < 0).all()
    one = jax.jacfwd(lambda x: jnp.stack(efficient_frontier(PAPER, x[None])))
    of_mean, of_variance = jax.jit(jax.vmap(one, out_axes=-1))(some)[:, 0]
    np.testing.assert_allclose(of_mean / of_variance, -some, rtol=1e-6)


@pytest.mark.usefixtures("in_double_precision")
@pytest.mark.parametrize(
    "confidence",
    [pytest.param(0.6, marks=pytest.mark.full), 0.95, pytest.param(0.999, marks=pytest.mark.full)],
)
def test_the_least_value_at_risk(confidence):
    quantile = scipy.stats.norm.ppf(confidence)

    def at_risk(logarithm):
        _, _, _, mean, variance = as_in_the_paper(PAPER, np.exp(logarithm))
        return mean + quantile * np.sqrt(variance)

    best = scipy.optimize.minimize_scalar(at_risk, bounds=(-20, -8), options={"xatol": 1e-10})
    found = value_at_risk_minimiser(PAPER, confidence)
    assert float(found) == pytest.approx(np.exp(best.x), rel=1e-5)
    value = liquidity_adjusted_value_at_risk(PAPER, optimal_holdings(PAPER, found), confidence)
    assert float(value) == pytest.approx(best.fun, rel=1e-12)


def test_where_everything_at_once_has_the_least_value_at_risk():
    # The frontier ends with the slope 2 eta~ X / (sigma tau^1.5) = 5 standard deviations.
    assert np.isfinite(value_at_risk_minimiser(PAPER, scipy.stats.norm.cdf(4.9)))
    safer = functools.partial(value_at_risk_minimiser, AlmgrenChriss(volatility=3.0))
    assert np.isposinf(safer(scipy.stats.norm.cdf(2.0)))
    value = jax.grad(
        lambda p: liquidity_adjusted_value_at_risk(PAPER, optimal_holdings(PAPER, jnp.inf), p)
    )(0.9)
    assert float(value) == 0.0


@pytest.mark.usefixtures("in_double_precision")
@pytest.mark.parametrize(
    "risk_aversion",
    [
        -1e-7,
        0.0,
        1e-6,
        pytest.param(-9e-7, marks=pytest.mark.full),
        pytest.param(1e-9, marks=pytest.mark.full),
        pytest.param(1e-7, marks=pytest.mark.full),
        pytest.param(3e-5, marks=pytest.mark.full),
    ],
)
def test_continuous_trading_is_its_own_integral(risk_aversion):
    times = jnp.asarray((np.arange(20_000) + 0.5) * 5 / 20_000)
    held = np.asarray(continuous_holdings(PAPER, risk_aversion, times))
    rates = np.asarray(continuous_rates(PAPER, risk_aversion, times))
    mean, variance = continuous_shortfall(PAPER, risk_aversion)
    spent = 2.5e-7 * 1e12 / 2 + 0.0625 * 1e6 + 2.5e-6 * 5 * np.mean(rates**2)
    assert float(mean) == pytest.approx(spent, rel=1e-5)
    assert float(variance) == pytest.approx(0.95**2 * 5 * np.mean(held**2), rel=1e-5)
    np.testing.assert_allclose(np.diff(held), -(rates[1:] + rates[:-1]) * 5 / 40_000, rtol=1e-6)
    ends = continuous_holdings(PAPER, risk_aversion, jnp.array([0.0, 5.0]))
    np.testing.assert_allclose(ends, [1e6, 0], atol=1e-6)
    kappa = float(continuous_urgency(PAPER, risk_aversion))
    assert np.sign(kappa) * kappa**2 == pytest.approx(risk_aversion * 0.95**2 / 2.5e-6, rel=1e-12)


@pytest.mark.usefixtures("in_double_precision")
def test_continuous_trading_is_the_limit_of_many_periods():
    order = AlmgrenChriss(num_periods=4000)
    times = jnp.linspace(0, 5, 4001)
    discrete = optimal_holdings(order, 1e-6)
    continuous = continuous_holdings(order, 1e-6, times)
    np.testing.assert_allclose(continuous, discrete, atol=100)
    mean, variance = continuous_shortfall(order, 1e-6)
    assert float(mean) == pytest.approx(float(shortfall_mean(order, discrete)), rel=1e-3)
    assert float(variance) == pytest.approx(float(shortfall_variance(order, discrete)), rel=1e-3)


def test_continuous_trading_stays_finite():
    times = jnp.linspace(0.0, 5.0, 11)
    some = jnp.array([-1e-7, 0.0, 1e-12, 1e-7, 1e-6, 1.0])

    def everything(risk_aversion):
        return (
            continuous_holdings(PAPER, risk_aversion, times),
            continuous_rates(PAPER, risk_aversion, times),
            continuous_shortfall(PAPER, risk_aversion),
            continuous_urgency(PAPER, risk_aversion),
        )

    both = jax.jit(jax.vmap(lambda x: (everything(x), jax.jacfwd(everything)(x))))(some)
    for leaf in jax.tree.leaves(both):
        assert np.isfinite(leaf).all()
    assert np.isnan(continuous_holdings(PAPER, -2e-6, times)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shares": 0.0}, "shares=0.0 must be a finite number above 0"),
        ({"horizon": -1.0}, "horizon=-1.0 must be a finite number above 0"),
        ({"num_periods": 0}, "num_periods=0 must be a whole number, at least 1"),
        ({"num_periods": 2.5}, "num_periods=2.5 must be a whole number"),
        ({"volatility": -0.1}, "volatility=-0.1 must be a finite number, at least 0"),
        ({"half_spread": float("nan")}, "half_spread=nan must be a finite number"),
        ({"permanent_impact": float("inf")}, "permanent_impact=inf must be a finite"),
        ({"temporary_impact": 1e-7}, "temporary_impact=1e-07 must exceed permanent_impact"),
        ({"temporary_impact": 0.0, "permanent_impact": 0.0}, "temporary_impact=0.0 must exceed"),
    ],
)
def test_an_impossible_order_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        AlmgrenChriss(**changes)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 1.5])
def test_an_impossible_confidence_is_refused(confidence):
    with pytest.raises(ValueError, match=f"confidence={confidence} must lie between"):
        liquidity_adjusted_value_at_risk(PAPER, optimal_holdings(PAPER, 0.0), confidence)
    with pytest.raises(ValueError, match=r"must lie between 0\.5 and 1"):
        value_at_risk_minimiser(PAPER, 0.5)


def test_orders_are_one_program():
    traces = 0

    @jax.jit
    @jax.vmap
    def mean(order, risk_aversion):
        nonlocal traces
        traces += 1
        return shortfall_mean(order, optimal_holdings(order, risk_aversion))

    numbers = {"horizon": 5.0, "volatility": 0.95, "half_spread": 0.0625}
    numbers |= {"permanent_impact": 2.5e-7, "temporary_impact": 2.5e-6, "shares": 1e6}
    orders = AlmgrenChriss(**{name: jnp.array([x, 2 * x]) for name, x in numbers.items()})
    found = mean(orders, jnp.array([1e-6, 0.0]))
    alone = AlmgrenChriss(**{name: 2 * x for name, x in numbers.items()})
    expected = [911_226.99, float(shortfall_mean(alone, optimal_holdings(alone, 0.0)))]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    mean(orders, jnp.array([1e-5, 1e-7]))
    assert traces == 1


def test_whole_numbers_of_shares_do_not_overflow():
    whole = continuous_shortfall(AlmgrenChriss(shares=1_000_000), 1e-6)
    np.testing.assert_allclose(whole, continuous_shortfall(PAPER, 1e-6), rtol=1e-6)


def test_without_risk_no_aversion_changes_the_schedule():
    order = AlmgrenChriss(volatility=0.0)
    even = optimal_holdings(order, 0.0)
    np.testing.assert_allclose(optimal_holdings(order, jnp.inf), even)
    np.testing.assert_allclose(optimal_holdings(order, value_at_risk_minimiser(order)), even)

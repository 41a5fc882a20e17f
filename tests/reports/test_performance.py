"""Performance figures against values computed by hand."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxrl.environments.finance import constant_weights, equal_weights, portfolio
from jaxrl.reports import (
    annual_growth,
    annual_turnover,
    calmar_ratio,
    drawdowns,
    expected_shortfall,
    maximum_drawdown,
    performance_of,
    play_episodes,
    plot_equity,
    sharpe_ratio,
    sortino_ratio,
    value_at_risk,
    wealth_curve,
)

# Wealth 1, 1.1, .88, .968, 1.21.
RETURNS = np.array([0.1, -0.2, 0.1, 0.25])


def test_wealth_and_drawdowns():
    np.testing.assert_allclose(wealth_curve(RETURNS), [1, 1.1, 0.88, 0.968, 1.21])
    np.testing.assert_allclose(drawdowns(RETURNS), [0, 0, 0.2, 0.12, 0], atol=1e-12)
    assert maximum_drawdown(RETURNS) == pytest.approx(0.2)
    # A loss in the first period is one since the start.
    assert maximum_drawdown([-0.5, 3.0]) == pytest.approx(0.5)
    assert maximum_drawdown([0.1, 0.1]) == 0


def test_ratios():
    # Mean .0625; squared deviations .00140625 .06890625 .00140625 .03515625, sum .106875.
    deviation = np.sqrt(0.106875 / 3)
    assert sharpe_ratio(RETURNS) == pytest.approx(0.0625 / deviation)
    expected = (0.0625 - 0.0125) / deviation * 2
    assert sharpe_ratio(RETURNS, periods_per_year=4, riskless_return=0.0125) == pytest.approx(
        expected
    )
    # One return below 0: the downside deviation is sqrt(.04 / 4) = .1.
    assert sortino_ratio(RETURNS) == pytest.approx(0.625)
    assert sortino_ratio(RETURNS, periods_per_year=4) == pytest.approx(1.25)
    # Below .1: -.2 only, by .3: sqrt(.09 / 4) = .15; the mean is .0375 below.
    assert sortino_ratio(RETURNS, target_return=0.1) == pytest.approx(-0.25)
    # Four half years at 21 % in all: 10 % per year; the drawdown is .2.
    assert annual_growth(RETURNS, periods_per_year=2) == pytest.approx(0.1)
    assert calmar_ratio(RETURNS, periods_per_year=2) == pytest.approx(0.5)


def test_ratios_without_risk():
    assert np.isnan(sharpe_ratio([0.0, 0.0]))
    assert sharpe_ratio([0.1, 0.1, 0.1]) == np.inf
    assert sortino_ratio([0.1, 0.0]) == np.inf
    assert calmar_ratio([0.1, 0.0]) == np.inf


def test_turnover():
    assert annual_turnover([0.5, 0.0, 0.1, 0.0], periods_per_year=12) == pytest.approx(1.8)


def test_several_series_are_each_their_own():
    several = np.stack([RETURNS, -RETURNS, RETURNS / 2])
    figures = performance_of(several, periods_per_year=4, riskless_return=0.01)
    for index, series in enumerate(several):
        alone = performance_of(series, periods_per_year=4, riskless_return=0.01)
        np.testing.assert_allclose([x[index] for x in figures], alone)
    assert figures.deviation[0] == pytest.approx(2 * np.sqrt(0.106875 / 3))
    assert figures.sharpe[0] == pytest.approx(
        float(sharpe_ratio(RETURNS, periods_per_year=4, riskless_return=0.01))
    )
    assert figures.drawdown.shape == (3,)


def test_tails_by_hand():
    outcomes = np.arange(1, 101, dtype=float) - 51  # losses -49 .. 50
    np.random.default_rng(0).shuffle(outcomes)
    # 95 of 100 losses are at most 45; the five beyond are 46 .. 50.
    assert value_at_risk(outcomes) == 45
    assert expected_shortfall(outcomes) == pytest.approx(48)
    assert value_at_risk(outcomes, level=0.99) == 49
    assert expected_shortfall(outcomes, level=0.99) == pytest.approx(50)
    # The worst 1.5 %: the whole of 50 and half of 49.
    assert value_at_risk(outcomes, level=0.985) == 49
    assert expected_shortfall(outcomes, level=0.985) == pytest.approx((50 + 49 / 2) / 1.5)
    assert value_at_risk([2.0]) == -2
    assert expected_shortfall([2.0]) == pytest.approx(-2)
    assert value_at_risk([1.0, 2.0], level=0.01) == -2
    assert expected_shortfall([1.0, 2.0], level=1e-9) == pytest.approx(-1.5)


def test_tails_of_a_normal_distribution():
    gains = np.random.default_rng(1).normal(1.0, 2.0, 400_000)
    quantile = stats.norm.ppf(0.95)
    assert value_at_risk(gains) == pytest.approx(2 * quantile - 1, abs=0.03)
    tail = 2 * stats.norm.pdf(quantile) / 0.05 - 1
    assert expected_shortfall(gains) == pytest.approx(tail, abs=0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sharpe_ratio([0.1]), "returns have shape (1,), expected [..., time] with 2 or"),
        (lambda: maximum_drawdown(0.1), "returns have shape (), expected"),
        (lambda: value_at_risk([]), "outcomes must be finite numbers [episodes]"),
        (lambda: value_at_risk([np.nan]), "outcomes must be finite numbers"),
        (lambda: expected_shortfall([1.0], level=95), "level=95 must lie between 0 and 1"),
        (lambda: plot_equity({}, "x.png"), "there is nothing to draw"),
        (lambda: plot_equity({"one": RETURNS}, "x.doc"), "try x.png"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_episodes_of_a_policy(tmp_path):
    environment = portfolio(num_periods=6, window=0)
    policy = equal_weights(3)
    run = jax.jit(lambda key: play_episodes(key, environment, policy, num_episodes=5))
    episodes = run(jax.random.key(0))
    assert episodes.played.all()
    returns = np.asarray(episodes.info["return"], float)
    np.testing.assert_allclose(np.log1p(returns), episodes.rewards, atol=1e-6)
    np.testing.assert_allclose(wealth_curve(returns)[:, 1:], episodes.info["wealth"], rtol=1e-5)
    assert annual_turnover(episodes.info["turnover"])[0] > 0.1
    path = plot_equity({"equal": returns, "first": returns[0]}, tmp_path / "equity.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_steps_after_an_episode_ends_are_told_apart():
    environment = portfolio(num_periods=2, window=0)._replace(max_episode_steps=4)
    in_cash = constant_weights([1.0, 0, 0, 0])
    run = jax.jit(lambda key: play_episodes(key, environment, in_cash, num_episodes=2))
    episodes = run(jax.random.key(0))
    np.testing.assert_array_equal(episodes.played, [[True, True, False, False]] * 2)
    assert not jnp.any(episodes.rewards[:, 2:])
    assert (episodes.rewards[:, :2] != 0).all()
    with pytest.raises(ValueError, match="no time limit"):
        play_episodes(
            jax.random.key(0),
            environment._replace(max_episode_steps=None),
            in_cash,
            num_episodes=2,
        )


def test_a_hole_in_returns_is_a_hole_in_the_deviation():
    figures = performance_of([[0.1, np.nan, 0.2], [0.1, 0.1, 0.1]])
    np.testing.assert_array_equal(figures.deviation, [np.nan, 0.0])

"""Optimal weights against closed forms and brute force; baselines as they are played."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

import jaxrl
from jaxrl.environments.finance import (
    buy_and_hold,
    constant_weights,
    covariance_of,
    equal_weights,
    estimated_moments,
    markowitz,
    markowitz_weights,
    merton,
    merton_log_growth,
    merton_weights,
    portfolio,
)

DRIFT = np.array([0.04, 0.05, 0.06])
VOLATILITY = np.array([0.25, 0.3, 0.35])
COVARIANCE = covariance_of(VOLATILITY, 0.2)
EQUAL, CASH = np.array([0, 1, 1, 1]) / 3, np.array([1.0, 0, 0, 0])
MARKET = {"drift": tuple(DRIFT), "volatility": tuple(VOLATILITY), "correlation": 0.2}


def test_covariance():
    expected = [[0.04, 0.03], [0.03, 0.09]]
    np.testing.assert_allclose(covariance_of([0.2, 0.3], 0.5), expected)
    np.testing.assert_allclose(covariance_of([0.2, 0.3], [[1, 0.5], [0.5, 1]]), expected)


def test_merton_inside_the_simplex():
    # Two assets by hand: Sigma^-1 = [[.09, -.03], [-.03, .04]] / .0027, excess (.02, .03).
    weights = merton_weights([0.03, 0.04], [[0.04, 0.03], [0.03, 0.09]], riskless_rate=0.01)
    np.testing.assert_allclose(weights, [1 - 0.0015 / 0.0027, 0.0009 / 0.0027, 0.0006 / 0.0027])
    halved = merton_weights(
        [0.03, 0.04], [[0.04, 0.03], [0.03, 0.09]], riskless_rate=0.01, risk_aversion=2.0
    )
    np.testing.assert_allclose(halved[1:], weights[1:] / 2)
    free = merton_weights([0.2], [[0.04]], riskless_rate=0.0, long_only=False)
    np.testing.assert_allclose(free, [-4, 5])
    growth = merton_log_growth([0.5, 0.5], [0.1], [[0.04]], riskless_rate=0.02)
    assert growth == pytest.approx(0.02 + 0.5 * 0.08 - 0.25 * 0.04 / 2)


@pytest.mark.parametrize("with_cash", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_optimum_within_the_simplex(with_cash, seed):
    rng = np.random.default_rng(seed)
    count = 1 + seed
    root = rng.normal(size=(count, count)) * 0.2
    covariance = root @ root.T + 0.01 * np.eye(count)
    mean = rng.normal(0.05, 0.1, count)
    weights = markowitz_weights(
        mean, covariance, riskless_rate=0.02, risk_aversion=1.0, with_cash=with_cash
    )
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    assert with_cash or weights[0] == 0

    def objective(held):
        return held @ (mean - 0.02) - held @ covariance @ held / 2

    # Brute force: of every set of assets, with the budget spent or not, the linear solution.
    best = 0.0 if with_cash else -np.inf
    for size in range(1, count + 1):
        for active in map(list, itertools.combinations(range(count), size)):
            inverse = np.linalg.inv(covariance[np.ix_(active, active)])
            excess = mean[active] - 0.02
            spent = inverse @ (excess - (inverse.sum(0) @ excess - 1) / inverse.sum())
            for part in [spent, inverse @ excess] if with_cash else [spent]:
                if (part >= 0).all() and part.sum() <= 1 + 1e-12:
                    held = np.zeros(count)
                    held[active] = part
                    best = max(best, objective(held))
    assert objective(weights[1:]) == pytest.approx(best, abs=1e-10)


def test_optimum_of_many_assets():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(40, 60)) * 0.05
    covariance, mean = root @ root.T, rng.normal(0.06, 0.05, 40)
    weights = merton_weights(mean, covariance, riskless_rate=0.02)
    slope = mean - 0.02 - covariance @ weights[1:]
    price = slope[weights[1:] > 0].max()
    # Karush, Kuhn and Tucker: equal slopes where something is held, smaller ones elsewhere.
    assert price >= 0
    np.testing.assert_allclose(slope[weights[1:] > 0], price, atol=1e-9)
    assert (slope <= price + 1e-9).all()
    result = optimize.minimize(
        lambda w: -(w @ (mean - 0.02) - w @ covariance @ w / 2),
        np.full(40, 1 / 40),
        jac=lambda w: -(mean - 0.02 - covariance @ w),
        bounds=[(0, 1)] * 40,
        constraints={"type": "ineq", "fun": lambda w: 1 - w.sum()},
    )
    held = weights[1:]
    assert held @ (mean - 0.02) - held @ covariance @ held / 2 >= -result.fun - 1e-7


def test_estimated_moments():
    log_returns = np.array([[0.1, 0.0], [-0.1, 0.2], [0.3, 0.1]])
    prices = np.exp(np.cumsum(np.vstack([np.zeros(2), log_returns]), axis=0))
    drift, covariance = estimated_moments(prices, periods_per_year=10.0)
    np.testing.assert_allclose(covariance, [[0.4, -0.1], [-0.1, 0.1]], atol=1e-12)
    np.testing.assert_allclose(drift, [1.0 + 0.2, 1.0 + 0.05])


def assert_log_growth(num_episodes):
    """Merton's, equal weights and cash, on the same random numbers, against their closed forms."""
    chosen = np.stack([merton_weights(DRIFT, COVARIANCE, riskless_rate=0.02), EQUAL, CASH])
    assert (chosen[0] > 0.05).all()
    growth = [merton_log_growth(w, DRIFT, COVARIANCE, riskless_rate=0.02) for w in chosen]
    environment = portfolio(**MARKET, window=0, buying_cost=0.0, selling_cost=0.0, action="weights")

    def grown(weights, key):
        policy = constant_weights(weights, action="weights")
        return jaxrl.evaluate(key, environment, policy, num_episodes=num_episodes).returns

    by_weights = jax.jit(jax.vmap(grown, (0, None)))
    returns = np.asarray(by_weights(jnp.asarray(chosen), jax.random.key(0)), float)
    for index in (0, 1):
        error = returns[index].std() / np.sqrt(num_episodes)
        assert abs(returns[index].mean() - growth[index]) < 3 * error
    np.testing.assert_allclose(returns[2], 0.02, atol=1e-5)
    difference = returns[0] - returns[1]
    error = difference.std() / np.sqrt(num_episodes)
    assert abs(difference.mean() - (growth[0] - growth[1])) < 3 * error
    assert difference.mean() > 3 * error


def test_log_growth():
    assert_log_growth(5_000)


@pytest.mark.full
def test_log_growth_on_a_million_paths():
    assert_log_growth(1_000_000)


def test_merton_policy_asks_for_its_weights():
    policy = merton(DRIFT, COVARIANCE, riskless_rate=0.02, action="weights")
    weights = merton_weights(DRIFT, COVARIANCE, riskless_rate=0.02)
    _, action = policy.act(jax.random.key(0), (), jnp.zeros(5))
    np.testing.assert_allclose(action, weights, atol=1e-7)


@pytest.mark.parametrize("action", ["softmax", "weights"])
def test_what_baselines_ask_for(action):
    def weights_of(policy):
        environment = portfolio(**MARKET, action=action, num_periods=4, periods_per_year=1.0)

        def run(key):
            key_reset, key_start, key_steps = jax.random.split(key, 3)
            carry, (state, seen) = policy.start(key_start), environment.reset(key_reset)

            def step(carry, key):
                memory, state, seen = carry
                memory, chosen = policy.act(key, memory, seen)
                state, after = environment.step(key, state, chosen)
                return (memory, state, after.observation), (after.info, state.weights)

            return jax.lax.scan(step, (carry, state, seen), jax.random.split(key_steps, 4))[1]

        return jax.jit(run)(jax.random.key(0))

    tolerance = 2e-4 if action == "softmax" else 1e-6
    info, drifted = weights_of(equal_weights(3, action=action))
    np.testing.assert_allclose(info["weights"], [[0, 1 / 3, 1 / 3, 1 / 3]] * 4, atol=tolerance)
    assert (np.abs(drifted - info["weights"]).max(axis=1) > 0.005).all()
    assert (info["turnover"][1:] > 0.005).all()

    info, drifted = weights_of(buy_and_hold(3, weights=[0.1, 0.2, 0.3, 0.4], action=action))
    np.testing.assert_allclose(info["weights"][0], [0.1, 0.2, 0.3, 0.4], atol=1e-6)
    np.testing.assert_allclose(info["weights"][1:], drifted[:-1], atol=1e-6)
    assert float(info["turnover"][0]) == pytest.approx(0.9, abs=0.01)
    assert (info["turnover"][1:] < 1e-5).all()

    policy = markowitz(DRIFT, COVARIANCE, riskless_rate=0.02, risk_aversion=2.0, action=action)
    expected = merton_weights(DRIFT, COVARIANCE, riskless_rate=0.02, risk_aversion=2.0)
    np.testing.assert_allclose(weights_of(policy)[0]["weights"], [expected] * 4, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: constant_weights([0.5, 0.6]), "weights=[0.5, 0.6] must not be negative"),
        (lambda: constant_weights([1.5, -0.5]), "must not be negative, and their sum must be 1"),
        (lambda: constant_weights([1.0]), "weights have shape (1,), expected (N + 1,)"),
        (lambda: constant_weights([0.5, 0.5], action="tanh"), "action='tanh' is not one of"),
        (lambda: buy_and_hold(3, weights=[0.5, 0.5]), "weights have shape (2,), expected (4,)"),
        (lambda: equal_weights(0), "num_assets=0 must be at least 1"),
        (lambda: merton([0.1, 0.2], [[0.04]]), "covariance has shape (1, 1), expected (2, 2)"),
        (lambda: merton([0.1], [[-0.04]]), "must be symmetric and positive definite"),
        (lambda: merton([0.1], [[0.04]], risk_aversion=0.0), "risk_aversion=0.0 must be positive"),
        (lambda: markowitz([np.nan], [[0.04]]), "must be finite"),
    ],
)
def test_impossible_baselines(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_weights_of_another_market_are_refused():
    environment = portfolio(**MARKET)
    with pytest.raises((ValueError, TypeError), match="shape"):
        jaxrl.evaluate(jax.random.key(0), environment, constant_weights([0.5, 0.5]), num_episodes=2)


def test_moments_and_growth_refuse_what_they_cannot_use():
    for prices, message in (
        ([[1.0], [2.0]], "prices have 2 rows"),
        ([[1.0], [-2.0], [3.0]], r"prices\[1, 0\]=-2.0"),
    ):
        with pytest.raises(ValueError, match=message):
            estimated_moments(prices, periods_per_year=52)
    with pytest.raises(ValueError, match=r"weights have shape \(2,\), expected \(3,\)"):
        merton_log_growth([0.5, 0.5], [0.1, 0.2], np.eye(2))

"""Simulated returns against the moments that their parameters say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments.finance.asset_returns import (
    correlated_walks,
    jump_diffusion,
    regime_switching,
)

DRIFT = np.array([0.3, -0.2])
VOLATILITY = np.array([0.2, 0.5])
CORRELATION = np.array([[1.0, 0.6], [0.6, 1.0]])
PERIOD = 0.25
WALKS = {
    "drift": DRIFT,
    "volatility": VOLATILITY,
    "correlation": CORRELATION,
    "period": PERIOD,
    "window": 3,
}
NUM = 40_000


def draw(process, num=NUM):
    """Log returns [num, N] of the first period."""

    def one(key):
        key_start, key_draw = jax.random.split(key)
        state, history = process.start(key_start)
        return process.draw(key_draw, state)[1], history

    returns, history = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(3), num))
    assert history.shape == (num, 3, 2)
    assert not history.any()
    return np.asarray(returns, float)


def assert_mean(samples, expected):
    error = samples.std(axis=0) / np.sqrt(len(samples))
    assert (np.abs(samples.mean(axis=0) - expected) < 4 * error).all(), (
        samples.mean(axis=0),
        expected,
    )


def test_correlated_walks():
    returns = draw(correlated_walks(**WALKS))
    assert_mean(returns, (DRIFT - VOLATILITY**2 / 2) * PERIOD)
    assert_mean(np.exp(returns), np.exp(DRIFT * PERIOD))
    covariance = np.outer(VOLATILITY, VOLATILITY) * CORRELATION * PERIOD
    np.testing.assert_allclose(np.cov(returns.T), covariance, rtol=0.03)


def test_jumps():
    jumps = {"jump_intensity": 4.0, "jump_mean": [-0.1, 0.05], "jump_deviation": [0.1, 0.0]}
    process = jump_diffusion(**WALKS, **jumps)
    returns = draw(process)
    assert_mean(np.exp(returns), np.exp(DRIFT * PERIOD))
    size, spread = np.array([-0.1, 0.05]), np.array([0.1, 0.0])
    covariance = np.outer(VOLATILITY, VOLATILITY) * CORRELATION + 4 * np.outer(size, size)
    covariance += 4 * np.diag(spread**2)
    np.testing.assert_allclose(np.cov(returns.T), covariance * PERIOD, rtol=0.05)
    np.testing.assert_allclose(process.deviation, np.sqrt(np.diag(covariance) * PERIOD), rtol=1e-5)
    # The third cumulant of the compound Poisson process: lambda dt E[jump^3].
    third = 4 * PERIOD * (size**3 + 3 * size * spread**2)
    centred = returns - returns.mean(axis=0)
    assert_mean(centred**3, third)


def test_no_jumps_are_walks():
    none = jump_diffusion(**WALKS, jump_intensity=0.0, jump_mean=-0.1, jump_deviation=0.1)
    returns = draw(none)
    covariance = np.outer(VOLATILITY, VOLATILITY) * CORRELATION * PERIOD
    np.testing.assert_allclose(np.cov(returns.T), covariance, rtol=0.03)


def test_regimes():
    transition = np.array([[0.9, 0.1], [0.3, 0.7]])
    process = regime_switching(
        **WALKS, regime_drift=(0.1, -1.0), regime_volatility=(0.5, 2.0), transition=transition
    )

    def path(key):
        key_start, key_steps = jax.random.split(key)
        regime, _ = process.start(key_start)

        def step(regime, key):
            after, returns = process.draw(key, regime)
            return after, (regime, returns)

        return jax.lax.scan(step, regime, jax.random.split(key_steps, 4))[1]

    regimes, returns = jax.jit(jax.vmap(path))(jax.random.split(jax.random.key(0), 10_000))
    regimes, returns = np.asarray(regimes), np.asarray(returns, float)
    # The stationary distribution is (3/4, 1/4), at the start and later.
    for time in range(4):
        assert_mean(regimes[:, time].astype(float), 0.25)
    assert_mean(regimes[:, 1:][regimes[:, :-1] == 0].astype(float), 0.1)
    assert_mean(regimes[:, 1:][regimes[:, :-1] == 1].astype(float), 0.7)
    for regime, (shift, factor) in enumerate([(0.1, 0.5), (-1.0, 2.0)]):
        seen, sigma = returns[regimes == regime], VOLATILITY * factor
        assert_mean(seen, (DRIFT + shift - sigma**2 / 2) * PERIOD)
        covariance = np.outer(sigma, sigma) * CORRELATION * PERIOD
        np.testing.assert_allclose(np.cov(seen.T), covariance, rtol=0.06)


@pytest.mark.parametrize(
    ("transition", "expected"),
    [
        ([[0.0, 1.0], [1.0, 0.0]], 0.5),  # periodic
        ([[1.0, 0.0], [0.0, 1.0]], 0.5),  # each for ever: the start is uniform
        ([[1.0, 0.0], [0.01, 0.99]], 0.0),  # one that is never left
        ([[0.9999, 0.0001], [0.0003, 0.9997]], 0.25),  # slow
    ],
)
def test_stationary_distributions(transition, expected):
    process = regime_switching(
        **WALKS, regime_drift=(0.0, 0.0), regime_volatility=(1.0, 3.0), transition=transition
    )
    variance = VOLATILITY**2 * PERIOD * (1 + 8 * expected)
    np.testing.assert_allclose(process.deviation, np.sqrt(variance), rtol=1e-3)
    starts = jax.vmap(process.start)(jax.random.split(jax.random.key(0), 2_000))[0]
    assert float(jnp.mean(starts)) == pytest.approx(expected, abs=0.05)

"""Baselines of liquidation: what they sell, and the mean and variance of what it costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments.finance import (
    AlmgrenChriss,
    Basket,
    almgren_chriss_policy,
    basket_holdings,
    basket_mean,
    basket_variance,
    immediate_sale_policy,
    liquidation,
    optimal_holdings,
    percentage_of_volume_policy,
    shortfall_mean,
    shortfall_variance,
    twap_policy,
    vwap_policy,
)

POLICIES = {
    "twap": twap_policy,
    "vwap": vwap_policy,
    "percentage": lambda **parameters: percentage_of_volume_policy(0.07, **parameters),
    "almgren-chriss": almgren_chriss_policy,
    "immediate": immediate_sale_policy,
}
# Of the paper's market: 7 % of 5 million shares a day are 350,000.
HOLDINGS = {
    "twap": np.linspace(1e6, 0, 6),
    "vwap": np.linspace(1e6, 0, 6),
    "percentage": np.array([1e6, 6.5e5, 3e5, 0, 0, 0]),
    "almgren-chriss": np.asarray(optimal_holdings(AlmgrenChriss(), 1e-6)),
    "immediate": np.array([1e6, 0, 0, 0, 0, 0]),
}
BASKET = Basket(
    shares=[1e6, 5e5],
    price=[50.0, 20.0],
    covariance=[[0.9, 0.3], [0.3, 0.4]],
    permanent_impact=[[2.5e-7, 1e-7], [3e-7, 2e-7]],
    temporary_impact=[[2.5e-6, 5e-7], [2e-7, 5e-6]],
    half_spread=[0.0625, 0.03],
    num_periods=6,
)


def play(environment, policy, *, seed=0):
    """One order: observations before each step, and the time steps [N, ...]."""

    key_reset, *keys = jax.random.split(jax.random.key(seed), environment.max_episode_steps + 1)
    state, observation = environment.reset(key_reset)
    played = []
    for key in keys:
        seen = observation
        _, action = policy.act(key, policy.start(key), seen)
        state, time_step = environment.step(key, state, action)
        observation = time_step.observation
        played.append((seen, action, time_step))
    return jax.tree.map(lambda *leaves: np.stack(leaves), *played)


@pytest.mark.parametrize("action", ["fraction", "rate", "deviation"])
@pytest.mark.parametrize("name", POLICIES)
def test_a_baseline_sells_as_it_says_whatever_the_actions_mean(name, action):
    parameters = {"action": action}
    environment = liquidation(**parameters)
    _, actions, steps = play(environment, POLICIES[name](**parameters))
    np.testing.assert_allclose(steps.info["inventory"], HOLDINGS[name][1:], rtol=1e-4, atol=1)
    assert jax.vmap(environment.action_space.contains)(actions).all()


@pytest.mark.parametrize("name", ["vwap", "percentage"])
def test_baselines_of_the_volume_follow_it(name):
    parameters = {"horizon": 1.0, "num_periods": 8, "volume_profile": "u", "volume_noise": 0.3}
    parameters |= {"shares": 2e5}
    policy = (vwap_policy if name == "vwap" else percentage_of_volume_policy)(**parameters)
    observations, _, steps = play(liquidation(**parameters), policy)
    quiet, _, _ = play(liquidation(**(parameters | {"volume_noise": 0.0})), policy)
    seen, expected = np.asarray(observations)[:, 4], np.asarray(quiet)[:, 4]
    sales = np.asarray(steps.info["sale"])
    if name == "vwap":
        np.testing.assert_allclose(sales, 2e5 * expected / expected.sum(), rtol=1e-4)
        return
    # 2e5 shares of the 5e6 of a day: 4 %, as long as there are any, and the rest at the end.
    sold = np.minimum(0.04 * 5e6 / 8 * seen, 2e5 - np.cumsum(sales) + sales)
    np.testing.assert_allclose(sales[:-1], sold[:-1], rtol=1e-3, atol=1)
    assert sales.sum() == pytest.approx(2e5)
    assert np.asarray(steps.info["participation"])[0] == pytest.approx(0.04, rel=1e-4)


@pytest.mark.parametrize("action", ["fraction", "rate", "deviation"])
def test_baselines_of_a_basket(action):
    parameters = {"basket": BASKET, "action": action}
    environment = liquidation(**parameters)
    _, _, steps = play(environment, almgren_chriss_policy(**parameters))
    expected = basket_holdings(BASKET, 1e-6)
    np.testing.assert_allclose(steps.info["inventory"], expected[1:], rtol=1e-3, atol=2)
    _, _, steps = play(environment, twap_policy(**parameters))
    even = np.linspace(1, 0, 7)[1:, None] * np.array(BASKET.shares)
    np.testing.assert_allclose(steps.info["inventory"], even, rtol=1e-4, atol=2)


def shortfalls(environment, policy, num_episodes, value=50e6, batch=100_000):
    """Dollars of many episodes, as `evaluate` plays them."""
    size = min(batch, num_episodes)

    @jax.jit
    def returns(key):
        return jaxrl.evaluate(key, environment, policy, num_episodes=size).returns

    keys = jax.random.split(jax.random.key(7), num_episodes // size)
    return -np.concatenate([returns(key) for key in keys]).astype(np.float64) * value / 100


def check_moments(dollars, mean, variance):
    count = len(dollars)
    assert dollars.mean() == pytest.approx(mean, abs=3 * (variance / count) ** 0.5 + 1)
    # Shortfalls are normal, so that this is the standard error of their variance.
    assert dollars.var() == pytest.approx(variance, abs=3 * variance * (2 / count) ** 0.5 + 1)


COUNTS = [20_000, pytest.param(1_000_000, marks=pytest.mark.full)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", POLICIES)
def test_shortfalls_have_the_mean_and_variance_of_the_closed_form(name, count):
    order, holdings = AlmgrenChriss(), jnp.asarray(HOLDINGS[name])
    dollars = shortfalls(liquidation(reward="shortfall"), POLICIES[name](), count)
    mean, variance = shortfall_mean(order, holdings), shortfall_variance(order, holdings)
    check_moments(dollars, float(mean), float(variance))


@pytest.mark.parametrize("count", COUNTS)
def test_shortfalls_of_a_basket_have_the_mean_and_variance_of_the_closed_form(count):
    holdings = basket_holdings(BASKET, 1e-6)
    environment = liquidation(basket=BASKET, reward="shortfall")
    dollars = shortfalls(environment, almgren_chriss_policy(basket=BASKET), count, value=60e6)
    mean, variance = basket_mean(BASKET, holdings), basket_variance(BASKET, holdings)
    check_moments(dollars, float(mean), float(variance))


@pytest.mark.full
@pytest.mark.parametrize("name", POLICIES)
def test_closed_forms_of_another_market(name):
    """More periods than days, no permanent impact, and fees."""
    parameters = {"num_periods": 40, "horizon": 2.0, "permanent_impact": 0.0, "volatility": 0.5}
    order = AlmgrenChriss(**parameters)
    parameters |= {"fixed_fee": 100.0, "action": "rate", "reward": "shortfall"}
    environment, policy = liquidation(**parameters), POLICIES[name](**parameters)
    _, _, steps = play(environment, policy)
    holdings = np.concatenate([[1e6], steps.info["inventory"]])
    fees = 100.0 * np.sum(holdings[:-1] > holdings[1:])
    mean = float(shortfall_mean(order, jnp.asarray(holdings))) + fees
    variance = float(shortfall_variance(order, jnp.asarray(holdings)))
    check_moments(shortfalls(environment, policy, 200_000), mean, variance)


def test_evaluate_plays_a_baseline_like_any_agent():
    environment = jaxrl.make_env("finance/liquidation")
    evaluation = jaxrl.evaluate(
        jax.random.key(0), environment, immediate_sale_policy(), num_episodes=3
    )
    np.testing.assert_allclose(evaluation.returns, -2_562_500 / 50e6 * 100, rtol=1e-5)
    np.testing.assert_array_equal(evaluation.lengths, 5)


def test_a_participation_must_be_above_0():
    with pytest.raises(ValueError, match=r"participation=0\.0 must be above 0"):
        percentage_of_volume_policy(0.0)

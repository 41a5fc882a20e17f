"""The second player of market making: its task and its harm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from market_play import returns_of

import jaxrl
from jaxrl.environments import finance
from jaxrl.types import Policy

SMALL = {"num_steps": 40, "inventory_limit": 10, "arrival_rate": 28.0}


def constant(choice):
    """A policy that always plays the same."""
    return Policy(
        start=lambda key: (), act=lambda key, carry, observation: (carry, jnp.array(choice))
    )


def market_maker(**market):
    return finance.quote_policy(finance.avellaneda_stoikov_quotes(**market), **market)


def test_an_opponent_that_does_nothing_is_none():
    quotes = market_maker(**SMALL)
    alone = returns_of(finance.market_making(**SMALL), quotes)
    idle = finance.market_making(**SMALL, opponent="fixed", fixed_choice=(0.0, 0.0, 0.0))
    np.testing.assert_allclose(returns_of(idle, quotes), alone, atol=1e-4)


def test_a_fixed_opponent_is_another_market():
    quotes = market_maker(**SMALL)
    fixed = finance.market_making(
        **SMALL, opponent="fixed", fixed_choice=(1.0, -1.0, 0.5), drift_deviation=4.0
    )
    other = finance.market_making(**{**SMALL, "arrival_rate": 21.0}, drift=4.0, depth_decay=1.6875)
    found = returns_of(fixed, quotes)
    np.testing.assert_allclose(found, returns_of(other, quotes), atol=1e-3)
    policy = finance.market_making(
        **SMALL,
        opponent="policy",
        opponent_policy=constant([1.0, -1.0, 0.5]),
        drift_deviation=4.0,
    )
    # The same market, by other random numbers.
    drawn = returns_of(policy, quotes)
    error = found.std() / np.sqrt(128)
    assert drawn.mean() == pytest.approx(found.mean(), abs=4 * float(error))


def test_a_random_opponent_draws_one_market_for_each_episode():
    environment = finance.market_making(
        **SMALL, opponent="random", volatility=0.0, drift_deviation=8.0, risk_aversion=0.0
    )

    def episode(key):
        state, _ = environment.reset(key)
        keys = jax.random.split(key, 40)
        step = lambda state, key: environment.step(key, state, jnp.array([9.0, 9.0]))  # noqa: E731
        return jax.lax.scan(step, state, keys)[1].info["mid_price"]

    prices = np.asarray(jax.jit(jax.vmap(episode))(jax.random.split(jax.random.key(3), 512)))
    drift = np.diff(prices, axis=1) * 40
    assert np.ptp(drift, axis=1).max() < 0.01
    assert np.abs(drift).max() <= 8.01
    assert drift[:, 0].std() == pytest.approx(16 / np.sqrt(12), rel=0.1)


def test_the_game_is_zero_sum():
    opponent = finance.adverse_drift_policy(flow=0.5)
    quotes = market_maker(**SMALL)
    of_maker = returns_of(
        finance.market_making(**SMALL, opponent="policy", opponent_policy=opponent), quotes
    )
    of_adversary = returns_of(
        finance.market_making_adversary(**SMALL, market_maker="policy", market_maker_policy=quotes),
        opponent,
    )
    np.testing.assert_allclose(of_adversary, -of_maker, atol=1e-5)
    by_name = jaxrl.make_env("finance/market-making-adversary", **SMALL)
    np.testing.assert_allclose(returns_of(by_name, opponent), of_adversary, atol=1e-5)


def test_one_who_drifts_against_the_inventory_does_more_harm_than_chance():
    """By hand: a price that falls while the market maker is long. By over 8 standard errors."""
    quotes = finance.quote_policy(finance.symmetric_quotes())
    adverse = finance.adverse_drift_policy()
    chance = returns_of(finance.market_making(opponent="random"), quotes)
    harmed = returns_of(finance.market_making(opponent="policy", opponent_policy=adverse), quotes)
    error = np.sqrt((chance.var() + harmed.var()) / 256)
    assert chance.mean() - harmed.mean() > 8 * error


def test_a_baseline_by_name_plays_its_table():
    idle = constant([0.0, 0.0, 0.0])
    environment = finance.market_making_adversary(market_maker="symmetric", **SMALL)
    found = returns_of(environment, idle)
    exact = finance.quote_results(finance.symmetric_quotes(**SMALL), **SMALL)
    error = float(found.std() / 16)
    assert -found.mean() == pytest.approx(float(exact.objective), abs=4 * error)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"market_maker": "greedy"}, "market_maker='greedy' is none of symmetric"),
        ({"market_maker": "policy"}, "belong together"),
        ({"market_maker_policy": constant([0.0, 0.0])}, "belong together"),
        ({"market_maker": "policy", "market_maker_policy": 1}, "must be a jaxrl Policy, not int"),
        ({"drift_deviation": -1.0}, "drift_deviation=-1.0 must be a finite"),
        ({"volatility": -1.0}, "volatility=-1.0 must be a finite"),
    ],
)
def test_impossible_parameters_are_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        finance.market_making_adversary(**changes)

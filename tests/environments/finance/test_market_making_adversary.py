"""The second player of market making: its task, its harm, and training in turns."""

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
    by_name = finance.market_making_adversary(**SMALL, market_maker="avellaneda-stoikov")
    np.testing.assert_allclose(returns_of(by_name, opponent), of_adversary, atol=1e-5)


def test_one_who_drifts_against_the_inventory_does_more_harm_than_chance():
    """By hand: a price that falls while the market maker is long. Over 10 standard errors."""
    quotes = market_maker()
    adverse = finance.adverse_drift_policy()
    chance = returns_of(finance.market_making(opponent="random"), quotes)
    harmed = returns_of(finance.market_making(opponent="policy", opponent_policy=adverse), quotes)
    error = np.sqrt((chance.var() + harmed.var()) / 256)
    assert chance.mean() - harmed.mean() > 10 * error


@pytest.mark.parametrize("name", ["symmetric", "continuous-optimum"])
def test_baselines_by_name_play_their_tables(name):
    build = {
        "symmetric": finance.symmetric_quotes,
        "continuous-optimum": finance.continuous_optimum_quotes,
    }[name]
    idle = constant([0.0, 0.0, 0.0])
    environment = finance.market_making_adversary(market_maker=name, **SMALL)
    found = returns_of(environment, idle)
    exact = finance.quote_results(build(**SMALL), **SMALL)
    error = found.std() / 16
    assert -found.mean() == pytest.approx(float(exact.objective), abs=4 * float(error))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"market_maker": "greedy"}, "market_maker='greedy' is none of symmetric"),
        ({"market_maker": "policy"}, "belong together"),
        ({"market_maker_policy": constant([0.0, 0.0])}, "belong together"),
        ({"market_maker": "policy", "market_maker_policy": 1}, "must be a jaxrl Policy, not int"),
        ({"drift_deviation": -1.0}, "drift_deviation=-1.0 must be at least 0"),
        ({"volatility": -1.0}, "volatility=-1.0 must be at least 0"),
    ],
)
def test_impossible_parameters_are_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        finance.market_making_adversary(**changes)


def players(total_steps):
    """Two kinds of learners for the two sides, of few and small networks."""
    small = {"total_steps": total_steps, "num_envs": 2, "num_steps": 16, "hidden_sizes": (8,)}

    def first(opponent):
        environment = finance.market_making(**SMALL, opponent="policy", opponent_policy=opponent)
        return jaxrl.a2c(environment, jaxrl.A2CConfig(**small))

    def second(maker):
        environment = finance.market_making_adversary(
            **SMALL, market_maker="policy", market_maker_policy=maker
        )
        return jaxrl.ppo(environment, jaxrl.PPOConfig(**small, num_epochs=1, num_minibatches=1))

    return first, second


def test_players_are_trained_in_turns():
    first, second = players(128)
    opening = market_maker(**SMALL)

    @jax.jit
    def train(key):
        result = jaxrl.alternate(key, first, second, opening=opening, num_rounds=2)
        policy = second(opening).policy(result.second)
        return result, policy.act(key, policy.start(key), jnp.zeros(3))[1]

    result, choice = train(jax.random.key(0))
    for rows in (result.first_metrics, result.second_metrics):
        np.testing.assert_array_equal(rows["steps"], [[32, 64], [96, 128]])
        assert np.isfinite(rows["policy_loss"]).all()
    assert choice.shape == (3,)
    again, _ = train(jax.random.key(0))
    other, _ = train(jax.random.key(1))
    losses = [x.second_metrics["policy_loss"] for x in (result, again, other)]
    np.testing.assert_array_equal(losses[0], losses[1])
    assert (np.asarray(losses[0]) != np.asarray(losses[2])).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_rounds": 0}, "num_rounds=0 must be a whole number, at least 1"),
        ({"num_rounds": 1.5}, "num_rounds=1.5 must be a whole number, at least 1"),
    ],
)
def test_wrong_turns_are_refused(changes, message):
    first, second = players(64)
    given = {"opening": market_maker(**SMALL), "num_rounds": 1, **changes}
    with pytest.raises(ValueError, match=message):
        jaxrl.alternate(jax.random.key(0), first, second, **given)

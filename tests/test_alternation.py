"""Two players in turns: who learns from whom, and when."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments import finance
from jaxrl.types import Algorithm, Policy

MARKET = {"num_steps": 40, "inventory_limit": 10, "arrival_rate": 28.0}


def saying(number):
    """A policy that always plays one number."""
    return Policy(start=lambda key: (), act=lambda key, carry, observation: (carry, number))


def heard(policy):
    return policy.act(None, (), None)[1]


def player(opponent, *, start, total_steps, cost, varies=False):
    """A player whose state is a number: each iteration adds what the opponent plays."""
    added = heard(opponent)

    def step(key, state):
        total, count = state
        count = count + 1
        return (total + added, count), {"steps": count * cost, "heard": added}

    return Algorithm(
        init=lambda key: (jnp.float32(start), jnp.int32(0)),
        step=step,
        policy=lambda state: saying(state[0]),
        environment=finance.market_making(**MARKET),
        total_steps=total_steps,
        steps_per_iteration=None if varies else cost,
        max_iterations=-(-total_steps // cost),
    )


@pytest.mark.parametrize("varies", [False, True])
def test_each_learns_against_the_others_latest_policy(varies):
    def first(opponent):
        return player(opponent, start=1.0, total_steps=40, cost=10, varies=varies)

    def second(opponent):
        return player(opponent, start=100.0, total_steps=4, cost=2)

    @jax.jit
    def train(key):
        return jaxrl.alternate(key, first, second, opening=saying(jnp.float32(9)), num_rounds=2)

    result = train(jax.random.key(0))
    # First: 1 + 2 * 100 = 201; second: 100 + 201 = 301; 201 + 2 * 301 = 803; 301 + 803 = 1104.
    assert float(result.first[0]) == 803.0
    assert float(result.second[0]) == 1104.0
    rows = np.asarray(result.first_metrics["heard"])[:, :2]
    np.testing.assert_array_equal(rows, [[100, 100], [301, 301]])
    np.testing.assert_array_equal(result.second_metrics["heard"], [[201], [803]])
    np.testing.assert_array_equal(result.first_metrics["steps"][:, :2], [[10, 20], [30, 40]])


def test_a_budget_that_does_not_divide_is_used_up():
    def first(opponent):
        return player(opponent, start=0.0, total_steps=50, cost=10)

    def train(key):
        return jaxrl.alternate(key, first, first, opening=saying(jnp.float32(0)), num_rounds=3)

    steps = np.asarray(jax.jit(train)(jax.random.key(0)).first_metrics["steps"])
    # Shares end at 17, 34 and 50 steps: 2, 2 and 1 iterations.
    np.testing.assert_array_equal(steps, [[10, 20], [30, 40], [50, -1]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_rounds": 0}, "num_rounds=0 must be a whole number, at least 1"),
        ({"num_rounds": 1.5}, "num_rounds=1.5 must be a whole number, at least 1"),
        ({"total_steps": 2**31 - 5}, "cannot be counted in one program"),
    ],
)
def test_wrong_arguments_are_refused(changes, message):
    total_steps = changes.pop("total_steps", 10)
    given = {"key": jax.random.key(0), "opening": saying(0.0), "num_rounds": 1, **changes}

    def side(opponent):
        return player(opponent, start=0.0, total_steps=total_steps, cost=10)

    with pytest.raises(ValueError, match=message):
        jaxrl.alternate(first=side, second=side, **given)


@pytest.mark.full
def test_two_algorithms_train_in_turns_at_market_making():
    small = {"total_steps": 128, "num_envs": 2, "num_steps": 16, "hidden_sizes": (8,)}
    opening = finance.quote_policy(finance.symmetric_quotes(**MARKET), **MARKET)

    def first(opponent):
        given = {"opponent": "policy", "opponent_policy": opponent, **MARKET}
        return jaxrl.a2c(finance.market_making(**given), jaxrl.A2CConfig(**small))

    def second(maker):
        given = {"market_maker": "policy", "market_maker_policy": maker, **MARKET}
        environment = finance.market_making_adversary(**given)
        return jaxrl.ppo(environment, jaxrl.PPOConfig(**small, num_epochs=1, num_minibatches=1))

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
    losses = [np.asarray(x.second_metrics["policy_loss"]) for x in (result, again, other)]
    np.testing.assert_array_equal(losses[0], losses[1])
    assert (losses[0] != losses[2]).all()

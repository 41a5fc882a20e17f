import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_environments import action_matches_observation, constant_reward

import jaxrl
from jaxrl.loops.asynchronous import asynchronous
from jaxrl.types import GradientAgent, Policy

SMALL = {"total_steps": 2_000, "num_steps": 5, "hidden_sizes": (8,)}


@pytest.mark.parametrize(
    "environment", ["CartPole-v1", pytest.param("Pendulum-v1", marks=pytest.mark.learning)]
)
def test_one_worker_is_a2c_to_the_bit(environment):
    env = jaxrl.make_env(environment)
    changes = SMALL | {
        "num_envs": 3,
        "entropy_coefficient": 0.01,
        "learning_rate_schedule": "linear",
    }

    def result(algorithm):
        trained = jax.jit(lambda key: jaxrl.train(key, algorithm))(jax.random.key(5))
        return trained.state.agent, trained.metrics

    shared, metrics = result(jaxrl.a3c(env, jaxrl.A3CConfig(num_workers=1, **changes)))
    alone, expected = result(jaxrl.a2c(env, jaxrl.A2CConfig(**changes)))
    jax.tree.map(np.testing.assert_array_equal, shared, alone)
    np.testing.assert_array_equal(metrics.pop("staleness"), 0)
    assert metrics.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(metrics[name], value, err_msg=name)


def counting_rule():
    """Adds every gradient to its parameter; a gradient is 1 plus the parameter that it is of."""

    def act(key, params, carry, observation):
        return carry, jnp.int32(0), ()

    return GradientAgent(
        init=lambda key: {"sum": jnp.float32(0), "history": ()},
        params=lambda state: state["sum"],
        start=lambda key: (),
        act=act,
        gradient=lambda key, params, batch: (1.0 + params, {"of": params}),
        apply=lambda state, gradient: (state | {"sum": state["sum"] + gradient}, {}),
        policy=lambda params: Policy(lambda key: (), lambda key, carry, x: (carry, jnp.int32(0))),
    )


def test_workers_are_stale_and_pull_after_their_own_gradient():
    """By hand, three workers: in tick 1 all gradients are 1, and the pulls are 1, 2, 3 in order."""
    sizes = {"num_workers": 3, "num_envs": 2, "num_steps": 1, "total_steps": 60}
    algorithm = asynchronous(constant_reward(5), counting_rule(), **sizes)
    state = algorithm.init(jax.random.key(0))
    np.testing.assert_array_equal(state.worker_params, [0, 0, 0])
    state, metrics = algorithm.step(jax.random.key(1), state)
    assert float(state.agent["sum"]) == 3
    assert sorted(np.asarray(state.worker_params).tolist()) == [1, 2, 3]
    np.testing.assert_array_equal(state.pulled_at, state.worker_params)
    assert int(metrics["steps"]) == 6
    # The i-th to be applied has seen i others go first.
    assert float(metrics["staleness"]) == pytest.approx((0 + 1 + 2) / 3)

    pulled = np.asarray(state.worker_params)
    second, metrics = algorithm.step(jax.random.key(2), state)
    # Gradients are of the stale copies: 2, 3 and 4, whoever comes first.
    assert float(second.agent["sum"]) == 3 + 2 + 3 + 4
    assert float(metrics["of"]) == 2
    np.testing.assert_array_equal(np.sort(second.pulled_at), [4, 5, 6])
    order = np.argsort(second.pulled_at)
    np.testing.assert_allclose(
        np.asarray(second.worker_params)[order], 3 + np.cumsum(1 + pulled[order])
    )
    # All three were applied 3 to 5 gradients after the start, and pulled after 1, 2 and 3.
    assert float(metrics["staleness"]) == pytest.approx((3 + 4 + 5 - 1 - 2 - 3) / 3)


def test_order_is_random():
    sizes = {"num_workers": 4, "num_envs": 1, "num_steps": 1, "total_steps": 60}
    algorithm = asynchronous(constant_reward(5), counting_rule(), **sizes)
    state = algorithm.init(jax.random.key(0))
    step = jax.jit(algorithm.step)
    orders = {tuple(np.asarray(step(jax.random.key(i), state)[0].pulled_at)) for i in range(40)}
    assert len(orders) > 10


def test_workers_have_their_own_environments():
    env = jaxrl.make_env("CartPole-v1")
    algorithm = jaxrl.a3c(env, jaxrl.A3CConfig(num_workers=4, num_envs=2, **SMALL))
    state = algorithm.init(jax.random.key(0))
    assert state.worlds.observation.shape == (4, 2, 4)
    assert len(np.unique(state.worlds.observation)) == 4 * 2 * 4
    assert algorithm.steps_per_iteration == 4 * 2 * 5


def test_learns_and_anneals_over_all_gradients():
    env = action_matches_observation()
    config = jaxrl.A3CConfig(
        total_steps=40_000,
        num_workers=4,
        num_envs=4,
        optimizer="adam",
        learning_rate=5e-3,
        learning_rate_schedule="linear",
        hidden_sizes=(16,),
    )
    algorithm = jaxrl.a3c(env, config)
    result = jax.jit(lambda key: jaxrl.train(key, algorithm))(jax.random.key(0))
    evaluation = jaxrl.evaluate(
        jax.random.key(1), env, algorithm.policy(result.state), num_episodes=64
    )
    assert float(evaluation.returns.mean()) == pytest.approx(1.0)
    # The mean over the four gradients of the first iteration, of 2000 gradients in all.
    first = 5e-3 * (1 - np.arange(4).mean() / 2_000)
    assert float(result.metrics["learning_rate"][0]) == pytest.approx(first, rel=1e-5)
    assert int(result.state.agent.updates) == 2_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_workers": 0}, "num_workers=0 must be at least 1"),
        ({"num_workers": 2**30}, "the workers' steps = 5368709120 are too many"),
    ],
)
def test_wrong_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.a3c(jaxrl.make_env("CartPole-v1"), jaxrl.A3CConfig(**changes))

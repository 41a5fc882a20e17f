import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_environments import action_matches_observation, constant_reward

import jaxrl
from jaxrl.networks import actor_critic
from jaxrl.policy_gradient.impala import acting_behind
from jaxrl.types import GradientAgent, Policy, Rollout

UNLIMITED = {"clip_rho": None, "clip_c": None, "clip_policy_gradient_rho": None}


@pytest.mark.parametrize(
    ("environment", "gae_lambda"),
    [pytest.param("CartPole-v1", 1.0, marks=pytest.mark.learning), ("Pendulum-v1", 0.9)],
)
def test_without_lag_and_limits_it_is_the_on_policy_update(environment, gae_lambda):
    env = jaxrl.make_env(environment)
    changes = {
        "total_steps": 800,
        "num_envs": 4,
        "num_steps": 10,
        "hidden_sizes": (8,),
        "gae_lambda": gae_lambda,
        "normalize_observations": True,
    }

    def result(algorithm):
        trained = jax.jit(lambda key: jaxrl.train(key, algorithm))(jax.random.key(5))
        return trained.state.agent.agent, trained.metrics

    ours, metrics = result(jaxrl.impala(env, jaxrl.IMPALAConfig(lag=0, **UNLIMITED, **changes)))
    a2c, expected = result(jaxrl.a2c(env, jaxrl.A2CConfig(**changes)))
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), ours.learner, a2c
    )
    np.testing.assert_allclose(metrics["episodes"], expected["episodes"])


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_actors_are_exactly_lag_updates_behind(lag):
    """Every update adds 1 to the parameter; what acts is what stood `lag` updates ago."""
    rule = GradientAgent(
        init=lambda key: jnp.float32(0),
        params=lambda state: state,
        start=lambda key: (),
        act=lambda key, params, carry, x: (carry, params, ()),
        gradient=lambda key, params, batch: (1.0, {}),
        apply=lambda state, gradient: (state + gradient, {}),
        policy=lambda params: Policy(lambda key: (), lambda key, carry, x: (carry, params)),
    )
    agent = acting_behind(rule, lag=lag)
    state = agent.init(jax.random.key(0))
    for update in range(6):
        _, acted_with, _ = agent.act(jax.random.key(0), state, (), jnp.zeros(1))
        assert float(acted_with) == max(update - lag, 0)
        assert float(agent.policy(state).act(jax.random.key(0), (), None)[1]) == update
        state, _ = agent.update(jax.random.key(0), state, Rollout(transitions=None, carry=()))


def value_of(env, **changes):
    config = jaxrl.IMPALAConfig(
        total_steps=40_960,
        num_envs=16,
        num_steps=8,
        optimizer="adam",
        learning_rate=1e-2,
        hidden_sizes=(16,),
        **changes,
    )
    network = actor_critic(env.observation_space, env.action_space, hidden_sizes=(16,))
    algorithm = jaxrl.impala(env, config, network=network)
    state = jax.jit(lambda key: jaxrl.train(key, algorithm).state)(jax.random.key(0))
    returns = jaxrl.evaluate(jax.random.key(1), env, algorithm.policy(state), num_episodes=64)
    value = network.apply(state.agent.learner.params, jnp.zeros(1))[1]
    return float(value), float(returns.returns.mean())


def test_time_limit_is_no_termination():
    value, _ = value_of(constant_reward(5), discount=0.9)
    assert value == pytest.approx(10.0, rel=0.03)


def test_learns_from_stale_actors():
    _, mean_return = value_of(action_matches_observation(), lag=8)
    assert mean_return == pytest.approx(1.0)


def test_wrong_settings():
    env = jaxrl.make_env("CartPole-v1")
    with pytest.raises(ValueError, match=r"lag=-1 must be at least 0"):
        jaxrl.impala(env, jaxrl.IMPALAConfig(lag=-1))
    with pytest.raises(ValueError, match=r"clip_rho=0.0 must be greater than 0"):
        jaxrl.impala(env, jaxrl.IMPALAConfig(clip_rho=0.0))

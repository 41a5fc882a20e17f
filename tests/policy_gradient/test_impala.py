import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_environments import action_matches_observation, constant_reward

import jaxrl
from jaxrl.distributions import Categorical
from jaxrl.learning.optimizers import make_optimizer
from jaxrl.networks import actor_critic
from jaxrl.policy_gradient import make_actor
from jaxrl.policy_gradient._actor import ActorCarry
from jaxrl.policy_gradient.impala import impala_agent
from jaxrl.types import Box, Discrete, Network, Rollout, Transition

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


def one_step(actor, params, key):
    """A rollout of one step of one environment, for which there is a reward of 1."""
    observation = jnp.ones(1)
    _, action, extras = actor.act(key, params, actor.start(key), observation)
    transition = Transition(
        observation=observation,
        action=action,
        reward=jnp.float32(1),
        terminated=jnp.array(True),
        truncated=jnp.array(False),
        next_observation=observation,
        extras=extras,
    )
    transitions = jax.tree.map(lambda x: x[None, None], transition)
    return Rollout(transitions=transitions, carry=ActorCarry(memory=(), noise=()))


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_actors_are_exactly_lag_updates_behind(lag):
    """The logits are the parameters: log-probabilities tell which ones an action is drawn with."""

    def apply(params, observation):
        return Categorical(params), jnp.sum(0.0 * observation)

    config = jaxrl.IMPALAConfig(num_envs=1, num_steps=1, lag=lag, learning_rate=0.1)
    network = Network(init=lambda key, observation: jnp.array([0.1, -0.2]), apply=apply)
    actor = make_actor(Box(-1.0, 1.0, (1,)), Discrete(2), config, network=network)
    agent = impala_agent(actor, make_optimizer(config), config)
    state, update = agent.init(jax.random.key(0)), jax.jit(agent.update)
    newest = [state.learner.params]
    for i in range(6):
        key = jax.random.key(i)
        _, action, extras = agent.act(key, state, agent.start(key), jnp.ones(1))
        expected = jax.nn.log_softmax(newest[max(i - lag, 0)])[action]
        np.testing.assert_allclose(extras.log_probability, expected, rtol=1e-6)
        greedy = agent.policy(state).act(key, (), jnp.ones(1))[1]
        assert int(greedy) == int(jnp.argmax(newest[i]))
        state, _ = update(key, state, one_step(actor, newest[max(i - lag, 0)], key))
        newest.append(state.learner.params)
        assert np.abs(newest[-1] - newest[-2]).min() > 1e-3


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
    algorithm = jaxrl.impala(env, config)
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

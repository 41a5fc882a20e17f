import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_environments import (
    action_matches_observation,
    constant_reward,
    continuous_target,
    delayed_reward,
)
from tiers import leading

import jaxrl
from jaxrl.networks import actor_critic
from jaxrl.types import Network

PROBE = {
    "total_steps": 32_768,
    "num_envs": 16,
    "num_steps": 4,
    "learning_rate": 5e-3,
    "optimizer": "adam",
    "hidden_sizes": (16,),
}


def train_probe(env, **changes):
    config = jaxrl.A2CConfig(**(PROBE | changes))
    network = actor_critic(env.observation_space, env.action_space, hidden_sizes=(16,))
    algorithm = jaxrl.a2c(env, config)
    state = jax.jit(lambda key: jaxrl.train(key, algorithm).state)(jax.random.key(0))
    value = lambda x: float(network.apply(state.agent.params, jnp.asarray(x))[1])  # noqa: E731
    evaluation = jaxrl.evaluate(
        jax.random.key(1), algorithm.environment, algorithm.policy(state), num_episodes=64
    )
    return value, float(evaluation.returns.mean())


@pytest.mark.parametrize("gae_lambda", leading([0.0, 1.0]))
def test_time_limit_is_no_termination(gae_lambda):
    value, _ = train_probe(
        constant_reward(5), discount=0.9, gae_lambda=gae_lambda, learning_rate=2e-2
    )
    assert value([0.0]) == pytest.approx(10.0, rel=0.03)


def test_values_are_discounted():
    value, _ = train_probe(delayed_reward(), discount=0.5)
    assert value([-1.0]) == pytest.approx(0.5, abs=0.05)
    assert value([1.0]) == pytest.approx(1.0, abs=0.05)


def test_policy_looks_at_the_observation():
    _, mean_return = train_probe(action_matches_observation())
    assert mean_return == pytest.approx(1.0)


@pytest.mark.full
def test_continuous_actions():
    _, mean_return = train_probe(continuous_target())
    assert mean_return > -0.02


TABLE = {"policy": jnp.array([[0.3, -0.2], [0.1, 0.6]]), "value": jnp.array([0.5, -1.0])}


def tabular_network(observation_of=lambda x: x):
    """Logits and values are the parameters themselves, one row per observation in {-1, 1}."""
    from jaxrl.distributions import Categorical

    def apply(params, observation):
        row = (observation[0] > 0).astype(jnp.int32)
        return Categorical(logits=params["policy"][row]), params["value"][row]

    return Network(init=lambda key, x: TABLE, apply=apply)


def test_gradient_of_one_update_by_hand():
    """Episodes of one step: A = r - V, and every part of the loss has a closed form."""
    env = action_matches_observation()
    config = jaxrl.A2CConfig(
        total_steps=8,
        num_envs=8,
        num_steps=1,
        optimizer="rmsprop",
        optimizer_epsilon=1.0,
        learning_rate=0.1,
        max_gradient_norm=None,
        value_coefficient=0.25,
        entropy_coefficient=0.05,
    )
    algorithm = jaxrl.a2c(env, config, network=tabular_network())
    state = algorithm.init(jax.random.key(0))
    observation = np.asarray(state.worlds.observation)[:, 0]
    new, metrics = algorithm.step(jax.random.key(1), state)

    probabilities = np.exp(TABLE["policy"]) / np.exp(TABLE["policy"]).sum(1, keepdims=True)
    entropies = -(probabilities * np.log(probabilities)).sum(1)
    # Which actions were drawn is read off the environment: reward 1 if they match the sign.
    key_rollout, _ = jax.random.split(jax.random.key(1))
    from jaxrl.environments import record_episode_statistics
    from jaxrl.loops.worlds import collect

    actor_act = lambda key, carry, x: algorithm_act(key, carry, x)  # noqa: E731
    agent_params = state.agent.params

    def algorithm_act(key, carry, x):
        distribution, _ = tabular_network().apply(agent_params, x)
        return carry, distribution.sample(key), ()

    _, rollout, _ = collect(
        key_rollout,
        record_episode_statistics(env),
        actor_act,
        lambda key: (),
        state.worlds._replace(carry=()),
        num_steps=1,
    )
    action = np.asarray(rollout.transitions.action)[0]
    reward = np.asarray(rollout.transitions.reward)[0]
    row = (observation > 0).astype(int)
    np.testing.assert_array_equal(reward, np.where(action == row, 1.0, -1.0))

    advantage = reward - np.asarray(TABLE["value"])[row]
    gradient_policy, gradient_value = np.zeros((2, 2)), np.zeros(2)
    for i in range(8):
        p = probabilities[row[i]]
        score = np.eye(2)[action[i]] - p
        entropy_gradient = -p * (np.log(p) + entropies[row[i]])
        gradient_policy[row[i]] -= advantage[i] * score / 8 + 0.05 * entropy_gradient / 8
        gradient_value[row[i]] -= 0.25 * advantage[i] / 8
    # RMSprop's first second moment is 0.01 g^2.
    step = lambda g: 0.1 * g / (np.sqrt(0.01 * g**2) + 1.0)  # noqa: E731
    np.testing.assert_allclose(
        new.agent.params["policy"], TABLE["policy"] - step(gradient_policy), atol=1e-6
    )
    np.testing.assert_allclose(
        new.agent.params["value"], TABLE["value"] - step(gradient_value), atol=1e-6
    )
    assert float(metrics["entropy"]) == pytest.approx(entropies[row].mean(), abs=1e-6)
    assert float(metrics["value_loss"]) == pytest.approx((advantage**2).mean() / 2, abs=1e-5)

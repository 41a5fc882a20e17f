import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from probe_environments import (
    action_matches_observation,
    constant_reward,
    continuous_target,
    delayed_reward,
    only_one_door,
)

import jaxrl
from jaxrl.environments import mask_actions
from jaxrl.learning.optimizers import gradient_step, make_optimizer
from jaxrl.networks import q_network
from jaxrl.q_learning import pqn_agent, q_lambda_returns
from jaxrl.types import Discrete, Network, Transition

PROBE = {
    "total_steps": 8_192,
    "num_envs": 8,
    "num_steps": 8,
    "num_minibatches": 4,
    "learning_rate": 1e-2,
    "hidden_sizes": (16,),
    "epsilon_end": 0.5,
}


def train_probe(env, **changes):
    """Trains on a probe; returns the action values as a function, and the greedy policy."""
    config = jaxrl.PQNConfig(**(PROBE | changes))
    network = q_network(
        env.observation_space,
        env.action_space,
        hidden_sizes=config.hidden_sizes,
        layer_norm=config.layer_norm,
    )
    algorithm = jaxrl.pqn(env, config)
    state = jax.jit(lambda key: jaxrl.train(key, algorithm).state)(jax.random.key(0))

    def values(observation):
        return np.asarray(network.apply(state.agent.params, jnp.asarray(observation)))

    return values, algorithm.policy(state)


class TestProbes:
    def test_the_action_matters(self):
        values, policy = train_probe(action_matches_observation())
        np.testing.assert_allclose(values([1.0]), [-1.0, 1.0], atol=0.1)
        np.testing.assert_allclose(values([-1.0]), [1.0, -1.0], atol=0.1)
        for sign, best in ((1.0, 1), (-1.0, 0)):
            assert policy.act(jax.random.key(0), (), jnp.array([sign]))[1] == best

    def test_values_are_discounted(self):
        values, _ = train_probe(delayed_reward(), discount=0.5)
        np.testing.assert_allclose(values([-1.0]), [0.5, 0.5], atol=0.05)
        np.testing.assert_allclose(values([1.0]), [1.0, 1.0], atol=0.05)

    def test_a_time_limit_is_no_termination(self):
        """Reward 1 for ever, cut off every 5 steps: 1 / (1 - 0.9) = 10, not the 4.1 of 5 steps."""
        values, _ = train_probe(
            constant_reward(5), discount=0.9, learning_rate=0.3, layer_norm=False
        )
        np.testing.assert_allclose(values([0.0]), [10.0, 10.0], rtol=0.03)


def scaled_observation():
    """Values (x, 2 x) of the observation x, times the only parameter."""
    return Network(
        init=lambda key, x: jnp.ones(()), apply=lambda p, x: p * jnp.stack([x[0], 2 * x[0]])
    )


def test_returns_by_hand():
    """Four steps of two environments; V(x) = 2 x, discount 1/2, lambda 1/2.

    In the first, step 1 is cut off before x = 10; in the second, step 1 terminates.
    """
    first, second = jnp.array([1.0, 2.0, 3.0, 4.0]), jnp.array([4.0, 3.0, 2.0, 1.0])
    observation = jnp.stack([first, second], axis=1)
    false = jnp.zeros((4, 2), bool)
    transitions = Transition(
        observation=observation[..., None],
        action=jnp.zeros((4, 2), jnp.int32),
        reward=jnp.ones((4, 2)),
        terminated=false.at[1, 1].set(True),
        truncated=false.at[1, 0].set(True),
        next_observation=jnp.array([[2.0, 3.0], [10.0, 7.0], [4.0, 1.0], [6.0, 8.0]])[..., None],
        extras=(),
    )
    returns = q_lambda_returns(
        transitions,
        2 * observation,
        jnp.ones(()),
        network=scaled_observation(),
        discount=0.5,
        trace_decay=0.5,
    )
    # By hand, from the last step: r + (V(s') + G') / 4 within an episode, r + V(s') / 2 at its end.
    expected = [
        [1 + (4 + 11) / 4, 1 + (6 + 1) / 4],
        [1 + 20 / 2, 1],
        [1 + (8 + 7) / 4, 1 + (2 + 9) / 4],
        [1 + 12 / 2, 1 + 16 / 2],
    ]
    np.testing.assert_allclose(returns, expected)


def test_without_a_limit_in_the_midst_the_returns_are_the_same():
    """Then the values of what was seen serve; they are those of the final observations."""
    key_x, key_reward = jax.random.split(jax.random.key(0))
    x = jax.random.normal(key_x, (5, 3, 1))
    transitions = Transition(
        observation=x[:-1],
        action=jnp.zeros((4, 3), jnp.int32),
        reward=jax.random.normal(key_reward, (4, 3)),
        terminated=jnp.zeros((4, 3), bool).at[2, 0].set(True),
        truncated=jnp.zeros((4, 3), bool),
        next_observation=x[1:],
        extras=(),
    )

    def returns_of(truncated):
        return q_lambda_returns(
            transitions._replace(truncated=truncated),
            jnp.maximum(0.5 * x, x)[:-1, :, 0],
            jnp.float32(0.5),
            network=scaled_observation(),
            discount=0.9,
            trace_decay=0.7,
        )

    # A truncation that is a termination too changes nothing but what is computed.
    np.testing.assert_array_equal(
        returns_of(transitions.truncated), returns_of(transitions.terminated)
    )
    elsewhere = returns_of(transitions.truncated.at[1, 2].set(True))
    assert (elsewhere[:, :2] == returns_of(transitions.truncated)[:, :2]).all()


TABLE = jnp.array([[0.3, -0.2], [0.1, 0.6]])


def tabular_network():
    """The values are the parameters themselves, one row per observation in {-1, 1}."""
    return Network(
        init=lambda key, x: TABLE, apply=lambda params, x: params[(x[0] > 0).astype(jnp.int32)]
    )


def test_one_update_by_hand():
    """Episodes of one step, worth +1 or -1: the gradient is the mean error of each entry."""
    config = jaxrl.PQNConfig(
        total_steps=64,
        num_envs=4,
        num_steps=8,
        num_epochs=1,
        num_minibatches=1,
        optimizer="rmsprop",
        optimizer_epsilon=1e6,
        learning_rate=1e5,
        max_gradient_norm=None,
    )
    algorithm = jaxrl.pqn(action_matches_observation(), config, network=tabular_network())
    state, metrics = jax.jit(lambda key: algorithm.step(key, algorithm.init(key)))(
        jax.random.key(0)
    )
    # Beside so large an epsilon, RMSprop is plain gradient descent with a step size of 0.1.
    change = np.asarray(state.agent.params - TABLE, np.float64) / -0.1
    target = np.array([[1.0, -1.0], [-1.0, 1.0]])
    share = change / (np.asarray(TABLE) - target)
    # Each entry's share of the 32 steps.
    np.testing.assert_allclose(32 * share, np.round(32 * share), atol=1e-3)
    assert 32 * share.sum() == pytest.approx(32, abs=1e-3)
    loss = 0.5 * np.sum(share * np.square(np.asarray(TABLE) - target))
    assert float(metrics["value_loss"]) == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize(("epsilon", "greedy"), [(0.0, 1.0), (1.0, 0.5)])
def test_behaviour_is_random_as_often_as_it_should_be(epsilon, greedy):
    config = jaxrl.PQNConfig(epsilon_start=epsilon)
    agent = pqn_agent(action_matches_observation(), config, network=tabular_network())
    state = agent.init(jax.random.key(0))

    def act(key, sign):
        return agent.act(key, state, (), jnp.array([sign]))[1:]

    keys = jax.random.split(jax.random.key(1), 400)
    for sign, best, value in ((-1.0, 0, 0.3), (1.0, 1, 0.6)):
        action, extras = jax.vmap(act, (0, None))(keys, sign)
        # Four standard deviations of the share in 400 fair draws.
        assert float(jnp.mean(action == best)) == pytest.approx(greedy, abs=0.1 * epsilon)
        np.testing.assert_allclose(extras, value)


def test_epsilon_falls_in_a_straight_line():
    config = jaxrl.PQNConfig(
        total_steps=1_000,
        num_envs=5,
        num_steps=20,
        num_minibatches=1,
        epsilon_start=0.8,
        epsilon_end=0.2,
        epsilon_fraction=0.3,
    )
    algorithm = jaxrl.pqn(action_matches_observation(), config, network=tabular_network())
    result = jax.jit(lambda key: jaxrl.train(key, algorithm))(jax.random.key(0))
    expected = [0.8, 0.6, 0.4] + 7 * [0.2]
    np.testing.assert_allclose(result.metrics["epsilon"], expected, rtol=1e-6)


def test_forbidden_actions_are_neither_taken_nor_bootstrapped_from():
    env = mask_actions(only_one_door())
    config = jaxrl.PQNConfig(**(PROBE | {"total_steps": 1_024, "epsilon_end": 1.0}))
    algorithm = jaxrl.pqn(env, config)
    result = jax.jit(lambda key: jaxrl.train(key, algorithm))(jax.random.key(0))
    # Even random behaviour has the best return; a forbidden action's value would dwarf the loss.
    np.testing.assert_array_equal(result.metrics["episode_return"], 8.0)
    assert float(result.metrics["value_loss"].max()) < 100


def test_options_learn():
    config = jaxrl.PQNConfig(
        **PROBE,
        normalize_observations=True,
        normalize_rewards=True,
        dueling=True,
        compute_dtype="bfloat16",
    )
    algorithm = jaxrl.pqn(action_matches_observation(), config)
    state = jax.jit(lambda key: jaxrl.train(key, algorithm).state)(jax.random.key(0))
    for sign, best in ((1.0, 1), (-1.0, 0)):
        policy = algorithm.policy(state)
        assert policy.act(jax.random.key(0), (), jnp.array([sign]))[1] == best


def test_radam_is_optax_radam():
    config = jaxrl.PQNConfig(max_gradient_norm=None)
    ours, reference = make_optimizer(config), optax.radam(0.1, eps=1e-8)
    params = expected = jnp.array([1.0, -2.0])
    state, expected_state = ours.init(params), reference.init(params)
    for gradient in jnp.array([[0.5, -1.0]] * 8):
        params, state = gradient_step(ours, params, state, gradient, 0.1)
        change, expected_state = reference.update(gradient, expected_state, expected)
        expected = optax.apply_updates(expected, change)
    np.testing.assert_allclose(params, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("env", "changes", "message"),
    [
        (continuous_target, {}, "PQN needs Discrete actions"),
        (
            constant_reward,
            {"num_minibatches": 5},
            r"num_minibatches=5 does not divide num_envs \* num_steps = 4096",
        ),
        (constant_reward, {"trace_decay": 1.5}, "trace_decay=1.5 must be at most 1"),
        (constant_reward, {"optimizer": "sgd"}, "not one of adam, radam, rmsprop"),
    ],
)
def test_wrong_settings_are_named(env, changes, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.pqn(env(), jaxrl.PQNConfig(**changes))


def test_a_network_of_the_wrong_width_is_named():
    env = constant_reward()
    network = q_network(env.observation_space, Discrete(3))
    with pytest.raises(ValueError, match=r"values of shape \(2,\), but this one returns \(3,\)"):
        jaxrl.pqn(env, jaxrl.PQNConfig(), network=network)

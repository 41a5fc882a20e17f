"""DQN on probe environments whose action values are known, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
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
from jaxrl.q_learning import dqn_agent
from jaxrl.types import MaskedObservation, Network, Replayed, Transition

KEY = jax.random.key(0)
SMALL = {
    "num_envs": 4,
    "num_steps": 1,
    "random_steps": 100,
    "total_steps": 3000,
    "buffer_size": 400,
    "batch_size": 32,
    "target_period": 1,
    "tau": 0.1,
    "learning_rate": 0.05,
    "hidden_sizes": (8,),
}
# With a network of one's own.
OWN = {name: value for name, value in SMALL.items() if name != "hidden_sizes"}


def linear_network(num_actions=2):
    """Values linear in the observation, from zero on."""

    def init(key, observation):
        return {
            "kernel": jnp.zeros((observation.size, num_actions)),
            "bias": jnp.zeros(num_actions),
        }

    return Network(init=init, apply=lambda params, x: x @ params["kernel"] + params["bias"])


def train_values(env, observations, **changed):
    """The values that a run ends with, [observations, actions], of each discount in a batch."""
    network = linear_network()

    def run(discount):
        config = jaxrl.DQNConfig(**OWN | changed, discount=discount)
        state = jaxrl.train(KEY, jaxrl.dqn(env, config, network=network)).state
        return jax.vmap(network.apply, (None, 0))(state.agent.params, observations)

    return jax.jit(jax.vmap(run))


def test_a_time_limit_is_no_end():
    """Reward 1 for ever, cut off every 5 steps: 1 / (1 - discount), for two of them at once."""
    values = train_values(constant_reward(5), jnp.zeros((1, 1)))(jnp.array([0.5, 0.8]))
    np.testing.assert_allclose(values[0], 2.0, rtol=0.01)
    np.testing.assert_allclose(values[1], 5.0, rtol=0.01)


def test_n_steps_through_a_time_limit():
    """The same with sums of three rewards and a target that is copied."""
    settings = {"n_step": 3, "tau": 1.0, "target_period": 10}
    values = train_values(constant_reward(5), jnp.zeros((1, 1)), **settings)(jnp.array([0.8]))
    np.testing.assert_allclose(values, 5.0, rtol=0.01)


def test_an_end_is_worth_its_reward():
    """Two steps, reward 1 at the end: discount at the first and 1 at the second."""
    observations = jnp.array([[-1.0], [1.0]])
    values = train_values(delayed_reward(), observations)(jnp.array([0.5, 0.9]))
    np.testing.assert_allclose(values[0], [[0.5, 0.5], [1.0, 1.0]], rtol=0.02)
    np.testing.assert_allclose(values[1], [[0.9, 0.9], [1.0, 1.0]], rtol=0.02)


@pytest.mark.parametrize(
    "variant",
    [
        {"double": False, "dueling": True, "layer_norm": True, "loss": "huber"},
        {"double": True, "prioritized": True, "normalize_observations": True},
    ],
)
def test_each_variant_looks_before_it_acts(variant):
    """+1 for the action that matches what is seen: every evaluated episode has it."""
    config = jaxrl.DQNConfig(**SMALL | variant | {"learning_rate": 0.01})
    algorithm = jaxrl.dqn(action_matches_observation(), config)
    result = jax.jit(lambda: jaxrl.train(KEY, algorithm, num_evaluations=1))()
    np.testing.assert_array_equal(result.evaluations.returns, 1.0)
    assert np.isfinite(result.metrics["value_loss"]).all()
    # The rewards are known: nothing is left to be wrong about.
    assert result.metrics["value_loss"][-1] < 0.02
    assert result.metrics["q_value"][-1] < 1.1


def test_only_allowed_actions_are_taken_and_bootstrapped_from():
    """A wrong door costs 2: random, exploring and greedy episodes all have the best return."""
    env = mask_actions(only_one_door())
    config = jaxrl.DQNConfig(**OWN | {"total_steps": 1000})
    algorithm = jaxrl.dqn(env, config, network=linear_network(6))
    result = jax.jit(lambda: jaxrl.train(KEY, algorithm, num_evaluations=1))()
    returns = result.metrics["episode_return"]
    np.testing.assert_array_equal(returns[result.metrics["episodes"] > 0], 8.0)
    np.testing.assert_array_equal(result.evaluations.returns, 8.0)
    assert np.isfinite(result.metrics["q_value"]).all()
    assert np.abs(result.metrics["q_value"]).max() < 100


def batch_by_hand(observation, next_observation):
    return Replayed(
        observation=observation,
        action=jnp.array([0, 1]),
        reward=jnp.array([1.0, 2.0]),
        discount=jnp.array([0.5, 0.0]),
        next_observation=next_observation,
        weight=jnp.array([1.0, 0.5]),
        index=jnp.arange(2),
    )


@pytest.mark.parametrize(
    ("double", "error"),
    # Of the successor -1 the target says (-3, 4), the learning network (2, 1): 4, or -3 by the
    # latter's choice. Targets 1 + 0.5 * 4 = 3 or 1 - 0.5 * 3 = -0.5, and 2; predictions 2 and 1.
    [(False, [1.0, 1.0]), (True, [2.5, 1.0])],
)
def test_an_update_by_hand(double, error):
    config = jaxrl.DQNConfig(**OWN | {"double": double, "target_period": 2, "tau": 0.5})
    agent = dqn_agent(action_matches_observation(), config, network=linear_network())
    state = agent.init(KEY)
    params = {"kernel": jnp.array([[0.0, 0.0]]), "bias": jnp.array([2.0, 1.0])}
    target = {"kernel": jnp.array([[3.0, -4.0]]), "bias": jnp.array([0.0, 0.0])}
    state = state._replace(params=params, target_params=target)
    batch = batch_by_hand(jnp.array([[1.0], [1.0]]), jnp.array([[-1.0], [-1.0]]))
    update = jax.jit(agent.update)
    after, found, metrics = update(KEY, state, batch)
    np.testing.assert_allclose(found, error, rtol=1e-6)
    np.testing.assert_allclose(metrics["q_value"], 1.5, rtol=1e-6)
    loss = np.mean(np.array([1.0, 0.5]) * 0.5 * np.square(error))
    np.testing.assert_allclose(metrics["value_loss"], loss, rtol=1e-5)
    # The target waits for the second update, and then goes half of the way.
    jax.tree.map(np.testing.assert_array_equal, after.target_params, target)
    later, _, _ = update(KEY, after, batch)
    halfway = jax.tree.map(lambda x, y: 0.5 * (x + y), later.params, target)
    jax.tree.map(np.testing.assert_allclose, later.target_params, halfway)
    assert later.updates == 2


@pytest.mark.parametrize(("loss", "value"), [("squared", 2.375), ("huber", 1.375)])
def test_the_loss_is_that_of_the_settings(loss, value):
    """Values of 2 and 1 where 5 and 2 are due: errors of 3 and 1, of which the second counts half.

    Squared: (9 / 2 + 1 / 4) / 2 = 2.375 of errors (3, 1); linear beyond 1: (2.5 + 1 / 4) / 2.
    """
    config = jaxrl.DQNConfig(**OWN | {"loss": loss})
    agent = dqn_agent(action_matches_observation(), config, network=linear_network())
    params = {"kernel": jnp.array([[0.0, 0.0]]), "bias": jnp.array([2.0, 1.0])}
    state = agent.init(KEY)._replace(params=params, target_params=params)
    batch = batch_by_hand(jnp.ones((2, 1)), jnp.ones((2, 1)))._replace(reward=jnp.array([4.0, 2.0]))
    _, error, metrics = jax.jit(agent.update)(KEY, state, batch)
    np.testing.assert_allclose(error, [3.0, 1.0], rtol=1e-6)
    np.testing.assert_allclose(metrics["value_loss"], value, rtol=1e-6)


def test_a_forbidden_action_is_no_successors_value():
    """The best action of the successor is forbidden: the other one's value, 1, counts."""
    env = mask_actions(only_one_door(2))
    agent = dqn_agent(env, jaxrl.DQNConfig(**OWN), network=linear_network())
    bias = {"kernel": jnp.zeros((1, 2)), "bias": jnp.array([7.0, 1.0])}
    state = agent.init(KEY)._replace(params=bias, target_params=bias)
    seen = MaskedObservation(jnp.zeros((2, 1)), jnp.ones((2, 2), bool))
    masked = MaskedObservation(jnp.zeros((2, 1)), jnp.array([[False, True], [False, True]]))
    _, error, _ = jax.jit(agent.update)(KEY, state, batch_by_hand(seen, masked))
    np.testing.assert_allclose(error, [7 - (1 + 0.5 * 1), 2 - 1], rtol=1e-6)


def test_epsilon_falls_with_the_steps_that_are_observed():
    """From 1 to 0.1 over half of 3,000 steps, the random ones among them."""
    config = jaxrl.DQNConfig(**OWN | {"epsilon_end": 0.1, "num_envs": 5, "num_steps": 100})
    agent = dqn_agent(action_matches_observation(), config, network=linear_network())
    batch = batch_by_hand(jnp.ones((2, 1)), jnp.ones((2, 1)))

    @jax.jit
    def epsilon(num_rollouts):
        transitions = Transition(*(None,) * 2, jnp.zeros((100, 5)), *(None,) * 4)
        state = jax.lax.fori_loop(
            0,
            num_rollouts,
            lambda _, state: agent.observe(KEY, state, transitions),
            agent.init(KEY),
        )
        return agent.update(KEY, state, batch)[2]["epsilon"]

    for i, expected in enumerate([1.0, 0.7, 0.4, 0.1, 0.1]):
        np.testing.assert_allclose(epsilon(i), expected, rtol=1e-5)


def test_epsilon_falls_beyond_int32():
    """Half of 2^33 steps are 2^20 rollouts of 4,096."""
    config = jaxrl.DQNConfig(total_steps=2**33, num_envs=64, num_steps=64, epsilon_end=0.0)
    agent = dqn_agent(action_matches_observation(), config, network=linear_network())
    batch = batch_by_hand(jnp.ones((2, 1)), jnp.ones((2, 1)))
    state = agent.init(KEY)._replace(rollouts=jnp.int32(3 * 2**18))
    epsilon = jax.jit(agent.update)(KEY, state, batch)[2]["epsilon"]
    np.testing.assert_allclose(epsilon, 0.25, rtol=1e-6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"tau": 0.0}, "tau=0.0 must be greater than 0"),
        ({"discount": 1.5}, "discount=1.5 must be at most 1"),
        ({"loss": "absolute"}, "loss='absolute' is not one of huber, squared"),
        ({"random_steps": 3000}, "random_steps=3000 must be less than total_steps=3000"),
        (
            {"random_steps": 2998},
            "random_steps=2998 are 3000 in whole iterations, which must be less than "
            "total_steps=3000: nothing would be learnt; with num_envs . num_steps = 4 they may be "
            "at most 2996",
        ),
        ({"n_step": 101}, "buffer_size=400 keeps 100 steps.*too few for n_step=101"),
        ({"n_step": 30}, "random_steps=100 give 26 steps.*too few for n_step=30"),
        ({"epsilon_fraction": 0.0}, "epsilon_fraction=0.0 must be greater than 0"),
        ({"learning_rate": np.array([1e-3, 1e-4])}, "learning_rate has shape"),
    ],
)
def test_wrong_settings_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.dqn(constant_reward(5), jaxrl.DQNConfig(**SMALL | changed))


def test_what_does_not_suit_the_task_is_refused():
    with pytest.raises(ValueError, match="DQN needs Discrete actions, but the actions of cont"):
        jaxrl.dqn(continuous_target(), jaxrl.DQNConfig(**OWN))
    with pytest.raises(ValueError, match=r"values of shape \(2,\), but this one returns \(3,\)"):
        jaxrl.dqn(constant_reward(5), jaxrl.DQNConfig(**OWN), network=linear_network(3))

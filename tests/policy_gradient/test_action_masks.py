"""Agents keep to the allowed actions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_environments import action_matches_observation, only_one_door, vector_of_actions
from tiers import leading

import jaxrl
from jaxrl.distributions import Categorical, MultiCategorical
from jaxrl.environments import mask_actions
from jaxrl.networks import actor_critic, masking_actions, recurrent_actor_critic, without_memory
from jaxrl.policy_gradient import make_actor
from jaxrl.types import Box, Discrete, MaskedObservation, MaskedSpace, Network

SMALL = {"num_envs": 8, "num_steps": 16, "total_steps": 256, "hidden_sizes": (8,)}
OBSERVATION = jnp.array([0.5])
MASK = jnp.array([False, True, True, False])


def masked_network(number_of_actions, kind):
    """A network with masks, its parameters, and the bare distribution for the observation."""
    space = Box(-1.0, 1.0, (1,))
    if kind != "none":
        bare = recurrent_actor_critic(space, Discrete(number_of_actions), core=kind, core_size=4)
    else:
        bare = without_memory(actor_critic(space, Discrete(number_of_actions)))
    params = jax.tree.map(lambda x: x + 0.2, bare.init(jax.random.key(0), OBSERVATION))
    return masking_actions(bare), bare, params


@pytest.mark.parametrize("kind", leading(["none", "lstm", "gru"]))
def test_the_distribution_is_of_the_allowed_actions(kind):
    network, bare, params = masked_network(4, kind)
    seen = MaskedObservation(OBSERVATION, MASK)
    _, (distribution, value) = network.apply(params, network.start(), seen)
    _, (without, same_value) = bare.apply(params, bare.start(), OBSERVATION)
    probability = np.where(MASK, jax.nn.softmax(without.logits), 0)
    probability = probability / probability.sum()
    log_probability = [distribution.log_probability(jnp.int32(i)) for i in (1, 2)]
    np.testing.assert_allclose(log_probability, np.log(probability[1:3]), rtol=1e-5)
    entropy = -np.sum(probability[1:3] * np.log(probability[1:3]))
    np.testing.assert_allclose(distribution.entropy(), entropy, rtol=1e-5)
    np.testing.assert_array_equal(value, same_value)
    draws = jax.vmap(distribution.sample)(jax.random.split(jax.random.key(1), 1000))
    assert set(np.asarray(draws)) == {1, 2}
    # A sequence of steps does as one step does.
    batch = jax.tree.map(lambda x: x[None, None], seen)
    memory = jax.tree.map(lambda x: x[None], network.start())
    _, (unrolled, _) = network.unroll(params, memory, batch, jnp.zeros((1, 1), bool))
    np.testing.assert_allclose(unrolled.logits[0, 0], distribution.logits, rtol=1e-5)


@pytest.mark.parametrize("core", leading(["none", "gru", "lstm"]))
@pytest.mark.parametrize("name", leading(["ppo", "a2c"]))
def test_forbidden_actions_are_never_taken(name, core):
    """A wrong door costs 2: every episode, also of the first policy, has the best return."""
    env = mask_actions(only_one_door())
    entry = jaxrl.registry.get(name)
    memory = {} if core == "none" else {"core": core, "core_size": 8}
    config = entry.settings(**SMALL, **memory, normalize_observations=True)
    algorithm = entry.build(env, config)
    run = jax.jit(lambda key: jaxrl.train(key, algorithm, num_evaluations=2))
    result = run(jax.random.key(0))
    assert result.metrics["episodes"].sum() == 256 // 8
    np.testing.assert_array_equal(result.metrics["episode_return"], 8.0)
    np.testing.assert_array_equal(result.evaluations.returns, 8.0)
    assert np.isfinite(result.metrics["policy_loss"]).all()
    # Only the first of an episode's eight choices is free: the entropy is that of the masks.
    np.testing.assert_allclose(result.metrics["entropy"], np.log(6) / 8, rtol=0.01)


@pytest.mark.full
def test_without_the_masks_nothing_tells_the_doors_apart():
    env = only_one_door()
    algorithm = jaxrl.ppo(env, jaxrl.PPOConfig(**SMALL))
    result = jax.jit(lambda key: jaxrl.train(key, algorithm, num_evaluations=1))(jax.random.key(0))
    assert result.evaluations.returns.mean() < 0


def test_what_is_allowed_is_learnt():
    """Of four actions the first two are for sign -1 and the others for 1, as in the probe."""
    env = action_matches_observation()

    def step(key, state, action):
        return env.step(key, state, (action == 2).astype(jnp.int32))

    # Actions 0 and 3 are forbidden; 1 and 2 remain, and the right one must be learnt.
    wide = env._replace(action_space=Discrete(4), step=step)
    masked = mask_actions(wide, lambda observation: MASK)
    config = jaxrl.PPOConfig(
        total_steps=8192, num_envs=16, num_steps=32, learning_rate=3e-3, hidden_sizes=(16,)
    )
    algorithm = jaxrl.ppo(masked, config)
    run = jax.jit(lambda key: jaxrl.train(key, algorithm, num_evaluations=1).evaluations)
    assert run(jax.random.key(0)).returns.mean() == pytest.approx(1.0)


@pytest.mark.full
def test_several_factors_are_masked_each():
    """Each factor's right answer is forbidden but the first one's: 1 is the best return left."""
    allowed = jnp.array([True, True, True, True, False, True, False, True, True])
    env = mask_actions(vector_of_actions(), lambda observation: allowed)
    algorithm = jaxrl.ppo(env, jaxrl.PPOConfig(**SMALL))
    result = jax.jit(lambda key: jaxrl.train(key, algorithm))(jax.random.key(0))
    assert result.metrics["episode_return"].max() <= 1.0


@pytest.mark.full
def test_normalisation_keeps_the_masks():
    """And its statistics are those of what is seen."""
    env = mask_actions(
        jaxrl.make_env("CartPole-v1"), lambda observation: jnp.array([True, observation[0] > 0])
    )
    algorithm = jaxrl.ppo(env, jaxrl.PPOConfig(**SMALL, normalize_observations=True))
    state = jax.jit(lambda key: jaxrl.train(key, algorithm).state)(jax.random.key(0))
    assert state.agent.statistics.mean.shape == (4,)
    np.testing.assert_array_equal(state.agent.statistics.count, np.full(4, 256))
    policy = algorithm.policy(state)
    key = jax.random.key(0)
    for number in (-5.0, 5.0):
        seen = jnp.array([number, 0.0, 0.0, 0.0])
        mask = jnp.array([False, True])
        _, action = policy.act(key, policy.start(key), MaskedObservation(seen, mask))
        assert int(action) == 1


def test_networks_that_do_not_suit_the_masks_are_named():
    space = MaskedSpace(Box(-1.0, 1.0, (1,)), 4)
    config = jaxrl.PPOConfig()

    def returning(distribution):
        return Network(
            init=lambda key, x: {}, apply=lambda params, x: (distribution, jnp.float32(0))
        )

    gaussian = actor_critic(Box(-1.0, 1.0, (1,)), Box(-1.0, 1.0, (4,)))
    with pytest.raises(ValueError, match="a Categorical or a MultiCategorical, not a Diagonal"):
        make_actor(space, Box(-1.0, 1.0, (4,)), config, network=gaussian)
    with pytest.raises(ValueError, match="has 3 logits, but the masks of actions have 4 entries"):
        make_actor(space, Discrete(4), config, network=returning(Categorical(jnp.zeros(3))))
    factors = MultiCategorical(jnp.zeros(4), (2, 2))
    with pytest.raises(ValueError, match="actions of shape"):
        make_actor(space, Discrete(4), config, network=returning(factors))
    malformed = Network(init=lambda key, x: {}, apply=lambda params, x: x)
    with pytest.raises(ValueError, match="maps one observation to"):
        make_actor(space, Discrete(4), config, network=malformed)


def test_categories_with_masks_are_not_normalised():
    env = mask_actions(jaxrl.make_env("FrozenLake-misc"), lambda observation: jnp.ones(4, bool))
    with pytest.raises(ValueError, match=r"needs Box observations, but .* are Discrete"):
        jaxrl.ppo(env, jaxrl.PPOConfig(normalize_observations=True))

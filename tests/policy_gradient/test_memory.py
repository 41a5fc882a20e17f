"""Actors with memory, and what the learner makes of their rollouts."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_environments import constant_reward
from tiers import leading

import jaxrl
from jaxrl.distributions import Categorical
from jaxrl.learning.normalization import normalize_observations
from jaxrl.loops.on_policy import on_policy
from jaxrl.networks import LSTMMemory, recurrent_actor_critic, step_by_step
from jaxrl.ops.returns import gae
from jaxrl.policy_gradient import as_sequences, evaluate_rollout, evaluate_steps, make_actor
from jaxrl.types import Agent, RecurrentNetwork

SMALL = {"num_envs": 4, "num_steps": 16, "total_steps": 256, "hidden_sizes": (8,), "core_size": 6}


class Learner(NamedTuple):
    """What a learner that only looks remembers of its last rollout."""

    params: dict
    acted: jax.Array
    replayed: jax.Array
    ended: jax.Array
    memory: tuple


def sequences(params, rollout, actor, config, length=0):
    """The rollout as learners get it, with GAE's advantages."""
    steps, evaluated = rollout.transitions, evaluate_rollout(params, rollout, actor)
    estimate = partial(gae, discount=config.discount, gae_lambda=config.gae_lambda)
    advantage = jax.vmap(estimate, in_axes=1, out_axes=1)(
        steps.reward, evaluated.value, evaluated.next_value, steps.terminated, steps.truncated
    )
    return as_sequences(
        rollout,
        evaluated,
        advantage=advantage,
        target=advantage + evaluated.value,
        actor=actor,
        length=length,
    )


def looking_agent(actor, config):
    """Changes nothing, and keeps how the rollout's actions look to the learner."""

    def init(key):
        # The first policy hardly looks at anything: another one, so that mistakes show.
        params = jax.tree.map(lambda x: x + jax.random.normal(key, x.shape) / 3, actor.init(key))
        length = config.sequence_length or config.num_steps
        number = config.num_envs * config.num_steps // length
        nothing = jnp.zeros((length, number))
        memory = jax.vmap(actor.start)(jax.random.split(key, number)).memory
        memory = jax.tree.map(lambda x: x[None], memory)
        return Learner(params, nothing, nothing, nothing > 0, memory)

    def update(key, state, batch):
        experience = sequences(state.params, batch, actor, config, config.sequence_length)
        order = jnp.arange(experience.ended.shape[1])[::-1]
        chosen = jax.tree.map(lambda x: x[:, order], experience)
        _, log_probability, value = evaluate_steps(state.params, chosen, actor)
        state = Learner(
            state.params,
            chosen.log_probability,
            log_probability,
            experience.ended,
            experience.memory,
        )
        return state, {"value_change": jnp.max(jnp.abs(value - chosen.value))}

    return Agent(
        init=init,
        start=actor.start,
        act=lambda key, state, carry, observation: actor.act(key, state.params, carry, observation),
        update=update,
        policy=lambda state: actor.policy(state.params),
    )


@pytest.mark.parametrize(
    ("name", "changes", "normalized"),
    leading(
        [
            ("CartPole-v1", {"core": "lstm", "sequence_length": 8}, False),
            ("CartPole-v1", {"shared_core": False}, True),
            ("CartPole-v1", {}, False),
            ("CartPole-v1", {"sequence_length": 4}, False),
            ("CartPole-v1", {"sequence_length": 1, "shared_torso": True, "hidden_sizes": ()}, True),
            ("Pendulum-v1", {"state_dependent_exploration": True}, True),
            ("Pendulum-v1", {"core": "lstm", "shared_core": False}, True),
        ],
        2,
    ),
)
def test_learner_reproduces_the_actors_log_probabilities(name, changes, normalized):
    """Over several rollouts, in whose midst episodes end, from the memory that each began with."""
    env = jaxrl.make_env(name, max_steps_in_episode=11)
    config = jaxrl.PPOConfig(**(SMALL | {"core": "gru"} | changes))
    actor = make_actor(env.observation_space, env.action_space, config)
    agent = looking_agent(actor, config)
    if normalized:
        agent = normalize_observations(agent, env.observation_space)
    algorithm = on_policy(env, agent, num_envs=4, num_steps=16, total_steps=256)
    state = jax.jit(algorithm.init)(jax.random.key(0))
    step = jax.jit(algorithm.step)
    for i in range(3):
        state, metrics = step(jax.random.key(i), state)
        learner = state.agent.agent if normalized else state.agent
        assert learner.ended.any()
        assert i == 0 or all(jnp.any(x) for x in jax.tree.leaves(learner.memory))
        np.testing.assert_allclose(learner.replayed, learner.acted, atol=1e-5)
        assert np.ptp(learner.acted) > 0.1
        assert metrics["value_change"] < 1e-4


@pytest.mark.parametrize("num_minibatches", leading([4, 1]))
def test_first_minibatch_has_ratio_one(num_minibatches):
    config = jaxrl.PPOConfig(
        **SMALL, core="gru", num_epochs=1, num_minibatches=num_minibatches, learning_rate=1e-12
    )
    env = jaxrl.make_env("CartPole-v1", max_steps_in_episode=11)
    metrics = jax.jit(lambda key: jaxrl.train(key, jaxrl.ppo(env, config)).metrics)(
        jax.random.key(0)
    )
    assert metrics["approximate_kl"].shape == (4,)
    np.testing.assert_allclose(metrics["approximate_kl"], 0.0, atol=1e-8)
    np.testing.assert_array_equal(metrics["clip_fraction"], 0.0)


def counting_network():
    """Its memory counts the steps of the episode; its value is the count, the next step included.

    One parameter scales the value, so that there is something to differentiate.
    """

    def apply(params, memory, observation):
        after = memory + 1
        value = params["scale"] * after.astype(jnp.float32)
        return after, (Categorical(jnp.zeros(2) * params["scale"]), value)

    return step_by_step(
        lambda key, observation: {"scale": jnp.float32(1)}, lambda: jnp.int32(0), apply
    )


def test_the_value_after_a_time_limit_is_of_the_memory_after_the_step():
    """Episodes of 3 steps: the counts seen are 1, 2, 3, and those of the successors 2, 3, 4."""
    env = constant_reward(3)
    config = jaxrl.PPOConfig(num_envs=2, num_steps=5, num_minibatches=1, discount=0.5)
    actor = make_actor(env.observation_space, env.action_space, config, network=counting_network())
    kept = []

    def update(key, state, batch):
        kept.append(sequences(state, batch, actor, config))
        return state, {}

    agent = Agent(
        init=actor.init, start=actor.start, act=actor.act, update=update, policy=actor.policy
    )
    algorithm = on_policy(env, agent, num_envs=2, num_steps=5, total_steps=20)
    state = algorithm.init(jax.random.key(0))
    counts = [[1, 2, 3, 1, 2], [3, 1, 2, 3, 1]]
    truncated = [[0, 0, 1, 0, 0], [1, 0, 0, 1, 0]]
    starts = [0, 2]
    for i in range(2):
        state, _ = algorithm.step(jax.random.key(i), state)
        experience = kept[i]
        np.testing.assert_array_equal(experience.memory, [[starts[i]] * 2])
        np.testing.assert_array_equal(experience.value[:, 1], counts[i])
        np.testing.assert_array_equal(experience.ended[:, 0], truncated[i])
        value = jnp.array(counts[i], jnp.float32)
        expected = gae(
            jnp.ones(5),
            value,
            value + 1,
            jnp.zeros(5, bool),
            jnp.array(truncated[i], bool),
            discount=0.5,
            gae_lambda=config.gae_lambda,
        )
        np.testing.assert_allclose(experience.advantage[:, 0], expected, rtol=1e-5)
    # Worked out by hand at the limit of the first rollout: 1 + 0.5 * 4 - 3.
    assert float(kept[0].advantage[2, 0]) == pytest.approx(0.0)


@pytest.mark.parametrize("limit", [50, 5, 6])
def test_values_of_successors_without_a_limit_in_the_midst(limit):
    """Nowhere, at the last of five steps, and at the first step of the second rollout."""
    env = constant_reward(limit)
    config = jaxrl.PPOConfig(num_envs=2, num_steps=5, num_minibatches=1, gae_lambda=0.0)
    actor = make_actor(env.observation_space, env.action_space, config, network=counting_network())
    kept = []

    def update(key, state, batch):
        kept.append(sequences(state, batch, actor, config))
        return state, {}

    agent = Agent(actor.init, actor.start, actor.act, update, actor.policy)
    algorithm = on_policy(env, agent, num_envs=2, num_steps=5, total_steps=20)
    state = algorithm.init(jax.random.key(0))
    for i in range(2):
        state, _ = algorithm.step(jax.random.key(i), state)
        counts = np.arange(5 * i, 5 * i + 5) % limit + 1
        np.testing.assert_array_equal(kept[i].value[:, 0], counts)
        # With lambda 0 the target is one step's: the reward and the value of its true successor.
        expected = 1 + config.discount * (counts + 1)
        np.testing.assert_allclose(kept[i].target[:, 0], expected, rtol=1e-6)


def test_sequences_begin_with_what_the_actor_remembered():
    """Episodes of 3 steps and sequences of 2: those of the earliest steps come first."""
    env = constant_reward(3)
    config = jaxrl.PPOConfig(num_envs=2, num_steps=6, sequence_length=2, num_minibatches=3)
    actor = make_actor(env.observation_space, env.action_space, config, network=counting_network())
    kept = []

    def update(key, state, batch):
        kept.extend(sequences(state, batch, actor, config, length) for length in (0, 2))
        return state, {}

    agent = Agent(actor.init, actor.start, actor.act, update, actor.policy)
    algorithm = on_policy(env, agent, num_envs=2, num_steps=6, total_steps=12)
    algorithm.step(jax.random.key(0), algorithm.init(jax.random.key(0)))
    whole, cut = kept
    np.testing.assert_array_equal(cut.memory, [[0, 0, 2, 2, 1, 1]])
    np.testing.assert_array_equal(cut.value[0], [1, 1, 3, 3, 2, 2])
    np.testing.assert_array_equal(cut.value[1], [2, 2, 1, 1, 3, 3])
    for name in ("advantage", "target", "log_probability", "observation"):
        pieces = np.split(getattr(cut, name), 3, axis=1)
        np.testing.assert_array_equal(np.concatenate(pieces), getattr(whole, name))


@pytest.mark.parametrize("name", leading(["a2c", "ppo"]))
def test_a_gradient_does_not_pass_the_beginning_of_its_sequence(name):
    """In sequences of one step what was remembered is data: another update comes out."""
    env = jaxrl.make_env("CartPole-v1", max_steps_in_episode=11)
    entry = jaxrl.registry.get(name)
    once = SMALL | {"total_steps": 64, "core": "gru", "optimizer": "adam", "learning_rate": 1e-2}
    once |= {"num_epochs": 1, "num_minibatches": 1} if name == "ppo" else {}

    def kernel(length):
        algorithm = entry.build(env, entry.settings(**once, sequence_length=length))
        state = jax.jit(lambda key: jaxrl.train(key, algorithm).state)(jax.random.key(0))
        return state.agent.params["params"]["shared_core"]["kernel"]

    assert np.abs(kernel(0) - kernel(1)).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("ppo", {"core": "gru", "sequence_length": 5}, "sequence_length=5 does not divide num_st"),
        ("a2c", {"core": "gru", "sequence_length": 7}, "sequence_length=7 does not divide num_st"),
        ("ppo", {"sequence_length": 8}, "sequence_length=8 needs core='gru' or core='lstm', or"),
        ("a2c", {"sequence_length": 5}, "sequence_length=5 needs core='gru' or core='lstm', or"),
        ("a3c", {"core": "gru", "sequence_length": -1}, "sequence_length=-1 must be at least 0"),
        (
            "ppo",
            {"core": "gru", "sequence_length": 64, "num_minibatches": 16},
            "num_minibatches=16 does not divide num_envs . num_steps / sequence_length = 8",
        ),
    ],
)
def test_wrong_sequences_are_named(name, changes, message):
    entry = jaxrl.registry.get(name)
    with pytest.raises(ValueError, match=message):
        entry.build(jaxrl.make_env("CartPole-v1"), entry.settings(**changes))


def test_minibatches_are_of_whole_environments():
    env = constant_reward(3)
    config = jaxrl.PPOConfig(num_envs=4, num_steps=6, num_minibatches=2)
    for network, num_sequences in ((None, 24), (counting_network(), 4)):
        actor = make_actor(env.observation_space, env.action_space, config, network=network)
        kept = []

        def update(key, state, batch, actor=actor, kept=kept):
            kept.append(sequences(state, batch, actor, config))
            return state, {}

        agent = Agent(actor.init, actor.start, actor.act, update, actor.policy)
        algorithm = on_policy(env, agent, num_envs=4, num_steps=6, total_steps=24)
        algorithm.step(jax.random.key(0), algorithm.init(jax.random.key(0)))
        assert kept[0].advantage.shape[1] == num_sequences
        index = jnp.array([0, 3])
        minibatch = jax.tree.map(lambda x, index=index: x[:, index], kept[0])
        assert minibatch.advantage.shape == (24 // num_sequences, 2)


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_without_a_core_there_is_nothing_to_carry(name):
    env = jaxrl.make_env("CartPole-v1")
    entry = jaxrl.registry.get(name)
    plain, gru, lstm = (
        jax.eval_shape(entry.build(env, entry.settings(num_envs=4, core=core)).init, key)
        for core in ("none", "gru", "lstm")
        for key in [jax.random.key(0)]
    )
    assert jax.tree.leaves(plain.worlds.carry) == []
    assert [x.shape for x in jax.tree.leaves(gru.worlds.carry)] == [(4, 64)]
    assert [x.shape for x in jax.tree.leaves(lstm.worlds.carry)] == [(4, 64)] * 2


@pytest.mark.parametrize("name", leading(["a3c", "impala", "a2c", "ppo"], 2))
def test_every_learner_with_a_core_carries_the_pair_of_an_lstm(name):
    """Traced, not compiled: a whole run leaves memories of the form that it began with."""
    env = jaxrl.make_env("CartPole-v1")
    entry = jaxrl.registry.get(name)
    small = {"num_envs": 4, "num_steps": 8, "total_steps": 512, "hidden_sizes": (4,)}
    config = entry.settings(**small, core="lstm", core_size=3, shared_core=False)
    algorithm = entry.build(env, config)
    first = jax.eval_shape(algorithm.init, jax.random.key(0))
    last = jax.eval_shape(lambda key: jaxrl.train(key, algorithm).state, jax.random.key(0))
    assert first == last
    pairs = [x for x in jax.tree.leaves(last, is_leaf=is_pair) if is_pair(x)]
    assert len(pairs) == 2
    assert all(x.shape[-2:] == (4, 3) for pair in pairs for x in pair)


def is_pair(x):
    return isinstance(x, LSTMMemory)


def test_a_wrong_number_of_minibatches_is_named():
    env = jaxrl.make_env("CartPole-v1")
    message = "num_minibatches=3 does not divide num_envs = 4 .a network with memory"
    with pytest.raises(ValueError, match=message):
        jaxrl.ppo(env, jaxrl.PPOConfig(core="gru", num_minibatches=3, num_steps=3))


def test_a_core_is_not_put_into_a_network_of_ones_own():
    env = jaxrl.make_env("CartPole-v1")
    network = recurrent_actor_critic(env.observation_space, env.action_space)
    assert isinstance(network, RecurrentNetwork)
    with pytest.raises(ValueError, match="core='gru' needs the default network, but another"):
        jaxrl.ppo(env, jaxrl.PPOConfig(core="gru"), network=network)
    jaxrl.ppo(env, jaxrl.PPOConfig(), network=network)
    with pytest.raises(ValueError, match="core='elman' is not one of none, gru, lstm"):
        jaxrl.a2c(env, jaxrl.A2CConfig(core="elman"))
    with pytest.raises(ValueError, match="core='elman' is not one of gru, lstm"):
        recurrent_actor_critic(env.observation_space, env.action_space, core="elman")
    with pytest.raises(ValueError, match="core_size=0 must be at least 1"):
        jaxrl.a2c(env, jaxrl.A2CConfig(core="gru", core_size=0))

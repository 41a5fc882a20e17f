"""Tasks that need a memory are learnt with one, and only with one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_environments import remembered_cue
from tiers import leading

import jaxrl

PROBE = {
    "ppo": {
        "total_steps": 24_576,
        "num_envs": 16,
        "num_steps": 24,
        "learning_rate": 5e-3,
        "hidden_sizes": (16,),
    },
    "a2c": {
        "total_steps": 49_152,
        "num_envs": 16,
        "num_steps": 12,
        "learning_rate": 5e-3,
        "optimizer": "adam",
        "entropy_coefficient": 0.01,
        "hidden_sizes": (16,),
    },
}


def mean_return(name, core):
    """Of 256 episodes after training on the probe."""
    env = remembered_cue()
    entry = jaxrl.registry.get(name)
    memory = {} if core == "none" else {"core": core, "core_size": 16}
    algorithm = entry.build(env, entry.settings(**PROBE[name], **memory))

    def run(key):
        result = jaxrl.train(key, algorithm, num_evaluations=1, evaluation_episodes=256)
        return result.evaluations.returns.mean()

    return float(jax.jit(run)(jax.random.key(0)))


@pytest.mark.parametrize(
    ("name", "core"),
    leading([("a2c", "gru"), ("ppo", "lstm"), ("a2c", "lstm"), ("ppo", "gru")], 2),
)
def test_what_was_seen_is_remembered(name, core):
    assert mean_return(name, core) > 0.95


@pytest.mark.full
def test_without_memory_it_cannot_be():
    # The mean of 256 fair coins of +-1 has a deviation of 1/16.
    assert abs(mean_return("ppo", "none")) < 0.3


@pytest.mark.full
@pytest.mark.parametrize("core", ["gru", "lstm"])
def test_vmapped_seeds_equal_their_solo_runs(core):
    env = jaxrl.make_env("CartPole-v1", max_steps_in_episode=9)
    entry = jaxrl.registry.get("ppo")
    small = {"num_envs": 4, "num_steps": 8, "total_steps": 96, "hidden_sizes": (8,)}
    algorithm = entry.build(env, entry.settings(**small, core=core, core_size=8))

    def run(key):
        result = jaxrl.train(key, algorithm, num_evaluations=1, evaluation_episodes=4)
        return result.state.agent.params, result.metrics, result.evaluations

    keys = jax.random.split(jax.random.key(0), 3)
    together = jax.jit(jax.vmap(run))(keys)
    alone = jax.jit(run)
    for i in range(3):
        member = jax.tree.map(lambda x: x[i], together)  # noqa: B023
        compare = functools.partial(np.testing.assert_allclose, rtol=2e-4, atol=1e-5)
        jax.tree.map(compare, member, alone(keys[i]))


@pytest.mark.learning
def test_a_chain_of_30_steps_is_remembered():
    """bsuite's memory chain with the preset: the right answer in every episode, for every seed."""
    env = jaxrl.make_env("MemoryChain-bsuite", memory_length=30)
    config = jaxrl.presets.preset_settings("ppo", "MemoryChain-bsuite")

    def run(key):
        algorithm = jaxrl.ppo(env, config)
        return jaxrl.train(key, algorithm, num_evaluations=1, evaluation_episodes=100).evaluations

    returns = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(7), 10)).returns
    assert jnp.min(jnp.mean(returns, axis=1)) >= 0.99

"""Worlds with a number that is not finite, and every algorithm that learns in them.

A terminal state may be anything: nobody acts there, and nothing of it may be read. With
normalisation, what is seen on the way may be anything too.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import SMALL, corridor
from tiers import leading, named

from jaxrl import registry, train

CHEAP = ("dqn", "ppo")
LEARNERS = [name for name in registry.names() if name not in ("toy", "evosax", "pbt")]


def spoilt(environment, *, terminal=None, seen=None, reward=None):
    """The corridor, whose walls, or some observations or rewards on the way, are not finite."""
    inner = environment.step

    def step(key, state, action):
        state, time_step = inner(key, state, action)
        ended = time_step.terminated | time_step.truncated
        if terminal is not None:
            last = jnp.where(time_step.terminated, terminal, time_step.observation)
            time_step = time_step._replace(observation=last)
        if seen is not None:
            # One time in sixteen, within an episode.
            rare = ~ended & (jax.random.bits(key) % 16 == 0)
            strange = jnp.where(rare, seen, time_step.observation)
            time_step = time_step._replace(observation=strange)
        if reward is not None:
            rare = jax.random.bits(key) % 16 == 1
            time_step = time_step._replace(reward=jnp.where(rare, reward, time_step.reward))
        return state, time_step

    return environment._replace(step=step)


def learnt(name, *, changes=None, **what):
    """Parameters after a small run, whichever of the two corridors the algorithm takes."""
    entry = registry.get(name)
    config = entry.settings(**{"total_steps": 120, **SMALL.get(name, {}), **(changes or {})})
    for continuous in (False, True):
        environment = spoilt(corridor(continuous=continuous), **what)
        try:
            algorithm = entry.build(environment, config)
        except ValueError:
            continue
        return jax.jit(lambda key, algorithm=algorithm: train(key, algorithm))(jax.random.key(0))
    return pytest.fail(f"{name} takes neither corridor")


def assert_learnt(result):
    """All numbers that are learnt are finite; whatever the worlds and the replay hold."""
    state = result.state
    parts = state.search if hasattr(state, "search") else state.agent
    # A search that has found nothing yet is told so by an infinity.
    leaves = [x for x in jax.tree.leaves(parts) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert leaves
    assert not any(np.isnan(x).any() for x in leaves)
    if not hasattr(state, "search"):
        assert all(np.isfinite(x).all() for x in leaves)


@pytest.mark.parametrize("terminal", leading([jnp.nan, jnp.inf]))
@pytest.mark.parametrize("name", named(LEARNERS, *CHEAP))
def test_a_terminal_observation_is_not_read(name, terminal):
    assert_learnt(learnt(name, terminal=terminal))


VARIANTS = {
    "dqn": {"n_step": 3, "prioritized": True, "double": True, "normalize_observations": True},
    "sac": {"n_step": 3, "prioritized": True, "normalize_observations": True},
    "td3": {"n_step": 3},
    "pqn": {"normalize_observations": True, "normalize_rewards": True},
    "ppo": {"core": "gru", "normalize_observations": True},
    "a2c": {"core": "gru"},
    "ddpg": {"noise": "parameter"},
}


@pytest.mark.full
@pytest.mark.parametrize("name", VARIANTS)
def test_nor_in_variants(name):
    changes = VARIANTS[name] | ({"num_minibatches": 1} if name == "ppo" else {})
    assert_learnt(learnt(name, changes=changes, terminal=jnp.nan))


NORMALIZED = [
    name
    for name in LEARNERS
    if "normalize_observations" in registry.get(name).settings.__dataclass_fields__
]


@pytest.mark.parametrize("seen", leading([jnp.nan, jnp.inf, 1e20]))
@pytest.mark.parametrize("name", named(NORMALIZED, "ppo"))
def test_what_is_seen_on_the_way_does_not_spoil_a_normaliser(name, seen):
    result = learnt(name, changes={"normalize_observations": True}, seen=seen)
    assert_learnt(result)
    left_out = np.asarray(result.metrics["observations_left_out"])
    assert left_out[np.asarray(result.metrics["steps"]) >= 0].sum() > 0


@pytest.mark.full
@pytest.mark.parametrize("reward", [jnp.nan, jnp.inf, 1e20])
@pytest.mark.parametrize("name", ["ppo", "a2c", "impala", "trpo", "pqn"])
def test_rewards_do_not_spoil_their_scale(name, reward):
    result = learnt(name, changes={"normalize_rewards": True}, reward=reward)
    assert_learnt(result)
    assert np.asarray(result.metrics["rewards_left_out"]).sum() > 0

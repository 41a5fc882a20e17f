"""Every registered environment keeps the protocol, under jit, vmap and scan."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import named

from jaxrl.environments import (
    available_environments,
    make_env,
    record_episode_statistics,
)
from jaxrl.loops.worlds import where_ended
from jaxrl.types import Box, Discrete

LIMIT = 7
NUM_ENVS = 8
NUM_STEPS = 20
# Compiled for use once: quickly, not well.
QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
# What needs a data set has a test of its own, in test_making.py.
NAMES = [name for name in available_environments() if name != "MNISTBandit-bsuite"]

# Their parameter for the length of an episode, which ends there, because they observe the time.
HORIZONS = {
    "finance/liquidation": "num_periods",
    "finance/market-making": "num_steps",
    "finance/market-making-adversary": "num_steps",
    "finance/portfolio": "num_periods",
}
# One of each kind, and what other tests train on; the rest are slow to compile or much alike.
QUICK = {
    "Acrobot-v1",
    "Breakout-MinAtar",
    "CartPole-v1",
    "Catch-bsuite",
    "DeepSea-bsuite",
    "FourRooms-misc",
    "MemoryChain-bsuite",
    "MountainCarContinuous-v0",
    "Pendulum-v1",
    "PointRobot-misc",
    "finance/liquidation",
    "finance/market-making",
    "finance/portfolio",
}


def random_play(environment, key):
    """One environment's first observation, and `NUM_STEPS` steps of random actions."""
    key_reset, key_steps = jax.random.split(key)
    state, observation = environment.reset(key_reset)

    def step(state, key):
        key_action, key_step = jax.random.split(key)
        action = environment.action_space.sample(key_action)
        state, step = environment.step(key_step, state, action)
        ended = step.terminated | step.truncated
        return where_ended(ended, environment.reset(key)[0], state), step

    _, steps = jax.lax.scan(step, state, jax.random.split(key_steps, NUM_STEPS))
    return observation, steps


@pytest.fixture(
    scope="module",
    params=named(NAMES, *sorted(QUICK)),
)
def environment(request):
    return make_env(request.param, **{HORIZONS.get(request.param, "max_steps_in_episode"): LIMIT})


def test_reset_and_step_agree_on_every_type(environment):
    key = jax.random.key(0)
    action = jax.ShapeDtypeStruct(environment.action_space.shape, environment.action_space.dtype)
    state, observation = jax.eval_shape(environment.reset, key)
    next_state, step = jax.eval_shape(environment.step, key, state, action)
    for before, after in (
        (state, next_state),
        (observation, step.observation),
    ):
        assert jax.tree.structure(before) == jax.tree.structure(after)
        for leaf, next_leaf in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
            assert (leaf.shape, leaf.dtype) == (next_leaf.shape, next_leaf.dtype)
            assert not leaf.weak_type
            assert not next_leaf.weak_type
    assert (observation.shape, observation.dtype) == (
        environment.observation_space.shape,
        environment.observation_space.dtype,
    )
    assert (step.reward.shape, step.reward.dtype) == ((), jnp.float32)
    assert (step.terminated.shape, step.terminated.dtype) == ((), bool)
    assert (step.truncated.shape, step.truncated.dtype) == ((), bool)
    assert not {"terminated", "truncated", "final_observation"} & set(step.info)
    assert isinstance(environment.action_space, Discrete | Box)


def test_random_play(environment):
    assert environment.max_episode_steps == LIMIT
    has_horizon = environment.name in HORIZONS
    environment = record_episode_statistics(environment)
    play = jax.jit(jax.vmap(lambda key: random_play(environment, key)))
    keys = jax.random.split(jax.random.key(0), NUM_ENVS)
    first, steps = play.lower(keys).compile(compiler_options=QUICKLY)(keys)

    contains = jax.vmap(environment.observation_space.contains)
    for observations in (first, steps.observation):
        flat = observations.reshape(-1, *environment.observation_space.shape)
        assert np.isfinite(flat).all()
        assert contains(flat).all()
    assert np.isfinite(steps.reward).all()

    lengths = np.asarray(steps.info["episode_length"])
    at_limit = steps.terminated if has_horizon else steps.truncated
    np.testing.assert_array_equal(at_limit, lengths == LIMIT)
    ended = np.asarray(steps.terminated | steps.truncated)
    assert ended.any()
    np.testing.assert_array_equal(lengths[:, 1:] == 1, ended[:, :-1])

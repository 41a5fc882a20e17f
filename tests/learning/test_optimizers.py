"""Schedules within and beyond a run, and the unit that each algorithm counts in."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from probe_environments import action_matches_observation, continuous_target

import jaxrl
from jaxrl.learning.optimizers import scheduled


@pytest.mark.parametrize(
    ("update", "left"), [(0, 1.0), (25, 0.75), (100, 0.0), (150, 0.0), (2**31 - 1, 0.0)]
)
def test_linear_schedules_end_at_zero_and_stay_there(update, left):
    assert float(scheduled(0.5, "linear", jnp.int32(update), 100)) == pytest.approx(0.5 * left)
    assert scheduled(0.5, "constant", jnp.int32(update), 100) == 0.5


def test_a_function_counts_iterations_and_never_turns_a_setting_negative():
    def schedule(iteration):
        return 2.0 - iteration

    values = [
        float(scheduled(0.5, schedule, jnp.int32(i), 100, updates_per_iteration=3))
        for i in range(12)
    ]
    np.testing.assert_allclose(values, np.repeat([1.0, 0.5, 0.0, 0.0], 3))


HALVING = optax.exponential_decay(1.0, transition_steps=1, decay_rate=0.5)
REPLAY = {
    "total_steps": 20,
    "num_envs": 2,
    "num_steps": 2,
    "random_steps": 4,
    "batch_size": 4,
    "hidden_sizes": (4,),
}
ROLLOUT = {"total_steps": 16, "num_envs": 2, "num_steps": 2, "hidden_sizes": (4,)}
CASES = {
    "dqn": (jaxrl.dqn, jaxrl.DQNConfig, REPLAY | {"num_updates": 3}),
    "sac": (jaxrl.sac, jaxrl.SACConfig, REPLAY | {"num_updates": 3}),
    "td3": (jaxrl.td3, jaxrl.TD3Config, REPLAY | {"num_updates": 3}),
    "ddpg": (jaxrl.ddpg, jaxrl.DDPGConfig, REPLAY | {"num_updates": 3}),
    "a2c": (jaxrl.a2c, jaxrl.A2CConfig, ROLLOUT),
    "a3c": (jaxrl.a3c, jaxrl.A3CConfig, ROLLOUT | {"num_envs": 1, "num_workers": 2}),
    "impala": (jaxrl.impala, jaxrl.IMPALAConfig, ROLLOUT),
    "ppo": (jaxrl.ppo, jaxrl.PPOConfig, ROLLOUT | {"num_minibatches": 2}),
    "pqn": (jaxrl.pqn, jaxrl.PQNConfig, ROLLOUT | {"num_minibatches": 2}),
    "trpo": (jaxrl.trpo, jaxrl.TRPOConfig, ROLLOUT | {"num_minibatches": 2}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_function_is_a_factor_per_iteration_in_every_loop(name):
    """All updates of an iteration have one factor, whatever their number."""
    build, settings, small = CASES[name]
    env = continuous_target() if name in ("td3", "ddpg") else action_matches_observation()
    config = settings(learning_rate=0.1, learning_rate_schedule=HALVING, **small)
    metrics = jax.jit(lambda key: jaxrl.train(key, build(env, config)))(jax.random.key(0)).metrics
    np.testing.assert_allclose(metrics["learning_rate"], 0.1 * 0.5 ** np.arange(4), rtol=1e-6)


def test_a_finished_run_that_goes_on_changes_nothing():
    env = action_matches_observation()
    config = jaxrl.PPOConfig(clip_schedule="linear", **CASES["ppo"][2])
    algorithm = jaxrl.ppo(env, config)
    state = jax.jit(lambda key: jaxrl.train(key, algorithm))(jax.random.key(0)).state
    beyond, metrics = jax.jit(algorithm.step)(jax.random.key(1), state)
    jax.tree.map(np.testing.assert_array_equal, beyond.agent.params, state.agent.params)
    assert metrics["learning_rate"] == 0.0
    assert metrics["clip_epsilon"] == 0.0
    assert beyond.steps == state.steps + 4

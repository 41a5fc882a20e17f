"""How many updates a run makes, which is what schedules count."""

import jax
import numpy as np
import pytest
from probe_environments import constant_reward, continuous_target
from tiers import leading

import jaxrl
from jaxrl.loops.replays import num_updates

# Rounded up to 12 steps; the other 88 are 22 iterations of 4 steps, each of 3 updates.
SIZES = {"total_steps": 100, "random_steps": 9, "num_envs": 2, "num_steps": 2, "num_updates": 3}


def test_updates_of_a_run_by_hand():
    assert num_updates(jaxrl.DQNConfig(**SIZES)) == 66
    assert num_updates(jaxrl.DQNConfig(**SIZES | {"total_steps": 101})) == 69
    assert num_updates(jaxrl.DQNConfig(**SIZES | {"random_steps": 0})) == 75


@pytest.mark.parametrize(
    ("build", "config", "env"),
    leading(
        [
            (jaxrl.dqn, jaxrl.DQNConfig, constant_reward(5)),
            (jaxrl.td3, jaxrl.TD3Config, continuous_target()),
        ]
    ),
)
def test_a_linear_schedule_ends_with_the_last_update(build, config, env):
    """A row is the mean of three updates: the first is at 1 of the whole, the last at 2 / 66."""
    small = {"batch_size": 4, "hidden_sizes": (2,), "learning_rate": 0.01}
    settings = config(**SIZES | small, learning_rate_schedule="linear")
    metrics = jax.jit(lambda key: jaxrl.train(key, build(env, settings)).metrics)(jax.random.key(0))
    left = 1 - (3 * np.arange(22) + 1) / 66
    np.testing.assert_allclose(metrics["learning_rate"], 0.01 * left, rtol=1e-4)

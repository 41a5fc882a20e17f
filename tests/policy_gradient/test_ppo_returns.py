"""The presets reach their returns; minutes of training, so these run with `make test-learning`."""

import jax
import numpy as np
import pytest

import jaxrl
from jaxrl.presets import preset_settings


@pytest.mark.learning
@pytest.mark.parametrize(
    ("name", "total_steps", "target", "seeds"),
    [
        ("CartPole-v1", 100_000, 495, 10),
        ("Acrobot-v1", 1_000_000, -80, 10),
        ("Pendulum-v1", 100_000, -172, 10),
        ("MountainCarContinuous-v0", 100_000, 90, 10),
        ("Breakout-MinAtar", 10_000_000, 43, 5),
    ],
)
def test_preset_reaches_its_return(name, total_steps, target, seeds):
    env = jaxrl.make_env(name)
    config = preset_settings("ppo", name, total_steps=total_steps)

    def run(key):
        algorithm = jaxrl.ppo(env, config)
        return jaxrl.train(key, algorithm, num_evaluations=1, evaluation_episodes=100).evaluations

    keys = jax.random.split(jax.random.key(7), seeds)
    returns = jax.jit(jax.vmap(run))(keys).returns
    assert np.mean(returns) >= target

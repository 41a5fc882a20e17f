"""The presets reach their returns; minutes of training, so these run with `make test-learning`."""

import jax
import numpy as np
import pytest

import jaxrl
from jaxrl import registry
from jaxrl.presets import preset_settings


@pytest.mark.learning
@pytest.mark.parametrize(
    ("algorithm", "name", "total_steps", "target", "seeds"),
    [
        ("dqn", "CartPole-v1", 100_000, 495, 10),
        ("dqn", "Acrobot-v1", 100_000, -80, 10),
        ("pqn", "CartPole-v1", 500_000, 495, 10),
        ("pqn", "Acrobot-v1", 500_000, -95.6, 10),
        ("pqn", "Breakout-MinAtar", 10_000_000, 30, 5),
    ],
)
def test_preset_reaches_its_return(algorithm, name, total_steps, target, seeds):
    env = jaxrl.make_env(name)
    built = registry.get(algorithm).build(
        env, preset_settings(algorithm, name, total_steps=total_steps)
    )

    def run(key):
        return jaxrl.train(key, built, num_evaluations=1, evaluation_episodes=100).evaluations

    returns = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(7), seeds)).returns
    assert np.mean(returns) >= target

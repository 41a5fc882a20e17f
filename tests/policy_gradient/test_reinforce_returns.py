"""The preset reaches its return; a minute of training, so it runs with `make test-learning`."""

import jax
import numpy as np
import pytest

import jaxrl
from jaxrl.presets import preset_settings


@pytest.mark.learning
def test_preset_reaches_its_return():
    env = jaxrl.make_env("CartPole-v1")
    config = preset_settings("reinforce", "CartPole-v1", total_steps=200_000)

    def run(key):
        algorithm = jaxrl.reinforce(env, config)
        return jaxrl.train(key, algorithm, num_evaluations=1, evaluation_episodes=100).evaluations

    returns = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(7), 10)).returns
    assert np.mean(returns) >= 483

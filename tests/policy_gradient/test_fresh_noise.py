"""The noise matrices of state-dependent exploration are drawn afresh, and apart."""

import jax
import numpy as np
from probe_environments import constant_reward

import jaxrl
from jaxrl.types import Box


def test_each_environment_each_interval_and_each_episode_has_noise_of_its_own():
    """One step at a time, of episodes of 5 steps and noise that is kept for 3."""
    env = constant_reward(5)._replace(action_space=Box(-1.0, 1.0, (1,)))
    config = jaxrl.A2CConfig(
        total_steps=100,
        num_envs=3,
        num_steps=1,
        hidden_sizes=(2,),
        state_dependent_exploration=True,
        noise_interval=3,
    )
    algorithm = jaxrl.a2c(env, config)
    state, step = algorithm.init(jax.random.key(0)), jax.jit(algorithm.step)
    seen = [state.worlds.carry.noise.noise]
    for i in range(10):
        state, _ = step(jax.random.key(1 + i), state)
        seen.append(state.worlds.carry.noise.noise)
    seen = np.asarray(seen).reshape(11, 3, -1)
    # After the fourth step of an episode the noise is that of a fourth; after its fifth, of a next.
    fresh = [0, 4, 5, 9, 10]
    for i in range(1, 11):
        assert np.array_equal(seen[i], seen[i - 1]) == (i not in fresh)
    assert np.unique(seen[fresh]).size == len(fresh) * seen[0].size

"""Whole episodes of equal length of market making, for its tests."""

import jax
import numpy as np


def play_policy(environment, policy, *, num_episodes, seed=0):
    """Plays episodes side by side, and returns the time steps [episodes, steps] as NumPy's."""

    def episode(key):
        key_reset, key_start, key_steps = jax.random.split(key, 3)
        state, observation = environment.reset(key_reset)

        def step(carry, key):
            state, memory, observation = carry
            key_act, key_step = jax.random.split(key)
            memory, action = policy.act(key_act, memory, observation)
            state, time_step = environment.step(key_step, state, action)
            return (state, memory, time_step.observation), time_step

        start = (state, policy.start(key_start), observation)
        keys = jax.random.split(key_steps, environment.max_episode_steps)
        return jax.lax.scan(step, start, keys)[1]

    keys = jax.random.split(jax.random.key(seed), num_episodes)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(episode))(keys))


def returns_of(environment, policy, *, num_episodes=256):
    """The sums of rewards of such episodes, [episodes], in double precision."""
    steps = play_policy(environment, policy, num_episodes=num_episodes)
    assert steps.terminated[:, -1].all()
    return steps.reward.astype(np.float64).sum(axis=1)

"""Policies trained here, played in Gymnasium's own environments: the same mean return."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import leading

import jaxrl
from jaxrl.presets import preset_settings

EPISODES = 60


def play_in_gymnasium(name, policy):
    """The returns of `EPISODES` episodes, stepped side by side by hand."""
    environments = [gymnasium.make(name) for _ in range(EPISODES)]
    observations = np.stack([e.reset(seed=i)[0] for i, e in enumerate(environments)])
    act = jax.jit(jax.vmap(lambda x: policy.act(jax.random.key(0), (), x)[1]))
    returns, running = np.zeros(EPISODES), np.ones(EPISODES, bool)
    while running.any():
        actions = np.asarray(act(jnp.asarray(observations, jnp.float32)))
        for i in np.flatnonzero(running):
            observation, reward, terminated, truncated, _ = environments[i].step(actions[i])
            observations[i], running[i] = observation, not (terminated or truncated)
            returns[i] += reward
    return returns


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "total_steps"),
    # Cut short on purpose: a middling policy shows differences that a perfect one hides.
    leading([("CartPole-v1", 12_000), ("Acrobot-v1", 60_000), ("Pendulum-v1", 20_000)]),
)
def test_same_mean_return(name, total_steps):
    env = jaxrl.make_env(name)
    algorithm = jaxrl.ppo(env, preset_settings("ppo", name, total_steps=total_steps))

    @jax.jit
    def train_and_evaluate(key):
        state = jaxrl.train(key, algorithm).state
        policy = algorithm.policy(state)
        return state, jaxrl.evaluate(key, env, policy, num_episodes=400).returns

    state, ours = train_and_evaluate(jax.random.key(0))
    theirs = play_in_gymnasium(name, algorithm.policy(state))
    standard_error = np.sqrt(np.var(ours) / len(ours) + np.var(theirs) / len(theirs))
    assert abs(np.mean(ours) - np.mean(theirs)) < 2.6 * standard_error
    # The returns vary, or the interval above would mean nothing.
    assert standard_error > 0

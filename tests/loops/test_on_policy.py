import jax
import jax.numpy as jnp
import numpy as np
from probe_environments import constant_reward

from jaxrl.loops.finished_episodes import FinishedEpisodes, episode_metrics
from jaxrl.loops.on_policy import on_policy
from jaxrl.types import Agent, Policy


def recording_agent(num_steps):
    """Acts by counting its own steps within an episode; its update keeps the rollout."""

    def act(key, state, carry, observation):
        return carry + 1, jnp.int32(carry % 2), {"count": carry}

    def update(key, state, batch):
        return {"rollout": batch}, {}

    return Agent(
        init=lambda key: {},
        start=lambda key: jnp.int32(0),
        act=act,
        update=update,
        policy=lambda state: Policy(lambda key: (), lambda key, carry, x: (carry, jnp.int32(0))),
    )


def test_rollout_by_hand():
    """Episodes of 3 steps, rollouts of 4: the second rollout goes on where the first stopped."""
    env = constant_reward(3)
    algorithm = on_policy(env, recording_agent(4), num_envs=2, num_steps=4, total_steps=16)
    state = algorithm.init(jax.random.key(0))
    state, first = algorithm.step(jax.random.key(1), state)
    rollout = state.agent["rollout"]
    column = lambda x: np.asarray(x)[:, 1].tolist()  # noqa: E731
    assert rollout.transitions.reward.shape == (4, 2)
    assert column(rollout.transitions.truncated) == [False, False, True, False]
    assert column(rollout.transitions.terminated) == [False] * 4
    assert column(rollout.transitions.extras["count"]) == [0, 1, 2, 0]
    assert column(rollout.transitions.action) == [0, 1, 0, 0]
    np.testing.assert_array_equal(rollout.carry, [0, 0])
    assert int(first["steps"]) == 8
    assert int(first["episodes"]) == 2
    assert float(first["episode_return"]) == 3.0
    assert float(first["episode_length"]) == 3.0
    state, second = algorithm.step(jax.random.key(2), state)
    rollout = state.agent["rollout"]
    np.testing.assert_array_equal(rollout.carry, [1, 1])
    assert column(rollout.transitions.truncated) == [False, True, False, False]
    assert column(rollout.transitions.extras["count"]) == [1, 2, 0, 1]
    assert int(second["steps"]) == int(state.steps) == 16


def test_next_observation_is_the_successor_before_the_reset():
    env = constant_reward(3, terminates=True)
    algorithm = on_policy(env, recording_agent(4), num_envs=1, num_steps=4, total_steps=4)
    state, _ = algorithm.step(jax.random.key(0), algorithm.init(jax.random.key(0)))
    transitions = state.agent["rollout"].transitions
    thirds = np.array([0, 1, 2, 0]) / 3
    np.testing.assert_allclose(transitions.observation[:, 0, 0], thirds, rtol=1e-6)
    successors = np.array([1, 2, 3, 1]) / 3
    np.testing.assert_allclose(transitions.next_observation[:, 0, 0], successors, rtol=1e-6)


def test_episode_metrics_count_finished_episodes_only():
    finished = FinishedEpisodes(
        ended=jnp.array([[True, False], [False, True], [False, False]]),
        episode_return=jnp.array([[2.0, 99.0], [99.0, 5.0], [99.0, 99.0]]),
        episode_length=jnp.array([[1, 9], [9, 4], [9, 9]]),
    )
    metrics = episode_metrics(finished)
    assert int(metrics["episodes"]) == 2
    assert float(metrics["episode_return"]) == 3.5
    assert float(metrics["episode_length"]) == 2.5
    nothing = episode_metrics(finished._replace(ended=jnp.zeros((3, 2), bool)))
    assert int(nothing["episodes"]) == 0
    assert np.isnan(nothing["episode_return"])
    assert np.isnan(nothing["episode_length"])

import jax
import numpy as np

from jaxrl.environments import make_env, record_episode_statistics, time_limit
from jaxrl.loops.worlds import where_ended


def test_by_hand(counting_environment, play):
    environment = counting_environment(length=3, max_episode_steps=3)
    recorded = record_episode_statistics(environment)
    _, steps = play(recorded, [0] * 7)
    np.testing.assert_array_equal(steps.info["episode_return"], [1, 3, 6, 1, 3, 6, 1])
    np.testing.assert_array_equal(steps.info["episode_length"], [1, 2, 3, 1, 2, 3, 1])
    np.testing.assert_array_equal(steps.info["kept"], [1, 2, 3, 1, 2, 3, 1])
    assert (recorded.name, recorded.max_episode_steps) == ("counting", 3)


def test_truncation_ends_an_episode_too(counting_environment, play):
    limited = time_limit(counting_environment(length=9), max_steps=2)
    _, steps = play(record_episode_statistics(limited), [0] * 5)
    np.testing.assert_array_equal(steps.info["episode_return"], [1, 3, 1, 3, 1])


def test_each_environment_of_a_batch_has_its_own():
    environment = record_episode_statistics(make_env("CartPole-v1"))

    def run(key):
        key_reset, key_steps = jax.random.split(key)

        def step(state, key):
            key_action, key_step = jax.random.split(key)
            action = environment.action_space.sample(key_action)
            state, step = environment.step(key_step, state, action)
            ended = step.terminated | step.truncated
            return where_ended(ended, environment.reset(key)[0], state), step

        state, _ = environment.reset(key_reset)
        return jax.lax.scan(step, state, jax.random.split(key_steps, 60))[1]

    steps = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), 3))
    ended = np.asarray(steps.terminated | steps.truncated)
    assert len(np.unique(ended, axis=0)) == 3
    for row, lengths in zip(ended, np.asarray(steps.info["episode_length"]), strict=True):
        ends = np.flatnonzero(row)
        np.testing.assert_array_equal(lengths[ends], np.diff(ends, prepend=-1))
    np.testing.assert_array_equal(steps.info["episode_return"], steps.info["episode_length"])

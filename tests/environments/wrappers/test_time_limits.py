import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import make_env, record_episode_statistics, sticky_actions, time_limit


def test_a_limit_truncates(counting_environment, play):
    limited = time_limit(counting_environment(length=9), max_steps=3)
    seen, steps = play(limited, [0] * 7)
    assert not steps.terminated.any()
    np.testing.assert_array_equal(steps.truncated, [0, 0, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(steps.observation[:, 1], [1, 2, 3, 1, 2, 3, 1])
    np.testing.assert_array_equal(seen[:, 1], [0, 1, 2, 0, 1, 2, 0, 1])
    episodes = np.asarray(steps.observation[:, 0])
    assert (episodes[:3] == seen[0, 0]).all()
    assert len(np.unique(episodes)) == 3
    np.testing.assert_array_equal(seen[[3, 6], 0], episodes[[3, 6]])
    np.testing.assert_array_equal(seen[[3, 6], 2], [-1, -1])


def test_the_tasks_own_end_starts_the_count_again(counting_environment, play):
    limited = time_limit(counting_environment(length=2), max_steps=3)
    _, steps = play(limited, [0] * 6)
    np.testing.assert_array_equal(steps.terminated, [0, 1, 0, 1, 0, 1])
    assert not steps.truncated.any()


def test_both_at_once(counting_environment, play):
    limited = time_limit(counting_environment(length=2), max_steps=2)
    _, steps = play(limited, [0] * 3)
    np.testing.assert_array_equal(steps.terminated, [0, 1, 0])
    np.testing.assert_array_equal(steps.truncated, [0, 1, 0])


def test_a_limit_above_the_inner_one(play):
    limited = time_limit(make_env("Pendulum-v1", max_steps_in_episode=2), max_steps=3)
    assert limited.max_episode_steps == 2
    _, steps = play(limited, jnp.zeros((5, 1)))
    np.testing.assert_array_equal(steps.truncated, [0, 1, 0, 1, 0])


def test_inner_memories_are_reset(counting_environment, play):
    inside = record_episode_statistics(counting_environment(length=9))
    _, steps = play(time_limit(inside, max_steps=2), [0] * 4)
    np.testing.assert_array_equal(steps.info["episode_return"], [1, 3, 1, 3])
    forgetful = time_limit(
        sticky_actions(counting_environment(length=9), probability=1.0), max_steps=2
    )
    _, steps = play(forgetful, [1, 2, 3, 4])
    np.testing.assert_array_equal(steps.observation[:, 2], [1, 1, 3, 3])


def test_the_smaller_limit_counts(counting_environment):
    assert time_limit(counting_environment(), max_steps=3).max_episode_steps == 3
    inner = counting_environment(max_episode_steps=5)
    assert time_limit(inner, max_steps=3).max_episode_steps == 3
    assert time_limit(inner, max_steps=9).max_episode_steps == 5
    traced = jax.jit(lambda limit: time_limit(inner, max_steps=limit).max_episode_steps)
    assert [traced(3), traced(9)] == [3, 5]


@pytest.mark.parametrize("max_steps", [0, -1, 2.5, None, "3", np.ones(2), True, np.inf])
def test_wrong_limits(counting_environment, max_steps):
    with pytest.raises(ValueError, match="must be a whole number, at least 1"):
        time_limit(counting_environment(), max_steps=max_steps)

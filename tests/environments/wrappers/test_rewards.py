import numpy as np
import pytest

from jaxrl.environments import clip_reward, record_episode_statistics, scale_reward


def test_scaling_keeps_the_tasks_own_reward(counting_environment, play):
    _, steps = play(scale_reward(counting_environment(), scale=-0.5), [0, 0, 0])
    np.testing.assert_array_equal(steps.reward, [-0.5, -1.0, -1.5])
    np.testing.assert_array_equal(steps.info["task_reward"], [1, 2, 3])
    np.testing.assert_array_equal(steps.info["kept"], [1, 2, 3])


def test_clipping(counting_environment, play):
    _, steps = play(clip_reward(counting_environment(), low=1.5, high=3.0), [0, 0, 0, 0])
    np.testing.assert_array_equal(steps.reward, [1.5, 2.0, 3.0, 3.0])
    np.testing.assert_array_equal(steps.info["task_reward"], [1, 2, 3, 4])


def test_one_on_the_other_keeps_the_first_reward(counting_environment, play):
    environment = clip_reward(scale_reward(counting_environment(), scale=2.0), low=-3.0, high=3.0)
    _, steps = play(record_episode_statistics(environment), [0, 0, 0])
    np.testing.assert_array_equal(steps.reward, [2.0, 3.0, 3.0])
    np.testing.assert_array_equal(steps.info["task_reward"], [1, 2, 3])
    np.testing.assert_array_equal(steps.info["episode_return"], [1, 3, 6])


def test_clipping_bounds(counting_environment):
    with pytest.raises(ValueError, match=r"low=2.0 must not be greater than high=1.0"):
        clip_reward(counting_environment(), low=2.0, high=1.0)

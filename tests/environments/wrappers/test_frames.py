import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import leading

import jaxrl
from jaxrl.environments import (
    make_env,
    mask_actions,
    record_episode_statistics,
    select_observations,
    stack_frames,
    time_limit,
)
from jaxrl.loops.worlds import Resets, collect, start_worlds
from jaxrl.types import Box, Discrete, Environment, TimeStep

KEY = jax.random.key(0)


def pictures(shape, *, length=3, terminates=True, dtype=jnp.uint8):
    """Pictures of one number: 10 times what the reset drew, and the steps taken added."""

    def show(number):
        return jnp.full(shape, number, dtype)

    def reset(key):
        number = 10 * jax.random.randint(key, (), 1, 20)
        return number, show(number)

    def step(key, number, action):
        number = number + 1
        ended = number % 10 >= length
        no = jnp.array(False)
        ends = (ended, no) if terminates else (no, ended)
        return number, TimeStep(show(number), jnp.float32(1), *ends, {})

    return Environment("pictures", Box(0, 255, shape, dtype), Discrete(2), reset, step, length)


def test_vectors_are_behind_one_another_and_begin_with_the_first(counting_environment, play):
    """Episodes of 4 steps; the second entry of each frame counts them."""
    stacked = stack_frames(counting_environment(length=4), 3)
    seen, steps = play(stacked, [0] * 6)
    times = seen.reshape(7, 3, 3)[:, :, 1]
    expected = [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [0, 0, 0], [0, 0, 1], [0, 1, 2]]
    np.testing.assert_array_equal(times, expected)
    # The last successor of an episode is the true one, and nothing of it stays behind.
    np.testing.assert_array_equal(steps.observation[3].reshape(3, 3)[:, 1], [2, 3, 4])
    episodes = np.asarray(seen.reshape(7, 3, 3)[:, :, 0])
    assert (episodes[:4] == episodes[0, 0]).all()
    assert (episodes[4:] == episodes[4, 0]).all()
    assert episodes[0, 0] != episodes[4, 0]


@pytest.mark.parametrize("outside", leading([False, True]))
def test_a_time_limit_cuts_stacked_episodes_where_it_cuts_others(
    counting_environment, play, outside
):
    """Whichever of the two wrappers is around the other."""
    endless = counting_environment(length=99)
    if outside:
        limited = time_limit(stack_frames(endless, 2), max_steps=3)
    else:
        limited = stack_frames(time_limit(endless, max_steps=3), 2)
    assert limited.max_episode_steps == 3
    seen, steps = play(limited, [0] * 6)
    np.testing.assert_array_equal(steps.truncated, [0, 0, 1, 0, 0, 1])
    assert not steps.terminated.any()
    times = steps.observation.reshape(6, 2, 3)[:, :, 1]
    np.testing.assert_array_equal(times, [[0, 1], [1, 2], [2, 3]] * 2)
    np.testing.assert_array_equal(seen[3].reshape(2, 3)[:, 1], [0, 0])


@pytest.mark.parametrize(
    ("shape", "stacked_shape"),
    leading([((2, 3, 2), (2, 3, 8)), ((2, 3), (2, 3, 4)), ((2,), (8,))], 2),
)
def test_images_are_behind_one_another_along_the_channels(shape, stacked_shape):
    stacked = stack_frames(pictures(shape), 4)
    space = stacked.observation_space
    assert (space.shape, space.dtype, space.low, space.high) == (stacked_shape, jnp.uint8, 0, 255)
    state, observation = stacked.reset(KEY)
    first = int(jnp.ravel(observation)[0])
    np.testing.assert_array_equal(observation, np.full(stacked_shape, first))
    for _ in range(2):
        state, step = stacked.step(KEY, state, jnp.int32(0))
    assert step.observation.dtype == jnp.uint8
    channels = np.repeat([first, first, first + 1, first + 2], stacked_shape[-1] // 4)
    np.testing.assert_array_equal(step.observation, np.broadcast_to(channels, stacked_shape))
    assert space.contains(step.observation)


def test_bounds_are_those_of_every_frame(counting_environment):
    space = Box(jnp.array([0.0, -1.0, -2.0]), 5.0, (3,))
    environment = counting_environment()._replace(observation_space=space)
    stacked = stack_frames(environment, 2).observation_space
    np.testing.assert_array_equal(stacked.low, [0, -1, -2, 0, -1, -2])
    assert (stacked.high, stacked.shape) == (5.0, (6,))

    def highest(bound):
        traced = environment._replace(observation_space=Box(0.0, bound, (3,)))
        return jnp.broadcast_to(stack_frames(traced, 2).observation_space.high, (6,))

    high = jnp.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(jax.jit(highest)(high), [1, 2, 3, 1, 2, 3])
    per_channel = Box(np.zeros((1, 1, 2)), np.array([[[1.0, 2.0]]]), (4, 4, 2))
    image = stack_frames(pictures((4, 4, 2))._replace(observation_space=per_channel), 2)
    np.testing.assert_array_equal(image.observation_space.high[0, 0], [1, 2, 1, 2])
    assert image.observation_space.high.shape == (4, 4, 4)


def test_one_frame_is_the_observation(counting_environment, play):
    environment = counting_environment()
    plain, single = play(environment, [0] * 6), play(stack_frames(environment, 1), [0] * 6)
    jax.tree.map(np.testing.assert_array_equal, plain, single)


@pytest.mark.parametrize("resets", leading(["every_step", "pooled", "cached"]))
@pytest.mark.parametrize("terminates", leading([False, True]))
def test_the_loops_start_over_with_first_frames_only(resets, terminates):
    """In a rollout of four worlds, each observation is recomputed from the pictures of one."""
    environment = stack_frames(pictures((1, 1, 1), terminates=terminates), 3)
    ways = {"every_step": Resets(), "pooled": Resets("pooled", 2), "cached": Resets("cached")}
    seen, after, ended = rollout(environment, ways[resets])
    number, step = seen[..., 2] // 10 * 10, seen[..., 2] % 10
    assert ended.any()
    np.testing.assert_array_equal(ended, step == 2)
    for back in (1, 2):
        np.testing.assert_array_equal(seen[..., 2 - back], number + np.maximum(step - back, 0))
        np.testing.assert_array_equal(after[..., 2 - back], number + np.maximum(step + 1 - back, 0))
    np.testing.assert_array_equal(after[..., 2], seen[..., 2] + 1)
    assert (np.diff(step, axis=0)[~ended[:-1]] == 1).all()


def rollout(environment, resets):
    """What four worlds show in ten steps: observations, successors, and whether episodes ended."""
    environment = record_episode_statistics(environment)
    act = lambda key, carry, observation: (carry, jnp.int32(0), ())  # noqa: E731
    nothing = lambda key: ()  # noqa: E731

    def run(key):
        worlds = start_worlds(key, environment, nothing, num_envs=4, resets=resets)
        return collect(key, environment, act, nothing, worlds, num_steps=10, resets=resets)[1]

    steps = jax.jit(run)(KEY).transitions
    ended = np.asarray(steps.terminated | steps.truncated)
    seen, after = (
        np.asarray(x, int).reshape(10, 4, 3) for x in (steps.observation, steps.next_observation)
    )
    return seen, after, ended


@pytest.mark.parametrize(
    ("environment", "num_frames", "message"),
    [
        ("CartPole-v1", 0, "num_frames=0 must be at least 1"),
        ("FrozenLake-misc", 2, "FrozenLake-misc are Discrete: use flatten_observation, one_hot"),
    ],
)
def test_what_cannot_be_stacked_is_named(environment, num_frames, message):
    with pytest.raises(ValueError, match=message):
        stack_frames(make_env(environment), num_frames)


def test_observations_of_other_kinds_are_named(counting_environment):
    environment = counting_environment()
    masked = mask_actions(environment, lambda observation: jnp.ones(10, bool))
    with pytest.raises(ValueError, match="apply stack_frames before mask_actions"):
        stack_frames(masked, 2)
    nested = environment._replace(observation_space={"a": Box(0.0, 1.0, (1,))})
    with pytest.raises(ValueError, match=r"a Box of one to three axes, but .* are dict"):
        stack_frames(nested, 2)
    many = environment._replace(observation_space=Box(0.0, 1.0, (1, 1, 1, 1)))
    with pytest.raises(ValueError, match=r"are Box\("):
        stack_frames(many, 2)


@pytest.mark.full
def test_hidden_velocities_are_seen_in_two_frames():
    """From positions alone PPO holds the pole about as long as a policy that sees nothing new."""
    positions = select_observations(make_env("CartPole-v1"), (0, 2))

    def mean_return(environment):
        config = jaxrl.PPOConfig(total_steps=80_000, num_envs=16, num_steps=64, learning_rate=1e-3)
        algorithm = jaxrl.ppo(environment, config)
        run = lambda key: jaxrl.train(  # noqa: E731
            key, algorithm, num_evaluations=1, evaluation_episodes=64
        ).evaluations.returns.mean()
        return float(jax.jit(run)(KEY))

    assert mean_return(stack_frames(positions, 2)) > 2 * mean_return(positions)

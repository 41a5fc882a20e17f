"""The classic-control tasks are Gymnasium's, step for step, from the same states and actions."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import make_env

NUM_STATES = 300

# name: the state's fields in Gymnasium's order; where states are drawn from, inside the task; how
# far the two may be apart (Gymnasium computes in double precision); whether some steps must end it.
TASKS = {
    "CartPole-v1": (
        ("x", "x_dot", "theta", "theta_dot"),
        ([-2.39, -3, -0.209, -3], [2.39, 3, 0.209, 3]),
        1e-5,
        True,
    ),
    "Acrobot-v1": (
        ("joint_angle1", "joint_angle2", "velocity_1", "velocity_2"),
        ([-3.1, -3.1, -4, -9], [3.1, 3.1, 4, 9]),
        1e-4,
        True,
    ),
    "Pendulum-v1": (("theta", "theta_dot"), ([-9, -8], [9, 8]), 1e-4, False),
    "MountainCar-v0": (("position", "velocity"), ([-1.2, -0.07], [0.49, 0.07]), 1e-5, True),
    "MountainCarContinuous-v0": (
        ("position", "velocity"),
        ([-1.0, -0.07], [0.44, 0.07]),
        1e-5,
        True,
    ),
}


def gymnasium_step(environment, state, action):
    """One step of Gymnasium's from a given state: observation, reward, terminated."""
    environment.reset(seed=0)
    environment.unwrapped.state = np.array(state, np.float64)
    observation, reward, terminated, truncated, _ = environment.unwrapped.step(action)
    assert not truncated
    return observation, reward, terminated


def our_steps(name, fields, states, actions):
    environment = make_env(name)

    def step(state, action):
        template, _ = environment.reset(jax.random.key(0))
        values = {field: state[i] for i, field in enumerate(fields)}
        return environment.step(jax.random.key(1), template.replace(**values), action)[1]

    return jax.jit(jax.vmap(step))(jnp.asarray(states, jnp.float32), jnp.asarray(actions))


def draw_actions(environment, count):
    environment.action_space.seed(1)
    return np.array([environment.action_space.sample() for _ in range(count)])


@pytest.mark.parametrize("name", TASKS)
def test_dynamics(name):
    fields, (low, high), tolerance, ends = TASKS[name]
    theirs = gymnasium.make(name)
    states = np.random.default_rng(0).uniform(low, high, (NUM_STATES, len(fields)))
    states = states.astype(np.float32)
    actions = draw_actions(theirs, NUM_STATES)
    expected = [gymnasium_step(theirs, *pair) for pair in zip(states, actions, strict=True)]
    observations, rewards, terminations = (np.array(values) for values in zip(*expected))

    steps = our_steps(name, fields, states, actions)

    np.testing.assert_allclose(steps.observation, observations, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(steps.reward, rewards, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(steps.terminated, terminations)
    assert terminations.any() == ends
    assert not terminations.all()
    assert not steps.truncated.any()


@pytest.mark.parametrize("name", TASKS)
def test_limits_and_spaces(name):
    ours, theirs = make_env(name), gymnasium.make(name)
    assert ours.max_episode_steps == theirs.spec.max_episode_steps
    assert ours.observation_space.shape == theirs.observation_space.shape
    assert ours.action_space.shape == theirs.action_space.shape
    if isinstance(theirs.action_space, gymnasium.spaces.Discrete):
        assert ours.action_space.num_categories == theirs.action_space.n
    else:
        np.testing.assert_array_equal(ours.action_space.low, theirs.action_space.low)
        np.testing.assert_array_equal(ours.action_space.high, theirs.action_space.high)


def test_first_states_are_drawn_from_the_same_ranges():
    keys = jax.random.split(jax.random.key(0), 2000)
    for name in TASKS:
        ours = jax.jit(jax.vmap(make_env(name).reset))(keys)[1]
        theirs = gymnasium.make(name)
        expected = np.array([theirs.reset(seed=seed)[0] for seed in range(500)])
        np.testing.assert_allclose(ours.min(0), expected.min(0), atol=0.05)
        np.testing.assert_allclose(ours.max(0), expected.max(0), atol=0.05)


def test_a_step_like_gymnax_own():
    import gymnax

    theirs, params = gymnax.make("CartPole-v1")
    ours = make_env("CartPole-v1")
    state, _ = ours.reset(jax.random.key(0))
    for i in range(5):
        key, action = jax.random.key(i), jnp.int32(i % 2)
        observation, their_state, reward, terminated, truncated, _ = theirs.step(
            key, state, action, params
        )
        state, step = ours.step(key, state, action)
        np.testing.assert_allclose(step.observation, observation, rtol=1e-6)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), state, their_state)
        assert (step.reward, step.terminated, step.truncated) == (reward, terminated, truncated)


def test_mountain_car_continuous_is_not_stopped_at_the_left_wall():
    """Where gymnax 1.0.1 differs from Gymnasium; told to the user in `make_env`."""
    fields = TASKS["MountainCarContinuous-v0"][0]
    state, action = np.array([-1.19, -0.05]), np.array([-1.0], np.float32)
    theirs, _, _ = gymnasium_step(gymnasium.make("MountainCarContinuous-v0"), state, action)
    ours = our_steps("MountainCarContinuous-v0", fields, state[None], action[None])
    np.testing.assert_allclose(theirs, [-1.2, 0.0], atol=1e-6)
    np.testing.assert_allclose(ours.observation[0, 0], -1.2, atol=1e-6)
    assert ours.observation[0, 1] < -0.04

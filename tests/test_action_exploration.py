"""Epsilon-greedy choices and noise on deterministic actions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax

from jaxrl.exploration import (
    epsilon_greedy,
    gaussian_noise,
    linear_epsilon,
    ornstein_uhlenbeck_noise,
)
from jaxrl.types import Box

KEY = jax.random.key(0)
VALUES = jnp.array([0.0, 3.0, 1.0, 2.0])
SPACE = Box(jnp.array([-2.0, 0.0]), jnp.array([2.0, 10.0]), (2,))


@jax.jit
def choices(epsilon, mask):
    keys = jax.random.split(KEY, 40_000)
    return jax.vmap(lambda key: epsilon_greedy(key, VALUES, epsilon, mask=mask))(keys)


def frequencies(epsilon, mask=None):
    return np.bincount(choices(epsilon, mask), minlength=4) / 40_000


# A standard error of at most 0.0025.
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_frequencies_are_rlaxs():
    for epsilon in (0.0, 0.4, 1.0):
        expected = rlax.epsilon_greedy(epsilon).probs(VALUES)
        np.testing.assert_allclose(frequencies(epsilon), expected, atol=0.01 if epsilon else 0.0)


def test_forbidden_actions_are_never_taken():
    """The best one is forbidden: of the others the last is best; each is explored alike."""
    mask = jnp.array([True, False, True, True])
    np.testing.assert_array_equal(frequencies(0.0, mask), [0, 0, 0, 1])
    found = frequencies(0.6, mask)
    assert found[1] == 0
    np.testing.assert_allclose(found, [0.2, 0.0, 0.2, 0.6], atol=0.01)


def test_with_no_action_allowed_the_first_is_taken():
    np.testing.assert_array_equal(frequencies(0.5, jnp.zeros(4, bool)), [1, 0, 0, 0])


def test_epsilon_falls_in_a_straight_line():
    found = [linear_epsilon(t, start=1.0, end=0.1, duration=200) for t in (0, 50, 200, 10**6)]
    np.testing.assert_allclose(found, [1.0, 0.775, 0.1, 0.1], rtol=1e-6)


def walk(exploration, num_steps, action):
    """Actions [T, D] of one environment, and the last carry."""

    def step(carry, key):
        return exploration.sample(key, carry, action)

    keys = jax.random.split(KEY, num_steps)
    return jax.jit(lambda: jax.lax.scan(step, exploration.start(KEY), keys))()


def test_ornstein_uhlenbeck_is_its_recursion():
    """x = x - theta x dt + sigma sqrt(dt) draw from 0 on, added in halves of the bounds' width."""
    exploration = ornstein_uhlenbeck_noise(SPACE, scale=0.5, reversion=0.3, time_step=0.04)
    carry, actions = walk(exploration, 6, jnp.array([0.5, 4.0]))
    noise = np.zeros(2)
    for key, action in zip(jax.random.split(KEY, 6), actions, strict=True):
        draw = np.asarray(jax.random.normal(key, (2,)))
        noise = noise - 0.3 * 0.04 * noise + 0.5 * 0.2 * draw
        np.testing.assert_allclose(action, [0.5 + 2 * noise[0], 4.0 + 5 * noise[1]], rtol=1e-5)
    np.testing.assert_allclose(carry, noise, rtol=1e-4)
    np.testing.assert_array_equal(exploration.start(jax.random.key(5)), 0.0)


def test_ornstein_uhlenbecks_deviation_and_memory():
    """Deviation sigma / sqrt(2 theta (1 - theta dt / 2)), correlation (1 - theta dt)^lag."""
    space = Box(-100.0, 100.0, (64,))
    exploration = ornstein_uhlenbeck_noise(space, scale=0.2, reversion=0.5, time_step=0.1)
    _, actions = walk(exploration, 4000, jnp.zeros(64))
    noise = np.asarray(actions)[500:] / 100
    exact = 0.2 / np.sqrt(2 * 0.5 * (1 - 0.5 * 0.1 / 2))
    np.testing.assert_allclose(noise.std(), exact, rtol=0.03)
    correlation = (noise[20:] * noise[:-20]).mean() / noise.var()
    np.testing.assert_allclose(correlation, 0.95**20, atol=0.05)


def test_gaussian_noise_has_its_scale_and_no_memory():
    """A deviation of 0.1 in halves of the width, 2 and 5, around the action."""
    carry, actions = walk(gaussian_noise(SPACE, scale=0.1), 20_000, jnp.array([0.5, 5.0]))
    assert carry == ()
    np.testing.assert_allclose(actions.mean(axis=0), [0.5, 5.0], atol=0.02)
    np.testing.assert_allclose(actions.std(axis=0), [0.2, 0.5], rtol=0.03)
    centred = np.asarray(actions - actions.mean(axis=0))
    assert (np.abs((centred[1:] * centred[:-1]).mean(axis=0)) < 0.03 * centred.var(axis=0)).all()


@pytest.mark.parametrize("noise", [gaussian_noise, ornstein_uhlenbeck_noise])
def test_actions_keep_within_the_bounds(noise):
    _, actions = walk(noise(SPACE, scale=5.0), 500, jnp.array([1.9, 0.1]))
    assert (actions >= SPACE.low).all()
    assert (actions <= SPACE.high).all()
    assert (actions == SPACE.low).any()
    assert (actions == SPACE.high).any()

"""Small settings of every algorithm, and a small world in which what is learnt differs by seed."""

import functools

import jax
import jax.numpy as jnp
import pytest
from probe_environments import continuous_target

from jaxrl import registry
from jaxrl.types import Algorithm, Box, Discrete, Environment, TimeStep

REPLAY = {"random_steps": 8, "num_steps": 2, "batch_size": 4, "hidden_sizes": (4,)}
ROLLOUT = {"num_envs": 2, "num_steps": 8, "hidden_sizes": (4,)}
SMALL = {
    "a2c": ROLLOUT,
    "a3c": ROLLOUT | {"num_workers": 2},
    "impala": ROLLOUT,
    "trpo": ROLLOUT | {"conjugate_gradient_steps": 2, "line_search_steps": 2, "num_minibatches": 2},
    "ddpg": REPLAY,
    "dqn": REPLAY,
    "sac": REPLAY,
    "td3": REPLAY,
    "ppo": ROLLOUT | {"num_minibatches": 2},
    "pqn": ROLLOUT | {"num_minibatches": 2},
    "cem": {"population_size": 4},
    "evosax": {"population_size": 4},
    "openes": {"population_size": 4},
    "ars": {"num_directions": 2},
    "steepest_ascent": {"num_neighbors": 2},
}

TOTAL_STEPS = 60
# A population is of any of these, and has no numbers of its own: see sweeps/test_pbt.py.
NAMES = [name for name in registry.names() if name not in ("toy", "pbt")]


def corridor(half_width=2, limit=6, *, continuous=False, shape=(1,)):
    """A walk from the middle of a corridor, which ends at either side or is cut off.

    Two actions, left and right, and a reward for each step to the right; or a continuous one, how
    far to go, which is best at 0.3. The position is seen, with noise. So episodes differ in length,
    and what is learnt differs from seed to seed.
    """

    def observe(key, position):
        return position + 0.5 * jax.random.normal(key, shape)

    def reset(key):
        return (jnp.zeros(1), jnp.int32(0)), observe(key, jnp.zeros(1))

    def step(key, state, action):
        way = action if continuous else 2.0 * action - 1.0
        position, time = state[0] + way, state[1] + 1
        terminated = jnp.abs(position[0]) >= half_width
        truncated = time >= limit
        observation = observe(key, position)
        reward = -jnp.square(action[0] - 0.3) if continuous else action.astype(jnp.float32)
        return (position, time), TimeStep(observation, reward, terminated, truncated, {})

    space = Box(-jnp.inf, jnp.inf, shape)
    actions = Box(-1.0, 1.0, (1,)) if continuous else Discrete(2)
    return Environment("corridor", space, actions, reset, step, max_episode_steps=limit)


@functools.cache
def task(name):
    """An environment that the algorithm takes, and small settings."""
    if name == "evosax":
        pytest.importorskip("evosax")
    entry = registry.get(name)
    config = entry.settings(**{"total_steps": TOTAL_STEPS, **SMALL.get(name, {})})
    for environment in (corridor(), continuous_target()):
        try:
            entry.build(environment, config)
        except ValueError:
            continue
        return environment, config
    pytest.fail(f"{name} takes neither of the two environments")


def build(name, config=None) -> Algorithm:
    environment, small = task(name)
    return registry.get(name).build(environment, small if config is None else config)

"""A user's own algorithm, as `--import` sees it: it compiles in no time and learns nothing."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import jaxrl
from jaxrl.settings import number, settings, static, validate
from jaxrl.types import Algorithm, Policy


@settings
class QuickConfig:
    """Settings of nothing much."""

    total_steps: int = static(200, minimum=1)
    """Budget in environment steps."""
    learning_rate: float = number(0.5, minimum=0)
    """How fast the return grows."""
    sizes: tuple[int, ...] = static((2, 3), minimum=1)
    """Not used."""
    crash: bool = static(False)
    """Stand for a mistake in the program."""


class QuickState(NamedTuple):
    """How much was learnt."""

    skill: jax.Array
    steps: jax.Array


def quick(environment, config):
    """Does nothing, quickly.

    A second line that no list shows.
    """
    validate(config)
    if config.crash:
        raise RuntimeError("a mistake in the program")

    def init(key):
        return QuickState(skill=jax.random.uniform(key), steps=jnp.int32(0))

    def step(key, state):
        state = QuickState(state.skill + config.learning_rate, state.steps + 10)
        episode_return = state.skill + jax.random.normal(key)
        episodes = jnp.int32(1)
        return state, {"steps": state.steps, "episodes": episodes, "episode_return": episode_return}

    def policy(state):
        del state
        return Policy(
            start=lambda key: (),
            act=lambda key, carry, observation: (carry, environment.action_space.sample(key)),
        )

    iterations = -(-config.total_steps // 10)
    return Algorithm(init, step, policy, environment, config.total_steps, 10, iterations)


jaxrl.register_algorithm("quick", QuickConfig, quick)

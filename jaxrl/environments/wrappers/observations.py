"""Observations in the form a network takes: flat, one-hot, or a selection of their entries."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxrl.types import (
    Action,
    Box,
    Discrete,
    Environment,
    EnvState,
    Key,
    MultiDiscrete,
    Observation,
    Space,
    TimeStep,
    is_nested,
)


def flatten_observation(environment: Environment) -> Environment:
    """Gives observations one axis; those that have one already pass.

    Args:
        environment: one whose observation space is a Box.

    Raises:
        ValueError: for discrete observations.
    """
    space = environment.observation_space
    if not isinstance(space, Box):
        raise ValueError(
            f"the observations of {environment.name} are {type(space).__name__}, not a Box: "
            + ("networks flatten nested ones" if is_nested(space) else "use one_hot_observation")
        )
    if len(space.shape) == 1:
        return environment

    def flat_bound(bound: Any) -> Any:
        if jnp.ndim(bound) == 0:
            return bound
        return _full(bound, space.shape).reshape(-1)

    size = 1
    for length in space.shape:
        size *= length
    flat = Box(flat_bound(space.low), flat_bound(space.high), (size,), space.dtype)
    return _change_observation(environment, flat, lambda observation: observation.reshape(-1))


def one_hot_observation(environment: Environment) -> Environment:
    """Turns a category into a vector of zeros and a one; several are put one after the other.

    Args:
        environment: one whose observation space is Discrete or MultiDiscrete.

    Raises:
        ValueError: for observations that are a Box.
    """
    space = environment.observation_space
    if isinstance(space, Discrete):
        counts = (space.num_categories,)
    elif isinstance(space, MultiDiscrete):
        counts = space.num_categories
    else:
        raise ValueError(
            f"the observations of {environment.name} are {space}: "
            "only Discrete and MultiDiscrete ones can be one-hot"
        )

    def encode(observation: Array) -> Float[Array, " size"]:
        categories = jnp.atleast_1d(observation)
        return jnp.concatenate(
            [
                jax.nn.one_hot(categories[i], count, dtype=jnp.float32)
                for i, count in enumerate(counts)
            ]
        )

    return _change_observation(environment, Box(0.0, 1.0, (sum(counts),)), encode)


def select_observations(environment: Environment, indices: Sequence[int]) -> Environment:
    """Shows some entries of the observation and hides the others.

    With the velocities hidden, for one, a task needs memory: CartPole's positions are
    `select_observations(make_env("CartPole-v1"), (0, 2))`.

    Args:
        environment: one whose observations are a Box of one axis.
        indices: which entries to show, in this order.

    Raises:
        ValueError: the observations have not one axis, or an index is none of theirs.
    """
    space = environment.observation_space
    if not isinstance(space, Box) or len(space.shape) != 1:
        raise ValueError(
            f"select_observations needs observations of one axis, but those of {environment.name} "
            f"are {space}: use flatten_observation or one_hot_observation first"
        )
    size, chosen = space.shape[0], tuple(indices)
    if not chosen:
        raise ValueError("indices=() shows nothing: give at least one")
    for index in chosen:
        if index not in range(size):
            raise ValueError(
                f"index {index} is none of the {size} entries of {environment.name}: "
                f"they are 0 to {size - 1}"
            )
    positions = np.array(chosen)

    def select_bound(bound: Any) -> Any:
        return bound if jnp.ndim(bound) == 0 else _full(bound, (size,))[positions]

    visible = Box(select_bound(space.low), select_bound(space.high), (len(chosen),), space.dtype)
    return _change_observation(environment, visible, lambda observation: observation[positions])


def _full(bound: Any, shape: tuple[int, ...]) -> Any:
    """A bound of a shape; NumPy's if it is not traced, so that it keeps its value inside jit."""
    return (jnp if isinstance(bound, Tracer) else np).broadcast_to(bound, shape)


def _change_observation(
    environment: Environment, space: Space, change: Callable[[Any], Array]
) -> Environment:
    def reset(key: Key) -> tuple[EnvState, Observation]:
        state, observation = environment.reset(key)
        return state, change(observation)

    def step(key: Key, state: EnvState, action: Action) -> tuple[EnvState, TimeStep]:
        state, time_step = environment.step(key, state, action)
        return state, time_step._replace(observation=change(time_step.observation))

    return environment._replace(observation_space=space, reset=reset, step=step)

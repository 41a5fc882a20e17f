"""The last observations beside one another, so that motion can be seen in one of them."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from jaxrl.settings import require_whole
from jaxrl.types import Action, Box, Environment, EnvState, Key, MaskedSpace, Observation, TimeStep


class FrameStackState(NamedTuple):
    """The inner state and what is seen with it.

    Attributes:
        inner: the wrapped environment's state.
        frames: the last `num_frames` observations, as the observation has them.
    """

    inner: EnvState
    frames: Array


def stack_frames(environment: Environment, num_frames: int) -> Environment:
    """Shows the last observations at once, the oldest first.

    Images [height, width, channels] become [height, width, num_frames * channels], vectors [D]
    become [num_frames * D], and images [height, width] the channels of one. At an episode's start
    all of them are its first observation, so that nothing of the episode before is seen. Source:
    Mnih et al. (2015), "Human-level control through deep reinforcement learning", Methods, whose
    agents see four frames.

    Apply wrappers that change single observations before this one, and masks of actions after it. A
    replay keeps every observation as it is seen: `num_frames` times as much as without.

    Args:
        environment: one whose observations are a Box of one to three axes.
        num_frames: how many, at least 1.

    Raises:
        ValueError: the observations are of another kind, or `num_frames` is below 1.

    Example:
        >>> import jaxrl
        >>> env = stack_frames(jaxrl.make_env("Breakout-MinAtar"), 4)
        >>> env.observation_space.shape
        (10, 10, 16)
    """
    require_whole("num_frames", num_frames, minimum=1)
    space = _require_frames(environment)
    # An image without channels gets an axis for them.
    is_flat_image = len(space.shape) == 2
    shape = (*space.shape, 1) if is_flat_image else space.shape
    size = shape[-1]

    def repeated(frame: Any, library: Any = jnp) -> Any:
        return library.concatenate([library.reshape(frame, shape)] * num_frames, axis=-1)

    def bound(value: Any) -> Any:
        if np.ndim(value) == 0:
            return value
        library = jnp if isinstance(value, Tracer) else np
        return repeated(library.broadcast_to(value, space.shape), library)

    def reset(key: Key) -> tuple[FrameStackState, Observation]:
        inner, observation = environment.reset(key)
        frames = repeated(observation)
        return FrameStackState(inner=inner, frames=frames), frames

    def step(key: Key, state: FrameStackState, action: Action) -> tuple[FrameStackState, TimeStep]:
        inner, time_step = environment.step(key, state.inner, action)
        newest = jnp.reshape(time_step.observation, shape)
        frames = jnp.concatenate((state.frames[..., size:], newest), axis=-1)
        return FrameStackState(inner, frames), time_step._replace(observation=frames)

    stacked = Box(
        bound(space.low), bound(space.high), (*shape[:-1], num_frames * size), space.dtype
    )
    return environment._replace(observation_space=stacked, reset=reset, step=step)


def _require_frames(environment: Environment) -> Box:
    """The space of observations that can be put beside one another.

    Raises:
        ValueError: they are of another kind.
    """
    space, name = environment.observation_space, environment.name
    if isinstance(space, MaskedSpace):
        raise ValueError(
            f"the observations of {name} carry masks of actions: apply stack_frames before "
            "mask_actions"
        )
    if not isinstance(space, Box) or len(space.shape) not in (1, 2, 3):
        given = str(space) if isinstance(space, Box) else type(space).__name__
        raise ValueError(
            f"stack_frames needs observations that are a Box of one to three axes, but those of "
            f"{name} are {given}: use flatten_observation, one_hot_observation or "
            "select_observations first"
        )
    return space

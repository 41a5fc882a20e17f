"""The environment's door: actions clipped, rescaled or repeated before they take effect."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool

from jaxrl.environments.builder import Step
from jaxrl.types import Action, Box, Environment, EnvState, Key, Observation, TimeStep


def clip_actions(environment: Environment) -> Environment:
    """Clips continuous actions to the action space's bounds; discrete ones pass.

    The policy keeps the action that it drew, and whose log-probability it reports. An environment
    whose actions need no clipping, or are clipped already, is returned as it is.

    Args:
        environment: any environment; the result has the same spaces.
    """
    space = environment.action_space
    if not isinstance(space, Box) or _is_clipped(environment) or _is_unbounded(space):
        return environment
    return environment._replace(step=functools.partial(_clipped_step, environment.step, space))


def _clipped_step(
    step: Step, space: Box, key: Key, state: EnvState, action: Action
) -> tuple[EnvState, TimeStep]:
    low, high = (jnp.broadcast_to(bound, space.shape) for bound in (space.low, space.high))
    return step(key, state, jnp.clip(action, low, high).astype(action.dtype))


def _is_clipped(environment: Environment) -> bool:
    step = environment.step
    return isinstance(step, functools.partial) and step.func is _clipped_step


def _is_unbounded(space: Box) -> bool:
    if isinstance(space.low, Tracer) or isinstance(space.high, Tracer):
        return False
    return bool(np.isneginf(space.low).all() and np.isposinf(space.high).all())


def flatten_actions(environment: Environment) -> Environment:
    """Lets continuous actions of any shape be chosen as vectors; other environments pass.

    Args:
        environment: any environment; a Box of actions becomes one of shape (D,), D its size.

    Raises:
        ValueError: for a Box of integers: no continuous policy can choose them.
    """
    space = environment.action_space
    if isinstance(space, Box) and not jnp.issubdtype(space.dtype, jnp.floating):
        raise ValueError(
            f"the actions of {environment.name} are a Box of {jnp.dtype(space.dtype).name}: "
            "whole numbers must be Discrete or MultiDiscrete"
        )
    if not isinstance(space, Box) or len(space.shape) == 1:
        return environment

    low, high = (bound.reshape(-1) for bound in space.bounds())
    vectors = Box(low, high, (math.prod(space.shape),), space.dtype)
    step = _with_action(environment.step, lambda action: action.reshape(space.shape))
    return environment._replace(action_space=vectors, step=step)


def rescale_actions(environment: Environment) -> Environment:
    """Lets actions be chosen in [-1, 1]: a -> low + (a + 1) / 2 * (high - low).

    Args:
        environment: one whose action space is a Box with finite bounds (traced bounds are taken to
            be finite).

    Raises:
        ValueError: for discrete actions or infinite bounds.
    """
    space = environment.action_space
    if not isinstance(space, Box):
        raise ValueError(
            f"the actions of {environment.name} are {type(space).__name__}, not a Box: "
            "there is nothing to rescale"
        )
    low, high = space.low, space.high
    if not space.is_bounded():
        raise ValueError(
            f"the action bounds of {environment.name} are {low} and {high}: "
            "rescale_actions needs finite ones"
        )

    low, high = space.bounds()
    step = _with_action(environment.step, lambda a: low + 0.5 * (a + 1.0) * (high - low))
    return environment._replace(action_space=Box(-1.0, 1.0, space.shape, space.dtype), step=step)


def _with_action(step: Step, change: Callable[[Array], Array]) -> Step:
    return lambda key, state, action: step(key, state, change(action))


class StickyActionState(NamedTuple):
    """The inner state and what was done last.

    Attributes:
        inner: the wrapped environment's state.
        last_action: the action that took effect last; in the action space's shape.
        is_start: bool, shape (); whether the episode has had no action yet.
    """

    inner: EnvState
    last_action: Array
    is_start: Bool[Array, ""]


def sticky_actions(environment: Environment, *, probability: Any) -> Environment:
    """Repeats the last action instead of the given one with a probability.

    The first action of an episode is never replaced. Source: Machado et al. (2018), "Revisiting
    the Arcade Learning Environment", section 5.

    Args:
        environment: any environment.
        probability: of a repetition at each step, in [0, 1]; may be traced.

    Raises:
        ValueError: for a probability outside [0, 1].
    """
    if not isinstance(probability, Tracer) and not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability={probability} must lie between 0 and 1")
    space = environment.action_space

    def reset(key: Key) -> tuple[StickyActionState, Observation]:
        inner, observation = environment.reset(key)
        last_action = jnp.zeros(space.shape, space.dtype)
        return StickyActionState(inner, last_action, jnp.asarray(True)), observation

    def step(
        key: Key, state: StickyActionState, action: Action
    ) -> tuple[StickyActionState, TimeStep]:
        key_repeat, key_step = jax.random.split(key)
        repeat = jax.random.bernoulli(key_repeat, probability) & ~state.is_start
        action = jnp.where(repeat, state.last_action, jnp.asarray(action, space.dtype))
        inner, time_step = environment.step(key_step, state.inner, action)
        return StickyActionState(inner, action, jnp.asarray(False)), time_step

    return environment._replace(reset=reset, step=step)

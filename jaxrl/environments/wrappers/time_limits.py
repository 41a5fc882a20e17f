"""A limit on the length of an episode."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int

from jaxrl.types import Action, Environment, EnvState, Key, Observation, TimeStep


class TimeLimitState(NamedTuple):
    """The inner state and the present episode's length.

    Attributes:
        inner: the wrapped environment's state.
        elapsed_steps: int32, shape ().
    """

    inner: EnvState
    elapsed_steps: Int[Array, ""]


def time_limit(environment: Environment, *, max_steps: Any) -> Environment:
    """Truncates episodes after `max_steps` steps.

    `truncated` is set at the limit. A gymnax environment has a limit of its own, which is cheaper
    to change: `make_env(name, max_steps_in_episode=...)`.

    Args:
        environment: any environment.
        max_steps: at least 1; may be traced.

    Raises:
        ValueError: for a limit below 1.
    """
    if not isinstance(max_steps, Tracer) and not _is_whole_and_positive(max_steps):
        raise ValueError(f"max_steps={max_steps!r} must be a whole number, at least 1")

    def reset(key: Key) -> tuple[TimeLimitState, Observation]:
        inner, observation = environment.reset(key)
        return TimeLimitState(inner, jnp.zeros((), jnp.int32)), observation

    def step(key: Key, state: TimeLimitState, action: Action) -> tuple[TimeLimitState, TimeStep]:
        inner, time_step = environment.step(key, state.inner, action)
        elapsed_steps = state.elapsed_steps + 1
        truncated = time_step.truncated | (elapsed_steps >= max_steps)
        return TimeLimitState(inner, elapsed_steps), time_step._replace(truncated=truncated)

    return environment._replace(
        reset=reset,
        step=step,
        max_episode_steps=_smaller(environment.max_episode_steps, max_steps),
    )


def _is_whole_and_positive(value: Any) -> bool:
    number = np.asarray(value)
    is_number = number.shape == () and number.dtype.kind in "iuf" and np.isfinite(number)
    return bool(is_number and number >= 1 and number % 1 == 0)


def _smaller(one: Any, other: Any) -> Any:
    if one is None:
        return other
    if isinstance(one, Tracer) or isinstance(other, Tracer):
        return jnp.minimum(one, other)
    return min(one, other)

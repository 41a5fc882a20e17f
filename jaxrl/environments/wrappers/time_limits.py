"""A limit on the length of an episode."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int

from jaxrl.environments.resets import ResettingStep, Step, auto_reset, reset_where
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

    `truncated` is set at the limit, with the successor in `final_observation`, and the environment
    is reset. A gymnax environment has a limit of its own, which is cheaper to change:
    `make_env(name, max_steps_in_episode=...)`.

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

    def limited(step: Step) -> Step:
        def function(
            key: Key, state: TimeLimitState, action: Action
        ) -> tuple[TimeLimitState, TimeStep]:
            inner, time_step = step(key, state.inner, action)
            elapsed_steps = state.elapsed_steps + 1
            truncated = time_step.truncated | (elapsed_steps >= max_steps)
            return TimeLimitState(inner, elapsed_steps), time_step._replace(truncated=truncated)

        return function

    step = environment.step
    if isinstance(step, ResettingStep):
        limited_step: Step = auto_reset(reset, limited(step.without_reset))
    else:
        limited_step = _resetting_at_the_limit(reset, limited(step), max_steps)
    return environment._replace(
        reset=reset,
        step=limited_step,
        max_episode_steps=_smaller(environment.max_episode_steps, max_steps),
    )


def _resetting_at_the_limit(reset: Any, step: Step, max_steps: Any) -> Step:
    """Resets at the limit only: at any other end the environment has done so by itself."""

    def function(
        key: Key, state: TimeLimitState, action: Action
    ) -> tuple[TimeLimitState, TimeStep]:
        key_step, key_reset = jax.random.split(key)
        state, time_step = step(key_step, state, action)
        ended = time_step.terminated | time_step.truncated
        present = state._replace(elapsed_steps=jnp.where(ended, 0, state.elapsed_steps))
        state, observation = reset_where(
            state.elapsed_steps >= max_steps, key_reset, reset, (present, time_step.observation)
        )
        return state, time_step._replace(observation=observation)

    return function


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

"""A limit on the length of an episode."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
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

    `truncated` is set at the limit, with the successor in `final_observation`, and the environment
    is reset. A gymnax environment has a limit of its own, which is cheaper to change:
    `make_env(name, max_steps_in_episode=...)`.

    Args:
        environment: any environment.
        max_steps: at least 1; may be traced.

    Raises:
        ValueError: for a limit below 1.
    """
    if not isinstance(max_steps, Tracer) and (max_steps < 1 or max_steps % 1 != 0):
        raise ValueError(f"max_steps={max_steps} must be a whole number, at least 1")

    def reset(key: Key) -> tuple[TimeLimitState, Observation]:
        inner, observation = environment.reset(key)
        return TimeLimitState(inner, jnp.zeros((), jnp.int32)), observation

    def step(key: Key, state: TimeLimitState, action: Action) -> tuple[TimeLimitState, TimeStep]:
        key_step, key_reset = jax.random.split(key)
        inner, time_step = environment.step(key_step, state.inner, action)
        elapsed_steps = state.elapsed_steps + 1
        at_limit = elapsed_steps >= max_steps
        inner, observation = jax.tree.map(
            lambda first, running: jnp.where(at_limit, first, running),
            environment.reset(key_reset),
            (inner, time_step.observation),
        )
        ended = time_step.terminated | time_step.truncated | at_limit
        next_state = TimeLimitState(inner, jnp.where(ended, 0, elapsed_steps))
        return next_state, time_step._replace(
            observation=observation, truncated=time_step.truncated | at_limit
        )

    return environment._replace(
        reset=reset, step=step, max_episode_steps=_smaller(environment.max_episode_steps, max_steps)
    )


def _smaller(one: Any, other: Any) -> Any:
    if one is None:
        return other
    if isinstance(one, Tracer) or isinstance(other, Tracer):
        return jnp.minimum(one, other)
    return min(one, other)

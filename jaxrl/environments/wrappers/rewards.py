"""Rewards scaled or clipped for the learner; the task's own stay in `info["task_reward"]`."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array

from jaxrl.types import Action, Environment, EnvState, Key, TimeStep


def scale_reward(environment: Environment, *, scale: Any) -> Environment:
    """Multiplies rewards by `scale`; reported returns stay as they are.

    Args:
        environment: any environment.
        scale: may be traced.
    """
    return _change_reward(environment, lambda reward: reward * scale)


def clip_reward(environment: Environment, *, low: Any = -1.0, high: Any = 1.0) -> Environment:
    """Clips rewards to [low, high]; reported returns stay as they are.

    Args:
        environment: any environment.
        low: the smallest reward that the learner sees; may be traced.
        high: the largest; may be traced.

    Raises:
        ValueError: where low is greater than high.
    """
    traced = isinstance(low, Tracer) or isinstance(high, Tracer)
    if not traced and low > high:
        raise ValueError(f"low={low} must not be greater than high={high}")
    return _change_reward(environment, lambda reward: jnp.clip(reward, low, high))


def _change_reward(environment: Environment, change: Callable[[Array], Array]) -> Environment:
    def step(key: Key, state: EnvState, action: Action) -> tuple[EnvState, TimeStep]:
        state, time_step = environment.step(key, state, action)
        info = {"task_reward": time_step.reward, **time_step.info}
        reward = jnp.asarray(change(time_step.reward), jnp.float32)
        return state, time_step._replace(reward=reward, info=info)

    return environment._replace(step=step)

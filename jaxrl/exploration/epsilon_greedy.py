"""Epsilon-greedy exploration of discrete actions."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxrl.types import Key


def linear_epsilon(
    steps: Float[Array, ""] | Int[Array, ""] | int, *, start: Any, end: Any, duration: Any
) -> Float[Array, ""]:
    """Falls from `start` to `end` over `duration` steps, then stays.

    Args:
        steps: environment steps taken.
        start: probability of a random action at first.
        end: at last.
        duration: environment steps, positive.
    """
    progress = jnp.clip(jnp.asarray(steps, jnp.float32) / duration, 0.0, 1.0)
    return start + progress * (end - start)


def epsilon_greedy(
    key: Key,
    values: Float[Array, " K"],
    epsilon: Any,
    *,
    mask: Bool[Array, " K"] | None = None,
) -> Int[Array, ""]:
    """The action of the highest value, or, with probability epsilon, any that is allowed.

    Args:
        key: consumed.
        values: of the actions.
        epsilon: in [0, 1].
        mask: which actions are allowed; None: all. Where none is, the first one is taken.
    """
    allowed = jnp.ones(values.shape, bool) if mask is None else mask
    # One draw serves both: the largest of some uniforms is anyone's with the same probability.
    draw = jax.random.uniform(key, (values.shape[0] + 1,), jnp.float32)
    explores = draw[0] < epsilon
    preference = jnp.where(explores, draw[1:], values)
    return jnp.argmax(jnp.where(allowed, preference, -jnp.inf)).astype(jnp.int32)

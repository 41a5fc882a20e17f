"""Distributions from which a setting is drawn."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxrl.types import Key


@dataclasses.dataclass(frozen=True)
class Uniform:
    """The uniform distribution from `low` to `high`."""

    low: float
    high: float

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
        """Draws float32 numbers of a shape; the key is consumed."""
        return jax.random.uniform(key, shape, jnp.float32, self.low, self.high)

    def clip(self, values: Any) -> Float[Array, "..."]:
        """The nearest numbers that can be drawn."""
        return jnp.clip(jnp.asarray(values, jnp.float32), self.low, self.high)


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """The distribution whose logarithm is uniform from that of `low` to that of `high`."""

    low: float
    high: float

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
        """Draws float32 numbers of a shape; the key is consumed."""
        low, high = math.log(self.low), math.log(self.high)
        drawn = jnp.exp(jax.random.uniform(key, shape, jnp.float32, low, high))
        # The exponential of a logarithm may be another number in single precision.
        return self.clip(drawn)

    def clip(self, values: Any) -> Float[Array, "..."]:
        """The nearest numbers that can be drawn."""
        return jnp.clip(jnp.asarray(values, jnp.float32), self.low, self.high)


def uniform(low: float, high: float) -> Uniform:
    """Makes the uniform distribution from `low` to `high`.

    Raises:
        ValueError: the bounds are not finite, or not in ascending order.

    Example:
        >>> from jaxrl.sweeps import uniform
        >>> uniform(0.9, 0.999)
        Uniform(low=0.9, high=0.999)
    """
    _require_bounds(low, high)
    return Uniform(float(low), float(high))


def log_uniform(low: float, high: float) -> LogUniform:
    """Makes the distribution whose logarithm is uniform, for what varies by orders of magnitude.

    Raises:
        ValueError: the bounds are not finite and positive, or not in ascending order.

    Example:
        >>> from jaxrl.sweeps import log_uniform
        >>> log_uniform(1e-5, 1e-1)
        LogUniform(low=1e-05, high=0.1)
    """
    _require_bounds(low, high)
    if low <= 0:
        raise ValueError(f"low={low} must be positive, as its logarithm is taken")
    return LogUniform(float(low), float(high))


def _require_bounds(low: Any, high: Any) -> None:
    for name, value in (("low", low), ("high", high)):
        is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            raise ValueError(f"{name}={value!r} must be a finite number")
    if low >= high:
        raise ValueError(f"low={low} must be less than high={high}")

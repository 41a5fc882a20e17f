"""The device's own rates: bytes copied per second, and operations of a matrix product per second.

A program's `steps` are the bytes, or the operations, of one run.
"""

from typing import Any

import jax
import jax.numpy as jnp
from compiled import compiled_program
from protocol import Program, serve

REPEATS = 20


def prepare(settings: dict[str, Any]) -> Program:
    """A copy, or a product of square matrices in float32 or bfloat16, again and again."""
    size = settings["size"]
    if settings["kind"] == "copy":
        # Read once and written once in every turn.
        return compiled_program(copies(size // 4), num_seeds=1, steps=2 * size * REPEATS)
    dtype = jnp.dtype(settings["kind"])
    return compiled_program(products(size, dtype), num_seeds=1, steps=2 * size**3 * REPEATS)


def copies(length: int) -> Any:
    """A function of a key that reads and writes a vector in every turn."""

    def run(key: jax.Array) -> jax.Array:
        vector = jax.random.uniform(key, (length,))
        return jax.lax.fori_loop(0, REPEATS, lambda _, x: x * 1.0001, vector)

    return run


def products(size: int, dtype: Any) -> Any:
    """A function of a key that multiplies a square matrix by another in every turn."""

    def run(key: jax.Array) -> jax.Array:
        # Random, for a device may be faster on zeros; the scale keeps the products finite.
        left, right = jax.random.normal(key, (2, size, size), dtype) / jnp.sqrt(size).astype(dtype)
        return jax.lax.fori_loop(0, REPEATS, lambda _, x: x @ right, left)

    return run


if __name__ == "__main__":
    serve(prepare, ("jax",))

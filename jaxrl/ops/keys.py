"""Loops over random keys."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def scan_keys(step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, inputs: Any) -> Any:
    """`jax.lax.scan` over inputs with keys among them, each of which one turn gets.

    `vmap` transposes what a scan goes over, which `jax.debug_key_reuse` takes for a use of keys. So
    the scan is over the numbers that the keys are made of; the same ones are drawn.

    Args:
        step: (carry, one of the inputs) -> (carry, output).
        carry: at the start.
        inputs: leaves [T, ...], typed keys among them.

    Returns:
        The carry at the end, and the outputs, leaves [T, ...].
    """
    leaves, structure = jax.tree.flatten(inputs)
    kinds = [jax.random.key_impl(x) if _is_key(x) else None for x in leaves]
    numbers = [jax.random.key_data(x) if _is_key(x) else x for x in leaves]

    def turn(carry: Any, numbers: list[Any]) -> tuple[Any, Any]:
        one = [
            x if kind is None else jax.random.wrap_key_data(x, impl=kind)
            for kind, x in zip(kinds, numbers, strict=True)
        ]
        return step(carry, jax.tree.unflatten(structure, one))

    return jax.lax.scan(turn, carry, numbers)


def _is_key(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)

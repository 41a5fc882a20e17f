"""Random keys: as users give them, typed or those of `jax.random.PRNGKey`; and loops over them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Algorithm, Key, Metrics, State


def typed_key(key: Any) -> Key:
    """Lets one typed key pass and wraps the data of an old one.

    Args:
        key: of `jax.random.key` or, as uint32 data, of `jax.random.PRNGKey`; may be traced.

    Raises:
        ValueError: it is a number or something else that is no key, or several keys.
    """
    if not isinstance(key, jax.Array | np.ndarray):
        number = isinstance(key, int | np.integer) and not isinstance(key, bool)
        example = f"jax.random.key({key})" if number else "one, such as jax.random.key(0)"
        given = repr(key) if number else type(key).__name__
        raise ValueError(f"a random key is needed, not {given}: give {example}")
    if _is_key(key):
        _refuse_several(key, key.ndim)
        return jnp.asarray(key)
    size = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0))).shape
    if key.dtype != np.uint32 or key.shape[-1:] != size:
        raise ValueError(
            f"a random key is needed, not an array {key.dtype}{list(key.shape)}: give one, such as "
            "jax.random.key(0)"
        )
    _refuse_several(key, key.ndim - 1)
    return jax.random.wrap_key_data(jnp.asarray(key))


def taking_any_key(algorithm: Algorithm) -> Algorithm:
    """The algorithm, whose `init` and `step` take keys of both kinds."""

    def init(key: Any) -> State:
        return algorithm.init(typed_key(key))

    def step(key: Any, state: State) -> tuple[State, Metrics]:
        return algorithm.step(typed_key(key), state)

    return algorithm._replace(init=init, step=step)


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


def _refuse_several(key: Any, num_axes: int) -> None:
    if num_axes:
        raise ValueError(
            f"one random key is needed, not {key.shape[:num_axes]} of them: for several runs, vmap "
            "a function of one key, as in jax.vmap(lambda key: jaxrl.train(key, algorithm))(keys)"
        )

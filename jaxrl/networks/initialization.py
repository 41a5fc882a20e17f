"""Orthogonal initialisation without LAPACK, of one kernel or of a whole module at once."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.types import Key, Network, Params


@dataclasses.dataclass(frozen=True)
class orthogonal:  # noqa: N801 - it is used like flax's function of that name
    """An initialiser of matrices whose shorter side's vectors are orthogonal, of norm `scale`.

    Axes before the last one count as one. The matrix is uniformly distributed, as flax's is, which
    takes it from LAPACK's QR: two of those side by side, as under `vmap` over seeds, can wait for
    each other for ever on a machine of two cores. Gram-Schmidt needs no LAPACK, and done twice it
    is orthogonal to rounding (Giraud et al. 2005, "The loss of orthogonality in the Gram-Schmidt
    orthogonalization process").
    """

    scale: float

    def __call__(self, key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        """Draws a kernel; the key is consumed."""
        rows, columns = math.prod(shape[:-1]), shape[-1]
        draw = jax.random.normal(key, (max(rows, columns), min(rows, columns)), jnp.float32)
        return (self.scale * _oriented(_orthonormalize(draw), shape)).astype(dtype)


def from_one_draw(network: Network) -> Network:
    """Draws all orthogonal kernels of a linen network together.

    Drawn one by one, each shape is a program of its own to compile.

    Args:
        network: as `from_flax` makes it of a module of linen's or of ours.

    Returns:
        The network with an `init` of the same distribution.
    """

    def initialize(key: Key, *inputs: Any) -> Params:
        # Of what `init` makes, kernels with other initialisers are kept. Where there are none, its
        # key is used by nobody and costs nothing; a fold that no draw from `key` reaches.
        key_others = jax.random.fold_in(key, 2**32 - 1)
        params, scales = _noting_scales(network.init, key_others, *inputs)
        leaves, structure = jax.tree_util.tree_flatten_with_path(params)
        paths = [tuple(entry.key for entry in path) for path, _ in leaves]
        values = [leaf for _, leaf in leaves]
        kernels = {i: scales[path] for i, path in enumerate(paths) if path in scales}
        shapes = [values[i].shape for i in kernels]
        for (i, scale), kernel in zip(kernels.items(), _bases(key, shapes), strict=True):
            values[i] = scale * kernel
        return jax.tree.unflatten(structure, values)

    return network._replace(init=initialize)


def _noting_scales(
    init: Callable[..., Params], *arguments: Any
) -> tuple[Params, dict[tuple[str, ...], float]]:
    """Calls a module's `init`, and says of each orthogonal kernel, by its path, how long it is."""
    scales: dict[tuple[str, ...], float] = {}

    def note(method: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        # Layers of linen's and of ours have their kernel's initialiser under one name.
        initializer = getattr(context.module, "kernel_init", None)
        if isinstance(initializer, orthogonal):
            scales["params", *context.module.path, "kernel"] = initializer.scale
        return method(*args, **kwargs)

    with nn.intercept_methods(note):
        params = init(*arguments)
    return params, scales


def _bases(key: Key, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Orthonormal kernels of several shapes by one Gram-Schmidt of a padded batch."""
    if not shapes:
        return []
    sides = [(math.prod(shape[:-1]), shape[-1]) for shape in shapes]
    long, short = [max(side) for side in sides], [min(side) for side in sides]
    # Padded to one size: rows of zeros leave a basis as it is, further columns are cut off.
    inside = jnp.arange(max(long))[None] < jnp.asarray(long)[:, None]
    padded = (len(shapes), max(long), max(short))
    # A flat draw, whose program the compiler gets done with in a third of the time.
    draws = jax.random.normal(key, (math.prod(padded),), jnp.float32).reshape(padded)
    bases = jax.vmap(_orthonormalize)(jnp.where(inside[..., None], draws, 0.0))
    cut = [basis[:rows, :columns] for basis, rows, columns in zip(bases, long, short, strict=True)]
    return [_oriented(basis, shape) for basis, shape in zip(cut, shapes, strict=True)]


# Traced once per shape (`inline` compiles nothing): flax asks for a parameter's shape at every use.
@jax.jit(inline=True)
def _orthonormalize(matrix: Float[Array, "M N"]) -> Float[Array, "M N"]:
    """Makes a matrix's columns orthonormal by Gram-Schmidt, twice.

    A column depends on those before it only; columns beyond the M-th have nothing left to be
    orthogonal in, and mean nothing.
    """
    matmul = partial(jnp.matmul, precision="highest")

    def add_column(j: Array, basis: Array) -> Array:
        column = matrix[:, j]
        for _ in range(2):
            column = column - matmul(basis, matmul(column, basis))
        return basis.at[:, j].set(column / jnp.linalg.norm(column))

    return jax.lax.fori_loop(0, matrix.shape[1], add_column, jnp.zeros_like(matrix))


def _oriented(basis: Float[Array, "M N"], shape: Sequence[int]) -> Array:
    """Lays an orthonormal basis into a kernel's shape, along its longer side."""
    is_tall = math.prod(shape[:-1]) >= shape[-1]
    return (basis if is_tall else basis.T).reshape(shape)

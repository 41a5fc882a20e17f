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

# Some units of a memory forget within two steps at first, others only after a hundred.
_LONGEST_TIME_SCALE = 100.0

# Entries of a kernel, beyond which it is drawn by itself, a block of columns at a time.
_MOST_TOGETHER = 2**18
_BLOCK = 32


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
        # A few columns are nothing to read again, however long they are.
        is_large = draw.size > _MOST_TOGETHER and draw.shape[1] >= _BLOCK
        basis = _orthonormalize_in_blocks(draw) if is_large else _orthonormalize(draw)
        return (self.scale * _oriented(basis, shape)).astype(dtype)


def lasting_bias(size: int, dtype: Any = jnp.float32) -> Float[Array, " size"]:
    """Biases b of gates that keep what is remembered, for memories that last from 2 to 100 steps.

    With a gate of sigmoid(b) = 1 - 1 / t a unit forgets within t steps, so b = log(t - 1) (Tallec
    and Ollivier 2018, arXiv:1804.11188, equation 16).
    """
    return jnp.log(jnp.linspace(2.0, _LONGEST_TIME_SCALE, size, dtype=dtype) - 1)


def from_one_draw(network: Network) -> Network:
    """Draws all orthogonal kernels of a linen network together.

    Drawn one by one, each shape is a program of its own to compile. Large ones are, as all others
    would be padded to their size.

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
        large = [i for i in kernels if math.prod(values[i].shape) > _MOST_TOGETHER]
        together = [i for i in kernels if i not in large]
        bases = _bases(key, [values[i].shape for i in together])
        for place, i in enumerate(large):
            key_large = jax.random.fold_in(key, 2**32 - 2 - place)
            bases.append(orthogonal(1.0)(key_large, values[i].shape))
        for i, kernel in zip([*together, *large], bases, strict=True):
            values[i] = kernels[i] * kernel
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


@jax.jit(inline=True)
def _orthonormalize_in_blocks(matrix: Float[Array, "M N"]) -> Float[Array, "M N"]:
    """The same for a large matrix, of whose basis each column on its own would read all.

    A block of columns is made orthogonal to those before it by two products, and then in itself;
    all of it twice (Stewart 2008, "Block Gram-Schmidt orthogonalization").
    """
    matmul = partial(jnp.matmul, precision="highest")
    rows, columns = matrix.shape
    number = -(-columns // _BLOCK)
    # The last block is filled up with columns that are no sums of the others.
    filling = jnp.roll(matrix[:, : number * _BLOCK - columns], 1, axis=0)
    padded = jnp.concatenate((matrix, filling), axis=1)

    def add_block(j: Array, basis: Array) -> Array:
        block = jax.lax.dynamic_slice(padded, (0, j * _BLOCK), (rows, _BLOCK))
        for _ in range(2):
            block = _orthonormalize(block - matmul(basis, matmul(basis.T, block)))
        return jax.lax.dynamic_update_slice(basis, block, (0, j * _BLOCK))

    return jax.lax.fori_loop(0, number, add_block, jnp.zeros_like(padded))[:, :columns]


def _oriented(basis: Float[Array, "M N"], shape: Sequence[int]) -> Array:
    """Lays an orthonormal basis into a kernel's shape, along its longer side."""
    is_tall = math.prod(shape[:-1]) >= shape[-1]
    return (basis if is_tall else basis.T).reshape(shape)

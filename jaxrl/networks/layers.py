"""Layers: orthogonal initialisation without LAPACK, and a dense layer that is fast on the CPU."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.types import Key


def orthogonal(scale: float) -> Callable[..., Array]:
    """An initialiser of matrices whose shorter side's vectors are orthogonal, of norm `scale`.

    Axes before the last one count as one. The matrix is uniformly distributed, as flax's is, which
    takes it from LAPACK's QR: two of those side by side, as under `vmap` over seeds, can wait for
    each other for ever on a machine of two cores. Gram-Schmidt needs no LAPACK, and done twice it
    is orthogonal to rounding (Giraud et al. 2005, "The loss of orthogonality in the Gram-Schmidt
    orthogonalization process").
    """

    def initialize(key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        rows, columns = math.prod(shape[:-1]), shape[-1]
        draw = jax.random.normal(key, (max(rows, columns), min(rows, columns)))
        return (scale * oriented(orthonormalize(draw), shape)).astype(dtype)

    return initialize


# Traced once per shape (`inline` compiles nothing): flax asks for a parameter's shape at every use.
@functools.partial(jax.jit, inline=True)
def orthonormalize(matrix: Float[Array, "M N"]) -> Float[Array, "M N"]:
    """Makes a matrix's columns orthonormal by Gram-Schmidt, twice.

    A column depends on those before it only; columns beyond the M-th have nothing left to be
    orthogonal in, and mean nothing.
    """

    def add_column(j: Array, basis: Array) -> Array:
        column = matrix[:, j]
        for _ in range(2):
            column = column - basis @ (column @ basis)
        return basis.at[:, j].set(column / jnp.linalg.norm(column))

    return jax.lax.fori_loop(0, matrix.shape[1], add_column, jnp.zeros_like(matrix))


def oriented(basis: Float[Array, "M N"], shape: Sequence[int]) -> Array:
    """Lays an orthonormal basis into a kernel's shape, along its longer side."""
    is_tall = math.prod(shape[:-1]) >= shape[-1]
    return (basis if is_tall else basis.T).reshape(shape)


@jax.custom_vjp
def matmul(x: Float[Array, "*batch M"], kernel: Float[Array, "M N"]) -> Float[Array, "*batch N"]:
    """`x @ kernel`, with a gradient of the kernel that is fast on the CPU.

    There XLA takes three times as long for a product over the rows of its left side as for a plain
    one, so that side is copied into place first. Reverse mode only, of any order.
    """
    return x @ kernel


def _matmul_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ kernel, (x, kernel)


def _matmul_backward(residuals: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    rows = x.reshape(-1, x.shape[-1])
    columns = gradient.reshape(-1, gradient.shape[-1])
    kernel_gradient = jax.lax.platform_dependent(
        rows,
        columns,
        cpu=lambda a, b: jax.lax.optimization_barrier(a.T) @ b,
        default=lambda a, b: a.T @ b,
    )
    return gradient @ kernel.T, kernel_gradient


matmul.defvjp(_matmul_forward, _matmul_backward)


class Dense(nn.Module):
    """An affine map of the last axis, with orthogonal weights and zero biases at first.

    Attributes:
        size: of the output.
        scale: of the weights, as `orthogonal` takes it.
        dtype: of the computation; the parameters are float32.
    """

    size: int
    scale: float = math.sqrt(2)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*batch M"]) -> Float[Array, "*batch N"]:
        kernel = self.param("kernel", orthogonal(self.scale), (x.shape[-1], self.size))
        bias = self.param("bias", nn.initializers.zeros, (self.size,))
        return matmul(x.astype(self.dtype), kernel.astype(self.dtype)) + bias.astype(self.dtype)

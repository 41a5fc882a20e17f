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
        draw = jax.random.normal(key, (math.prod(shape),))
        return (scale * orthogonalize(draw, tuple(shape))).astype(dtype)

    return initialize


# Traced once per shape (`inline` compiles nothing): flax asks for a parameter's shape at every use.
@functools.partial(jax.jit, static_argnames="shape", inline=True)
def orthogonalize(draw: Float[Array, " size"], shape: tuple[int, ...]) -> Array:
    """Makes an orthogonal matrix of standard normal numbers by Gram-Schmidt, twice.

    Axes before the last one of `shape` count as one.
    """
    rows, columns = math.prod(shape[:-1]), shape[-1]
    start = draw.reshape(max(rows, columns), min(rows, columns))

    def add_column(j: Array, basis: Array) -> Array:
        column = start[:, j]
        for _ in range(2):
            column = column - basis @ (column @ basis)
        return basis.at[:, j].set(column / jnp.linalg.norm(column))

    basis = jax.lax.fori_loop(0, start.shape[1], add_column, jnp.zeros_like(start))
    return (basis if rows >= columns else basis.T).reshape(shape)


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

"""A dense layer that is fast on the CPU."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxrl.networks.initialization import orthogonal


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
    return gradient @ kernel.T, kernel_gradient(x, gradient)


matmul.defvjp(_matmul_forward, _matmul_backward)


def kernel_gradient(
    x: Float[Array, "*batch M"], gradient: Float[Array, "*batch N"]
) -> Float[Array, "M N"]:
    """The gradient of a kernel from that of `x @ kernel`."""
    rows = x.reshape(-1, x.shape[-1])
    columns = gradient.reshape(-1, gradient.shape[-1])
    if columns.shape[-1] == 1:
        # A value's: as a row times a matrix it takes an eighth of the time.
        return (columns.T @ rows).T
    return jax.lax.platform_dependent(
        rows,
        columns,
        cpu=lambda a, b: jax.lax.optimization_barrier(a.T) @ b,
        default=lambda a, b: a.T @ b,
    )


def split_evenly(x: Float[Array, "*batch K"], number: int) -> tuple[Array, ...]:
    """Parts of the last axis, of one width each, for the gates of a memory.

    They are taken out before they are used: in a loop over a part of an array XLA uses no vector
    instructions on the CPU, and the gates take four times as long.
    """
    return jax.lax.optimization_barrier(tuple(jnp.split(x, number, axis=-1)))


class Dense(nn.Module):
    """An affine map of the last axis.

    Attributes:
        size: of the output.
        kernel_init: (key, shape, dtype) -> the first weights.
        dtype: of the computation; the parameters are float32.
        bias_init: (key, shape, dtype) -> the first biases.
    """

    size: int
    kernel_init: Callable[..., Array] = orthogonal(math.sqrt(2))
    dtype: Any = jnp.float32
    bias_init: Callable[..., Array] = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Float[Array, "*batch M"]) -> Float[Array, "*batch N"]:
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.size), jnp.float32)
        bias = self.param("bias", self.bias_init, (self.size,), jnp.float32)
        product = matmul(x.astype(self.dtype), kernel.astype(self.dtype))
        return product + jnp.broadcast_to(bias.astype(self.dtype), product.shape)


def kept_into(ended: Bool[Array, "T B"]) -> Float[Array, "T B 1"]:
    """Whether a memory is kept into each step of T, 1, or starts over before it, 0.

    Args:
        ended: after which steps a sequence starts over; it becomes 0 as its next step begins.
    """
    kept = jnp.concatenate((jnp.ones_like(ended[:1]), ~ended[:-1]))
    return kept.astype(jnp.float32)[..., None]

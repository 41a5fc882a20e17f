"""The gated recurrent unit (Cho et al. 2014, arXiv:1406.1078), fast over sequences on the CPU."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxrl.networks.initialization import lasting_bias, orthogonal
from jaxrl.networks.layers import Dense, kept_into, kernel_gradient, split_evenly


class GRU(nn.Module):
    """Remembers a vector h, and changes it with what it sees.

    With x the input, a, b, c the thirds of W x + bias, and u, v, w those of U h:

        r = sigmoid(a + u),  z = sigmoid(b + v),  n = tanh(c + r w),  h' = (1 - z) n + z h.

    That r multiplies the product and not its factor h is Cho et al.'s first version, which needs
    one product instead of two. The bias of z starts so that the units' memories last from 2 to 100
    steps (Tallec and Ollivier 2018, arXiv:1804.11188, equation 16); all others start at zero.

    Attributes:
        size: H, of the memory and of the output, which is the memory.
        kernel_init: (key, shape, dtype) -> U at first.
    """

    size: int
    kernel_init: Any = orthogonal(1.0)

    @nn.compact
    def __call__(
        self,
        memory: Float[Array, "*batch H"],
        x: Float[Array, "*sequence M"],
        ended: Bool[Array, "T B"] | None = None,
    ) -> Float[Array, "*sequence H"]:
        """Takes one step, or, where `ended` is given, many.

        Args:
            memory: before the (first) step.
            x: input of the step, or of T steps of B sequences.
            ended: after which steps a sequence starts over, with a memory of zeros.

        Returns:
            The memory after each step, before any start.
        """
        inputs = Dense(3 * self.size, orthogonal(1.0), bias_init=_bias, name="input")(x)
        kernel = self.param("kernel", self.kernel_init, (self.size, 3 * self.size), jnp.float32)
        if ended is None:
            return _step(inputs, memory @ kernel, memory)
        return unroll_gru(inputs, kernel, memory, kept_into(ended))


def _bias(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Zeros, but for the units' z: with sigmoid(b) = 1 - 1 / t a unit forgets within t steps."""
    del key
    size = shape[0] // 3
    zeros = jnp.zeros(size, dtype)
    return jnp.concatenate((zeros, lasting_bias(size, dtype), zeros))


def _thirds(x: Float[Array, "*batch K"]) -> tuple[Array, ...]:
    return split_evenly(x, 3)


def _gates(inputs: tuple[Array, ...], products: tuple[Array, ...]) -> tuple[Array, Array, Array]:
    """r, z and n."""
    r = jax.nn.sigmoid(inputs[0] + products[0])
    z = jax.nn.sigmoid(inputs[1] + products[1])
    return r, z, jnp.tanh(inputs[2] + r * products[2])


def _step(inputs: Array, products: Array, memory: Array) -> Array:
    _, z, n = _gates(_thirds(inputs), _thirds(products))
    return n + z * (memory - n)


@jax.custom_vjp
def unroll_gru(
    inputs: Float[Array, "T B K"],
    kernel: Float[Array, "H K"],
    memory: Float[Array, "B H"],
    kept: Float[Array, "T B 1"],
) -> Float[Array, "T B H"]:
    """The memories after T steps of B sequences; reverse mode only.

    The gradient is written out, since JAX's own would add up the kernel's in every step, which
    takes longer than all the rest; here it is one product of all steps.

    Args:
        inputs: W x + bias of each step; K = 3 H.
        kernel: U.
        memory: before the first step.
        kept: 0 where a sequence starts over before the step, 1 elsewhere.
    """
    return _unroll_forward(inputs, kernel, memory, kept)[0]


class _Steps(NamedTuple):
    """Values that the gradient needs of every step, kept as it costs more to compute them again.

    Attributes:
        kept: [T, B, 1], as given; all others are [T, B, H].
        before: the memory that the step started from, after any start over.
        r: the gate of that name, as are z and n.
        z: see `GRU`.
        n: see `GRU`.
        w: the last third of the products.
    """

    kept: Array
    before: Array
    r: Array
    z: Array
    n: Array
    w: Array


def _unroll_forward(
    inputs: Array, kernel: Array, memory: Array, kept: Array
) -> tuple[Array, tuple[Array, _Steps]]:
    def step(memory: Array, inputs: tuple[tuple[Array, ...], Array]) -> Any:
        thirds, kept = inputs
        before = jnp.where(kept > 0, memory, 0.0)
        products = _thirds(before @ kernel)
        r, z, n = _gates(thirds, products)
        after = n + z * (before - n)
        return after, (after, (before, r, z, n, products[2]))

    _, (memories, steps) = jax.lax.scan(step, memory, (_thirds(inputs), kept))
    return memories, (kernel, _Steps(kept, *steps))


def _unroll_backward(residuals: tuple[Array, _Steps], gradient: Array) -> tuple[Array | None, ...]:
    kernel, steps = residuals
    transposed = jax.lax.optimization_barrier(kernel.T)

    def step_back(after: Array, inputs: tuple[Array, _Steps]) -> tuple[Array, Any]:
        gradient, (kept, before, r, z, n, w) = inputs
        total = gradient + after
        to_n = total * (1 - z) * (1 - jnp.square(n))
        to_r = to_n * w * r * (1 - r)
        to_z = total * (before - n) * z * (1 - z)
        to_products = jnp.concatenate((to_r, to_z, to_n * r), axis=-1)
        to_before = total * z + to_products @ transposed
        return jnp.where(kept > 0, to_before, 0.0), (to_products, to_n)

    to_first, (to_products, to_n) = jax.lax.scan(
        step_back, jnp.zeros_like(steps.before[0]), (gradient, steps), reverse=True
    )
    to_inputs = jnp.concatenate((to_products[..., : -to_n.shape[-1]], to_n), axis=-1)
    return to_inputs, kernel_gradient(steps.before, to_products), to_first, None


unroll_gru.defvjp(_unroll_forward, _unroll_backward)

"""Long short-term memory (Hochreiter and Schmidhuber 1997), fast over sequences on the CPU."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxrl.networks.initialization import lasting_bias, orthogonal
from jaxrl.networks.layers import Dense, kept_into, kernel_gradient, split_evenly


class LSTMMemory(NamedTuple):
    """Values that an LSTM carries from step to step.

    Attributes:
        cell: c, float32 [..., H], what is kept.
        output: h, float32 [..., H], what is shown of it.
    """

    cell: Float[Array, "*batch H"]
    output: Float[Array, "*batch H"]


class LSTM(nn.Module):
    """Remembers a vector c, changes it with what it sees, and shows a part h of it.

    With x the input, a, b, d, e the quarters of W x + bias, and u, v, w, y those of U h:

        i = sigmoid(a + u),  f = sigmoid(b + v),  g = tanh(d + w),  o = sigmoid(e + y),
        c' = f c + i g,  h' = o tanh(c').

    The gate f, by which it forgets, is that of Gers, Schmidhuber and Cummins (2000), "Learning to
    forget". Its bias starts so that the units' memories last from 2 to 100 steps, and that of i at
    the opposite (Tallec and Ollivier 2018, arXiv:1804.11188, equation 16); all others start at
    zero.

    Attributes:
        size: H, of the memory's parts and of the output h.
        kernel_init: (key, shape, dtype) -> U at first.
    """

    size: int
    kernel_init: Any = orthogonal(1.0)

    @nn.compact
    def __call__(
        self,
        memory: LSTMMemory,
        x: Float[Array, "*sequence M"],
        ended: Bool[Array, "T B"] | None = None,
    ) -> LSTMMemory:
        """Takes one step, or, where `ended` is given, many.

        Args:
            memory: before the (first) step.
            x: input of the step, or of T steps of B sequences.
            ended: after which steps a sequence starts over, with a memory of zeros.

        Returns:
            The memory after each step, before any start.
        """
        inputs = Dense(4 * self.size, orthogonal(1.0), bias_init=_bias, name="input")(x)
        kernel = self.param("kernel", self.kernel_init, (self.size, 4 * self.size), jnp.float32)
        if ended is None:
            gates = _gates(_quarters(inputs), _quarters(memory.output @ kernel))
            return _step(gates, memory.cell)[0]
        return LSTMMemory(*unroll_lstm(inputs, kernel, *memory, kept_into(ended)))


def _bias(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Zeros, but for the gates that keep and add: f = 1 - 1 / t and i = 1 / t at first."""
    del key
    size = shape[0] // 4
    lasting, zeros = lasting_bias(size, dtype), jnp.zeros(size, dtype)
    return jnp.concatenate((-lasting, lasting, zeros, zeros))


class _Gates(NamedTuple):
    """The gates of a step, [..., H] each; see `LSTM`."""

    i: Array
    f: Array
    g: Array
    o: Array


def _quarters(x: Float[Array, "*batch K"]) -> tuple[Array, ...]:
    return split_evenly(x, 4)


def _gates(inputs: tuple[Array, ...], products: tuple[Array, ...]) -> _Gates:
    sums = [x + y for x, y in zip(inputs, products, strict=True)]
    return _Gates(
        i=jax.nn.sigmoid(sums[0]),
        f=jax.nn.sigmoid(sums[1]),
        g=jnp.tanh(sums[2]),
        o=jax.nn.sigmoid(sums[3]),
    )


def _step(gates: _Gates, cell: Array) -> tuple[LSTMMemory, Array]:
    """The memory after a step, and tanh(c')."""
    after = gates.f * cell + gates.i * gates.g
    shown = jnp.tanh(after)
    return LSTMMemory(cell=after, output=gates.o * shown), shown


@jax.custom_vjp
def unroll_lstm(
    inputs: Float[Array, "T B K"],
    kernel: Float[Array, "H K"],
    cell: Float[Array, "B H"],
    output: Float[Array, "B H"],
    kept: Float[Array, "T B 1"],
) -> tuple[Float[Array, "T B H"], Float[Array, "T B H"]]:
    """The cells and outputs after T steps of B sequences; reverse mode only.

    The gradient is written out, since JAX's own would add up the kernel's in every step, which
    takes longer than all the rest; here it is one product of all steps.

    Args:
        inputs: W x + bias of each step; K = 4 H.
        kernel: U.
        cell: before the first step.
        output: before the first step.
        kept: 0 where a sequence starts over before the step, 1 elsewhere.
    """
    return _unroll_forward(inputs, kernel, cell, output, kept)[0]


class _Steps(NamedTuple):
    """Values that the gradient needs of every step, kept as it costs more to compute them again.

    Attributes:
        kept: [T, B, 1], as given; all others are [T, B, H].
        before: the memory that the step started from, after any start over.
        gates: see `LSTM`.
        shown: tanh(c').
    """

    kept: Array
    before: LSTMMemory
    gates: _Gates
    shown: Array


def _unroll_forward(
    inputs: Array, kernel: Array, cell: Array, output: Array, kept: Array
) -> tuple[tuple[Array, Array], tuple[Array, _Steps]]:
    def step(memory: LSTMMemory, inputs: tuple[tuple[Array, ...], Array]) -> Any:
        quarters, kept = inputs
        before = LSTMMemory(*(jnp.where(kept > 0, x, 0.0) for x in memory))
        gates = _gates(quarters, _quarters(before.output @ kernel))
        after, shown = _step(gates, before.cell)
        return after, (after, _Steps(kept, before, gates, shown))

    _, (memories, steps) = jax.lax.scan(step, LSTMMemory(cell, output), (_quarters(inputs), kept))
    return (memories.cell, memories.output), (kernel, steps)


def _unroll_backward(
    residuals: tuple[Array, _Steps], gradients: tuple[Array, Array]
) -> tuple[Array | None, ...]:
    kernel, steps = residuals
    transposed = jax.lax.optimization_barrier(kernel.T)

    def step_back(after: LSTMMemory, inputs: tuple[LSTMMemory, _Steps]) -> tuple[LSTMMemory, Any]:
        gradient, (kept, before, (i, f, g, o), shown) = inputs
        total_output = gradient.output + after.output
        total_cell = gradient.cell + after.cell + total_output * o * (1 - jnp.square(shown))
        to_i = total_cell * g * i * (1 - i)
        to_f = total_cell * before.cell * f * (1 - f)
        to_g = total_cell * i * (1 - jnp.square(g))
        to_o = total_output * shown * o * (1 - o)
        to_sums = jnp.concatenate((to_i, to_f, to_g, to_o), axis=-1)
        to_before = LSTMMemory(cell=total_cell * f, output=to_sums @ transposed)
        return LSTMMemory(*(jnp.where(kept > 0, x, 0.0) for x in to_before)), to_sums

    nothing = jax.tree.map(lambda x: jnp.zeros_like(x[0]), steps.before)
    to_first, to_sums = jax.lax.scan(
        step_back, nothing, (LSTMMemory(*gradients), steps), reverse=True
    )
    to_kernel = kernel_gradient(steps.before.output, to_sums)
    return to_sums, to_kernel, to_first.cell, to_first.output, None


unroll_lstm.defvjp(_unroll_forward, _unroll_backward)

"""A multi-layer perceptron: dense layers, each followed by an activation."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array

from jaxrl.networks.layers import Dense


class MLP(nn.Module):
    """A multi-layer perceptron; every layer is followed by the activation.

    Attributes:
        hidden_sizes: the width of each layer; the output has the last one's.
        activation: elementwise.
        dtype: of the computation; the parameters are float32.
        input_axes: how many last axes make up one input; the axes before them are batch.
        layer_norm: normalise each layer before its activation (Ba et al. 2016).
    """

    hidden_sizes: Sequence[int]
    activation: Callable[[Array], Array] = jnp.tanh
    dtype: Any = jnp.float32
    input_axes: int = 1
    layer_norm: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = x.reshape(*x.shape[: x.ndim - self.input_axes], -1)
        for size in self.hidden_sizes:
            x = self.activation(normalized(Dense(size, dtype=self.dtype)(x), self.layer_norm))
        return x


def normalized(x: Array, layer_norm: bool) -> Array:
    """A layer's output, normalised over its units if that is asked for; within a module's call."""
    return nn.LayerNorm(dtype=x.dtype)(x) if layer_norm else x

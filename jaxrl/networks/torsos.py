"""Feature extractors: from observations to features, by the kind of observation."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.networks.initialization import orthogonal
from jaxrl.networks.layers import Dense
from jaxrl.types import Box, Discrete, MultiDiscrete, Observation, Space

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "gelu": jax.nn.gelu,
    "elu": jax.nn.elu,
}


def encode_observation(observation: Observation, space: Space) -> Float[Array, "*shape"]:
    """Turns observations into floats for a network; leading axes are batch.

    Integers of a Discrete space become a one-hot vector, those of a MultiDiscrete space a
    concatenation of them; bytes are scaled from [0, 255] to [0, 1]; a Box keeps its shape.
    """
    if isinstance(space, Discrete):
        return jax.nn.one_hot(observation, space.num_categories, dtype=jnp.float32)
    if isinstance(space, MultiDiscrete):
        sizes = enumerate(space.num_categories)
        pieces = [jax.nn.one_hot(observation[..., i], size, dtype=jnp.float32) for i, size in sizes]
        return jnp.concatenate(pieces, axis=-1)
    observation = jnp.asarray(observation)
    scale = 1 / 255 if observation.dtype == jnp.uint8 else 1.0
    return observation.astype(jnp.float32) * scale


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


class MinAtarCNN(nn.Module):
    """One 3x3 convolution of 16 channels, then dense layers (Young & Tian 2019).

    Attributes:
        hidden_sizes: widths of the dense layers that follow.
        channels: of the convolution.
        activation: elementwise.
        dtype: of the computation; the parameters are float32.
        layer_norm: normalise each layer before its activation, the convolution over its channels.
    """

    hidden_sizes: Sequence[int] = (128,)
    channels: int = 16
    activation: Callable[[Array], Array] = jax.nn.relu
    dtype: Any = jnp.float32
    layer_norm: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        convolution = nn.Conv(
            self.channels,
            kernel_size=(3, 3),
            padding="VALID",
            dtype=self.dtype,
            kernel_init=orthogonal(math.sqrt(2)),
        )
        x = self.activation(normalized(convolution(x.astype(self.dtype)), self.layer_norm))
        dense = MLP(
            self.hidden_sizes,
            self.activation,
            self.dtype,
            input_axes=3,
            layer_norm=self.layer_norm,
        )
        return dense(x)


def make_torso(
    kind: str,
    observation_space: Space,
    *,
    hidden_sizes: Sequence[int],
    activation: str,
    compute_dtype: str,
    layer_norm: bool = False,
) -> Callable[[str], MLP | MinAtarCNN]:
    """A function that makes a fresh torso of a name.

    Args:
        kind: "mlp", "cnn" (for [height, width, channels]), or "auto": "cnn" for such shapes.
        observation_space: of the observations.
        hidden_sizes: widths of the dense layers.
        activation: a name in `ACTIVATIONS`.
        compute_dtype: of the computation; the parameters are float32.
        layer_norm: normalise each layer before its activation.

    Raises:
        ValueError: `kind` does not suit the observations.
    """
    is_image = isinstance(observation_space, Box) and len(observation_space.shape) == 3
    if kind == "auto":
        kind = "cnn" if is_image and min(observation_space.shape[:2]) >= 3 else "mlp"
    if kind == "cnn" and not is_image:
        raise ValueError(
            "torso='cnn' needs observations of shape [height, width, channels], "
            f"got shape {observation_space.shape}: use torso='mlp'"
        )
    attributes: dict[str, Any] = {
        "hidden_sizes": tuple(hidden_sizes),
        "activation": ACTIVATIONS[activation],
        "dtype": jnp.dtype(compute_dtype),
        "layer_norm": layer_norm,
    }
    if kind == "cnn":
        return lambda name: MinAtarCNN(name=name, **attributes)
    # Categories are encoded as vectors.
    input_axes = len(observation_space.shape) if isinstance(observation_space, Box) else 1
    return lambda name: MLP(name=name, input_axes=input_axes, **attributes)

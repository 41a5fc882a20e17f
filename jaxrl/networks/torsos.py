"""Feature extractors: from observations to features, by the kind of observation."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxrl.networks.initialization import orthogonal
from jaxrl.networks.layers import Dense
from jaxrl.types import Box, Discrete, MultiDiscrete, Observation, Space, SpaceTree, is_nested

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "gelu": jax.nn.gelu,
    "elu": jax.nn.elu,
}


def encode_observation(observation: Observation, space: SpaceTree) -> Float[Array, "*shape"]:
    """Turns observations into floats for a network; leading axes are batch.

    Integers of a Discrete space become a one-hot vector, those of a MultiDiscrete space a
    concatenation of them. A Box keeps its shape, and its values but for images of integers,
    [height, width, channels], which are scaled from the bounds that the space declares to [0, 1].
    uint8 with the bounds 0 and 255 is an image's in any shape: one that was flattened, say. Other
    numbers are what they are: a vector of counts or codes has no common scale.

    Nested observations become one vector: their parts, each encoded and flattened, behind one
    another in the order of the tree.
    """
    if is_nested(space):
        leaves, parts = jax.tree.leaves(space), jax.tree.leaves(observation)
        pairs = zip(parts, leaves, strict=True)
        return jnp.concatenate([_encoded_vector(part, leaf) for part, leaf in pairs], axis=-1)
    if isinstance(space, Discrete):
        return jax.nn.one_hot(observation, space.num_categories, dtype=jnp.float32)
    if isinstance(space, MultiDiscrete):
        sizes = enumerate(space.num_categories)
        pieces = [jax.nn.one_hot(observation[..., i], size, dtype=jnp.float32) for i, size in sizes]
        return jnp.concatenate(pieces, axis=-1)
    observation = jnp.asarray(observation)
    # Observations that were standardised are floats, whatever the space says.
    given_whole = jnp.issubdtype(observation.dtype, jnp.integer)
    if given_whole and _is_image(space):
        return _scaled(observation, space)
    return observation.astype(jnp.float32)


def _encoded_vector(part: Array, space: Space) -> Float[Array, "*batch size"]:
    """A part of a nested observation with one axis for its own."""
    encoded = encode_observation(part, space)
    own_axes = len(space.shape) if isinstance(space, Box) else 1
    return encoded.reshape(*encoded.shape[: encoded.ndim - own_axes], -1)


def _is_image(space: Box) -> bool:
    """Whether the elements are intensities, and not numbers each of its own kind."""
    if len(space.shape) == 3:
        return jnp.issubdtype(space.dtype, jnp.integer)
    if jnp.dtype(space.dtype) != jnp.uint8 or _is_traced(space):
        return False
    return bool(np.all(np.equal(space.low, 0)) and np.all(np.equal(space.high, 255)))


def _is_traced(space: Box) -> bool:
    return isinstance(space.low, Tracer) or isinstance(space.high, Tracer)


def _scaled(image: Array, space: Box) -> Float[Array, "*shape"]:
    """Scales from the declared bounds to [0, 1]; leaves it as it is where there are none."""
    library = jnp if _is_traced(space) else np
    low, high = (library.asarray(x, library.float32) for x in (space.low, space.high))
    width = high - low
    # The whole range of 32 bits says nothing about the values.
    known = library.isfinite(width) & (width < 2.0**31)
    start = library.where(known, low, library.float32(0))
    scale = 1 / library.where(known & (width > 0), width, library.float32(1))
    start, scale = (jnp.broadcast_to(x, image.shape) for x in (start, scale))
    return (image.astype(jnp.float32) - start) * scale


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


def torso_kind(kind: str, observation_space: Any) -> str:
    """The kind of torso that "auto" stands for; any other kind as it is."""
    if kind != "auto":
        return kind
    is_image = isinstance(observation_space, Box) and len(observation_space.shape) == 3
    return "cnn" if is_image and min(observation_space.shape[:2]) >= 3 else "mlp"


def make_torso(
    kind: str,
    observation_space: SpaceTree,
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
    kind = torso_kind(kind, observation_space)
    if kind == "cnn" and not is_image:
        nested = is_nested(observation_space)
        given = "nested ones" if nested else f"shape {observation_space.shape}"
        raise ValueError(
            "torso='cnn' needs observations of shape [height, width, channels], "
            f"got {given}: use torso='mlp'"
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

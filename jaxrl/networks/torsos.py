"""Feature extractors: from observations to features, by the kind of observation."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxrl.networks.convolutions import ImpalaCNN, MinAtarCNN, NatureCNN
from jaxrl.networks.mlp import MLP
from jaxrl.types import Box, Discrete, MultiDiscrete, Observation, Space, SpaceTree, is_nested

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "gelu": jax.nn.gelu,
    "elu": jax.nn.elu,
}

# Each with the least height and width that it takes.
_CONVOLUTIONS: dict[str, tuple[Callable[..., nn.Module], int]] = {
    "cnn": (MinAtarCNN, 3),
    "nature_cnn": (NatureCNN, 36),
    "impala_cnn": (ImpalaCNN, 1),
}
TORSOS = ("auto", "mlp", *_CONVOLUTIONS)


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
) -> Callable[[str], nn.Module]:
    """A function that makes a fresh torso of a name.

    Args:
        kind: a name in `TORSOS`: "mlp", a convolution for [height, width, channels] ("cnn" of
            `MinAtarCNN`, "nature_cnn", "impala_cnn"), or "auto": "cnn" for such shapes, else "mlp".
        observation_space: of the observations.
        hidden_sizes: widths of the dense layers.
        activation: a name in `ACTIVATIONS`.
        compute_dtype: of the computation; the parameters are float32.
        layer_norm: normalise each layer before its activation.

    Raises:
        ValueError: there is no such torso, or it does not suit the observations.
    """
    if kind not in TORSOS:
        raise ValueError(f"torso={kind!r} is not one of {', '.join(TORSOS)}")
    kind = torso_kind(kind, observation_space)
    attributes: dict[str, Any] = {
        "hidden_sizes": tuple(hidden_sizes),
        "activation": ACTIVATIONS[activation],
        "dtype": jnp.dtype(compute_dtype),
        "layer_norm": layer_norm,
    }
    if kind in _CONVOLUTIONS:
        _check_image(kind, observation_space)
        module = _CONVOLUTIONS[kind][0]
        return lambda name: module(name=name, **attributes)
    # Categories are encoded as vectors.
    input_axes = len(observation_space.shape) if isinstance(observation_space, Box) else 1
    return lambda name: MLP(name=name, input_axes=input_axes, **attributes)


def _check_image(kind: str, observation_space: SpaceTree) -> None:
    """Refuses observations that a convolution of that kind cannot take.

    Raises:
        ValueError: they are no images, or too small ones.
    """
    if not isinstance(observation_space, Box) or len(observation_space.shape) != 3:
        nested = is_nested(observation_space)
        given = "nested ones" if nested else f"shape {observation_space.shape}"
        raise ValueError(
            f"torso={kind!r} needs observations of shape [height, width, channels], "
            f"got {given}: use torso='mlp'"
        )
    least, shape = _CONVOLUTIONS[kind][1], observation_space.shape
    if min(shape[:2]) < least:
        raise ValueError(
            f"torso={kind!r} needs images of at least {least} x {least}, got shape {shape}: use "
            "torso='impala_cnn', which takes any size, or torso='mlp'"
        )

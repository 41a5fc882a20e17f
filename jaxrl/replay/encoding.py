"""How the elements of a space are kept: in the narrowest type that loses nothing."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxrl.types import Box, Discrete, MaskedObservation, MaskedSpace, MultiDiscrete


class Encoding(NamedTuple):
    """Both ways between the elements of a space and what is kept of them.

    Attributes:
        encode: (elements [*batch, ...]) -> what is kept, leaves [*batch, ...].
        decode: the inverse; exact.
        zeros: (batch shape) -> what is kept of nothing.
    """

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    zeros: Callable[[tuple[int, ...]], Any]


def encoding_of(space: Any) -> Encoding:
    """The encoding of a space's elements.

    Categories take one or two bytes where that is enough; truth values, as in MinAtar's
    observations and in masks of actions, take a bit each; everything else keeps its type.

    Args:
        space: any of ours, of observations or actions.
    """
    if isinstance(space, MaskedSpace):
        return _of_masked(encoding_of(space.space), _of_bits((space.num_categories,)))
    if isinstance(space, Discrete):
        return _of_array((), space.dtype, _narrowest(space.num_categories))
    if isinstance(space, MultiDiscrete):
        return _of_array(space.shape, space.dtype, _narrowest(max(space.num_categories)))
    assert isinstance(space, Box)
    if jnp.dtype(space.dtype) == jnp.bool_:
        return _of_bits(space.shape)
    return _of_array(space.shape, space.dtype, space.dtype)


def _of_array(shape: tuple[int, ...], dtype: Any, kept: Any) -> Encoding:
    def zeros(batch: tuple[int, ...]) -> Array:
        return jnp.zeros((*batch, *shape), kept)

    return Encoding(lambda x: x.astype(kept), lambda x: x.astype(dtype), zeros)


def _of_bits(shape: tuple[int, ...]) -> Encoding:
    """Eight truth values in a byte."""
    size = math.prod(shape)

    def encode(x: Array) -> Array:
        batch = x.shape[: x.ndim - len(shape)]
        return jnp.packbits(x.reshape(*batch, size), axis=-1)

    def decode(x: Array) -> Array:
        bits = jnp.unpackbits(x, axis=-1, count=size)
        return bits.reshape(*x.shape[:-1], *shape).astype(bool)

    def zeros(batch: tuple[int, ...]) -> Array:
        return jnp.zeros((*batch, -(-size // 8)), jnp.uint8)

    return Encoding(encode, decode, zeros)


def _of_masked(seen: Encoding, mask: Encoding) -> Encoding:
    def encode(x: MaskedObservation) -> MaskedObservation:
        return MaskedObservation(seen.encode(x.observation), mask.encode(x.action_mask))

    def decode(x: MaskedObservation) -> MaskedObservation:
        return MaskedObservation(seen.decode(x.observation), mask.decode(x.action_mask))

    def zeros(batch: tuple[int, ...]) -> MaskedObservation:
        return MaskedObservation(seen.zeros(batch), mask.zeros(batch))

    return Encoding(encode, decode, zeros)


def _narrowest(num_categories: int) -> Any:
    kinds = (jnp.uint8, jnp.uint16, jnp.int32)
    return next(kind for kind in kinds if num_categories - 1 <= np.iinfo(kind).max)

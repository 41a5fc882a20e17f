"""Storage of a space's elements in the narrowest type that loses nothing."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxrl.types import (
    Box,
    Discrete,
    MaskedObservation,
    MaskedSpace,
    MultiDiscrete,
    SpaceTree,
    is_nested,
)


class Encoding(NamedTuple):
    """Both ways between the elements of a space and what is kept of them.

    Attributes:
        encode: (elements [*batch, ...]) -> what is kept, leaves [*batch, ...]; a ValueError, before
            anything is computed, where their type does not fit the space's.
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
        space: any of ours, of observations or actions, or a pytree of them, each part of which is
            kept by itself.

    Raises:
        ValueError: the space's own type does not hold its categories.
    """
    if isinstance(space, MaskedSpace):
        return _of_masked(encoding_of(space.space), _of_bits((space.num_categories,)))
    if is_nested(space):
        return _of_parts(space)
    if isinstance(space, Discrete):
        return _of_categories(space, space.num_categories)
    if isinstance(space, MultiDiscrete):
        return _of_categories(space, max(space.num_categories))
    assert isinstance(space, Box)
    if jnp.dtype(space.dtype) == jnp.bool_:
        return _of_bits(space.shape)

    def check(given: Any) -> None:
        _require(_fits(given, space.dtype), given, space)

    return _of_array(space.shape, space.dtype, space.dtype, check)


def _of_parts(space: SpaceTree) -> Encoding:
    """Each part of a nested element in its own encoding."""
    leaves, structure = jax.tree.flatten(space)
    parts = [encoding_of(leaf) for leaf in leaves]

    def encode(x: Any) -> Any:
        values = zip(parts, structure.flatten_up_to(x), strict=True)
        return structure.unflatten([part.encode(value) for part, value in values])

    def decode(x: Any) -> Any:
        values = zip(parts, structure.flatten_up_to(x), strict=True)
        return structure.unflatten([part.decode(value) for part, value in values])

    def zeros(batch: tuple[int, ...]) -> Any:
        return structure.unflatten([part.zeros(batch) for part in parts])

    return Encoding(encode, decode, zeros)


def _of_categories(space: Discrete | MultiDiscrete, most: int) -> Encoding:
    """Any type of whole numbers will do: the categories are few enough."""
    whole = jnp.issubdtype(space.dtype, jnp.integer)
    if whole and most - 1 > jnp.iinfo(space.dtype).max:
        raise ValueError(f"{space} has more categories than {jnp.dtype(space.dtype)} has numbers")

    def check(given: Any) -> None:
        _require(not (whole and jnp.issubdtype(given, jnp.inexact)), given, space)

    return _of_array(space.shape, space.dtype, _narrowest(most), check)


def _of_array(
    shape: tuple[int, ...], dtype: Any, kept: Any, check: Callable[[Any], None]
) -> Encoding:
    def encode(x: Array) -> Array:
        check(x.dtype)
        return x.astype(kept)

    def zeros(batch: tuple[int, ...]) -> Array:
        return jnp.zeros((*batch, *shape), kept)

    return Encoding(encode, lambda x: x.astype(dtype), zeros)


def _fits(given: Any, declared: Any) -> bool:
    """Whether a number of a type survives in another; as a float it may be rounded."""
    if jnp.issubdtype(declared, jnp.inexact):
        return True
    return np.can_cast(given, declared, "safe")


def _require(fits: bool, given: Any, space: Any) -> None:
    if not fits:
        raise ValueError(
            f"an element of {space} is given as {jnp.dtype(given)}, which cannot be kept as "
            f"{jnp.dtype(space.dtype)} without loss: give it, or declare the space, in another type"
        )


def _of_bits(shape: tuple[int, ...]) -> Encoding:
    """Eight truth values in a byte."""
    size = math.prod(shape)

    def encode(x: Array) -> Array:
        if x.dtype != jnp.bool_:
            raise ValueError(
                f"truth values of shape {shape} are given as {x.dtype}, which cannot be kept as "
                "bool without loss: give them, or declare the space, in another type"
            )
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

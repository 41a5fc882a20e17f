"""Running moments of observations: of one Box, or of the float parts of nested ones."""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxrl.ops.statistics import (
    RunningStatistics,
    Sums,
    add_to_sums,
    init_statistics,
    init_sums,
    is_usable,
    merge_sums,
    normalize,
    update_statistics,
)
from jaxrl.types import Box, Observation, SpaceTree, is_nested

ObservationStatistics: TypeAlias = Any
"""`RunningStatistics` of a Box; of nested observations a tuple with those of each part in the order
of the tree, and None for what is no Box of floats and stays as it is."""
ObservationSums: TypeAlias = Any
"""The same of `Sums`."""


def has_moments(space: SpaceTree) -> bool:
    """Whether something of a space's elements has a mean and a deviation."""
    if is_nested(space):
        return any(_is_of_floats(leaf) for leaf in jax.tree.leaves(space))
    return isinstance(space, Box)


def init_observed(space: SpaceTree) -> ObservationStatistics:
    """Statistics of no observation yet.

    Args:
        space: a Box of any type, or a pytree of spaces.
    """
    if not is_nested(space):
        return init_statistics(space.shape)
    return tuple(
        init_statistics(leaf.shape) if _is_of_floats(leaf) else None
        for leaf in jax.tree.leaves(space)
    )


def update_observed(
    statistics: ObservationStatistics, observation: Observation
) -> ObservationStatistics:
    """Merges a batch of observations into the moments."""
    return _each(update_statistics, statistics, observation)


def normalize_observed(
    statistics: ObservationStatistics, observation: Observation, *, clip: float = 10.0
) -> Observation:
    """Standardises and clips what has moments, one observation or a batch."""

    def function(part: RunningStatistics, x: Array) -> Array:
        return normalize(part, jnp.asarray(x, jnp.float32), clip=clip)

    if isinstance(statistics, RunningStatistics):
        return function(statistics, observation)
    leaves, structure = jax.tree.flatten(observation)
    pairs = zip(statistics, leaves, strict=True)
    return structure.unflatten([x if part is None else function(part, x) for part, x in pairs])


def count_left_out(statistics: ObservationStatistics, observation: Observation) -> Float[Array, ""]:
    """How many numbers of a batch the moments leave out."""

    def function(part: RunningStatistics, x: Array) -> Array:
        del part
        return jnp.sum(~is_usable(x), dtype=jnp.float32)

    return sum_of_all(_each(function, statistics, observation))


def init_observed_sums(
    statistics: ObservationStatistics, observation: Observation
) -> ObservationSums:
    """Sums of nothing yet; the first observations are needed for what is near them."""
    return _each(init_sums, statistics, observation)


def add_observed(
    sums: ObservationSums, observation: Observation, *, counted: Bool[Array, "..."]
) -> ObservationSums:
    """Adds observations [*batch, ...] to sums, those of them that `counted` [*batch] says."""
    return _each(lambda part, x: add_to_sums(part, x, counted=counted), sums, observation)


def merge_observed(
    statistics: ObservationStatistics, sums: ObservationSums
) -> ObservationStatistics:
    """Merges observations that were added up."""
    if isinstance(statistics, RunningStatistics):
        return merge_sums(statistics, sums)
    return tuple(
        None if part is None else merge_sums(part, more)
        for part, more in zip(statistics, sums, strict=True)
    )


def sums_left_out(sums: ObservationSums, taken: Float[Array, ""]) -> Float[Array, ""]:
    """How many numbers of `taken` observations the sums leave out."""
    parts = [sums] if isinstance(sums, Sums) else [part for part in sums if part is not None]
    return sum_of_all([jnp.sum(taken - part.count) for part in parts])


def sum_of_all(parts: Any) -> Float[Array, ""]:
    """The sum of scalars, one at least."""
    return functools.reduce(jnp.add, jax.tree.leaves(parts))


def _is_of_floats(space: Any) -> bool:
    return isinstance(space, Box) and bool(jnp.issubdtype(space.dtype, jnp.floating))


def _each(function: Callable[[Any, Array], Any], moments: Any, observation: Observation) -> Any:
    """Applies a function of (moments, array) to each part that has moments."""
    if isinstance(moments, RunningStatistics | Sums):
        return function(moments, observation)
    pairs = zip(moments, jax.tree.leaves(observation), strict=True)
    return tuple(None if part is None else function(part, x) for part, x in pairs)

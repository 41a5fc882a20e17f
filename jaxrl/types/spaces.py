"""Spaces: the sets that observations and actions are elements of."""

import dataclasses
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool

from jaxrl.types.arrays import Key, Observation


@dataclasses.dataclass(frozen=True)
class Discrete:
    """The integers 0 .. num_categories - 1."""

    num_categories: int
    dtype: Any = jnp.int32

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    def sample(self, key: Key) -> Array:
        """Draws one element uniformly, shape ()."""
        return jax.random.randint(key, (), 0, self.num_categories, self.dtype)

    def contains(self, x: Array) -> Bool[Array, ""]:
        """Whether `x` lies in the space."""
        return jnp.logical_and(x >= 0, x < self.num_categories)


@dataclasses.dataclass(frozen=True)
class MultiDiscrete:
    """A vector of independent integers, the i-th in 0 .. num_categories[i] - 1."""

    num_categories: tuple[int, ...]
    dtype: Any = jnp.int32

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.num_categories),)

    def sample(self, key: Key) -> Array:
        """Draws one element uniformly, shape (len(num_categories),)."""
        # In a narrow type, the number of categories may be one too many.
        upper = jnp.asarray(self.num_categories, jnp.int32)
        return jax.random.randint(key, self.shape, 0, upper, self.dtype)

    def contains(self, x: Array) -> Bool[Array, ""]:
        """Whether `x` lies in the space."""
        return jnp.all(jnp.logical_and(x >= 0, x < jnp.asarray(self.num_categories)))


@dataclasses.dataclass(frozen=True, eq=False)
class Box:
    """Arrays of one shape between two bounds; a bound is a number, or an array or a list of them.

    Bounds broadcast to the shape. They may be traced (they can depend on an environment parameter);
    shape and dtype are static. Boxes are equal where their elements are; traced bounds are equal to
    themselves only.
    """

    low: Any
    high: Any
    shape: tuple[int, ...]
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        # A frozen dataclass sets its own fields this way too.
        for name in ("low", "high"):
            object.__setattr__(self, name, self._as_bound(name))
        if _is_traced(self.low, self.high):
            return
        if np.any(np.asarray(self.low) > np.asarray(self.high)):
            raise ValueError(f"low={self.low} must be at most high={self.high}")

    def _as_bound(self, name: str) -> Any:
        """A bound as a number or an array, in the elements' type where these are floats."""
        bound = getattr(self, name)
        bound = bound.item() if isinstance(bound, np.generic) else bound
        if isinstance(bound, list | tuple):
            leaves = jax.tree.leaves(bound)
            bound = jnp.asarray(bound) if _is_traced(*leaves) else np.asarray(bound)
        if isinstance(bound, np.ndarray) and jnp.issubdtype(self.dtype, jnp.floating):
            bound = bound.astype(self.dtype)
        try:
            fits = np.broadcast_shapes(np.shape(bound), self.shape) == self.shape
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"{name} has shape {np.shape(bound)}, which does not broadcast to {self.shape}"
            )
        return bound

    def __repr__(self) -> str:
        bounds = f"{_in_short(self.low)}, {_in_short(self.high)}"
        return f"Box({bounds}, {self.shape}, {jnp.dtype(self.dtype).name})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Box):
            return NotImplemented
        if self.shape != other.shape or jnp.dtype(self.dtype) != jnp.dtype(other.dtype):
            return False
        bounds = ((self.low, other.low), (self.high, other.high))
        return all(
            one is two or (not _is_traced(one, two) and bool(np.all(np.equal(one, two))))
            for one, two in bounds
        )

    def __hash__(self) -> int:
        return hash((self.shape, jnp.dtype(self.dtype)))

    def bounds(self) -> tuple[Any, Any]:
        """Low and high as arrays of the box's shape, of its type where that is a float.

        They are NumPy's where nothing is traced, so that also inside `jit` they have values.
        """
        floating = jnp.issubdtype(self.dtype, jnp.floating)
        dtype = self.dtype if floating else jnp.float32

        def full(bound: Any) -> Any:
            library = jnp if _is_traced(bound) else np
            return library.broadcast_to(library.asarray(bound, dtype), self.shape)

        return full(self.low), full(self.high)

    def sample(self, key: Key) -> Array:
        """Draws one element: uniform where both bounds are usable, standard normal elsewhere.

        Of whole numbers, all between the bounds, both included, are as likely; where a bound is
        infinite, the normal number is rounded.
        """
        if self.dtype == jnp.bool_:
            return jax.random.bernoulli(key, shape=self.shape)
        key_uniform, key_normal = jax.random.split(key)
        if jnp.issubdtype(self.dtype, jnp.integer):
            return self._sample_whole(key_uniform, key_normal)
        low = jnp.broadcast_to(jnp.asarray(self.low, jnp.float32), self.shape)
        high = jnp.broadcast_to(jnp.asarray(self.high, jnp.float32), self.shape)
        bounded = jnp.isfinite(high - low)
        uniform = jax.random.uniform(key_uniform, self.shape, jnp.float32)
        scaled = jnp.where(bounded, low, 0.0) + uniform * jnp.where(bounded, high - low, 1.0)
        unbounded = jnp.clip(jax.random.normal(key_normal, self.shape, jnp.float32), low, high)
        return jnp.where(bounded, scaled, unbounded).astype(self.dtype)

    def _sample_whole(self, key_uniform: Key, key_normal: Key) -> Array:
        dtype = jax.dtypes.canonicalize_dtype(self.dtype)
        low, high = _whole(self.low, dtype, up=True), _whole(self.high, dtype, up=False)
        if not _is_traced(low, high) and np.any(np.asarray(low) > np.asarray(high)):
            raise ValueError(f"there is no whole number between {self.low} and {self.high}")
        low, high = (jnp.broadcast_to(jnp.asarray(x), self.shape) for x in (low, high))
        bounded = jnp.asarray(_is_finite(self.low) & _is_finite(self.high))
        normal = jnp.round(jax.random.normal(key_normal, self.shape, jnp.float32))
        least = float(jnp.iinfo(dtype).min)
        unbounded = jnp.clip(jnp.maximum(normal, least).astype(dtype), low, high)
        return jnp.where(bounded, _uniform_whole(key_uniform, low, high), unbounded)

    def contains(self, x: Array) -> Bool[Array, ""]:
        """Whether `x` lies in the space."""
        return jnp.all(jnp.logical_and(x >= self.low, x <= self.high))

    def is_bounded(self) -> bool:
        """Whether it is of finite width on all sides; traced bounds are taken to be."""
        if _is_traced(self.low, self.high):
            return True
        width = np.asarray(self.high, np.float64) - np.asarray(self.low, np.float64)
        # Beyond, the width is infinite in the arithmetic of float32.
        return bool((width <= np.finfo(np.float32).max).all())


def _is_traced(*values: Any) -> bool:
    return any(isinstance(value, Tracer) for value in values)


def _in_short(bound: Any) -> str:
    """A bound as it is shown: one number where it is the same everywhere."""
    if _is_traced(bound):
        return "traced"
    values = np.asarray(bound)
    same = values.size > 0 and np.all(values == values.flat[0])
    return str(values.flat[0]) if same else np.array2string(values, separator=", ", threshold=8)


def _is_finite(bound: Any) -> Any:
    return (jnp if _is_traced(bound) else np).isfinite(bound)


def _whole(bound: Any, dtype: Any, *, up: bool) -> Any:
    """The nearest whole number within a bound, in an integer type; NumPy's if it is not traced."""
    info, traced = jnp.iinfo(dtype), _is_traced(bound)
    bound = bound if traced else np.asarray(bound)
    if not jnp.issubdtype(bound.dtype, jnp.inexact):
        bound = bound.astype(np.int32) if bound.dtype == jnp.bool_ else bound
        own = jnp.iinfo(bound.dtype)
        return bound.clip(max(own.min, info.min), min(own.max, info.max)).astype(dtype)
    library = jnp if traced else np
    bound = bound if traced else bound.astype(np.float64)
    bound = library.ceil(bound) if up else library.floor(bound)
    # As a float, the greatest number may be rounded to one more, which has no integer.
    inside = library.where((bound > info.min) & (bound < info.max), bound, 0).astype(dtype)
    outside = library.where(bound >= info.max, info.max, info.min).astype(dtype)
    return library.where((bound > info.min) & (bound < info.max), inside, outside)


def _uniform_whole(key: Key, low: Array, high: Array) -> Array:
    """Draws from low .. high, both included, whatever lies between."""
    dtype = low.dtype
    if jnp.iinfo(dtype).bits > 32:
        beyond = jnp.minimum(high, jnp.iinfo(dtype).max - 1) + 1
        return jax.random.randint(key, low.shape, low, beyond, dtype)
    wide = jnp.int32 if jnp.issubdtype(dtype, jnp.signedinteger) else jnp.uint32
    start, end = (jax.lax.bitcast_convert_type(x.astype(wide), jnp.uint32) for x in (low, high))
    count = end - start + 1  # 0 for all 2^32.
    bits = jax.random.bits(key, low.shape, jnp.uint32)
    # floor(bits count / 2^32), by halves of 16 bits.
    upper, lower = bits >> 16, bits & 0xFFFF
    most, least = count >> 16, count & 0xFFFF
    middle = upper * least + (lower * least >> 16)
    other = lower * most + (middle & 0xFFFF)
    offset = upper * most + (middle >> 16) + (other >> 16)
    number = start + jnp.where(count == 0, bits, offset)
    return jax.lax.bitcast_convert_type(number, wide).astype(dtype)


Space: TypeAlias = Discrete | MultiDiscrete | Box


class MaskedObservation(NamedTuple):
    """An observation with the mask of the allowed actions.

    Attributes:
        observation: what is seen; all that a network gets.
        action_mask: bool [K], whether each category of the action is allowed; of MultiDiscrete
            actions, the categories of all factors behind one another.
    """

    observation: Observation
    action_mask: Bool[Array, "*batch K"]


@dataclasses.dataclass(frozen=True)
class MaskedSpace:
    """Observations with the mask of the allowed actions beside them.

    Attributes:
        space: of what is seen.
        num_categories: K, the length of the mask.
    """

    space: "SpaceTree"
    num_categories: int

    def sample(self, key: Key) -> MaskedObservation:
        """Draws what is seen uniformly; every action is allowed."""
        return MaskedObservation(
            sample_element(self.space, key), jnp.ones(self.num_categories, bool)
        )

    def contains(self, x: MaskedObservation) -> Bool[Array, ""]:
        """Whether what is seen lies in its space."""
        return contains_element(self.space, x.observation)


SpaceTree: TypeAlias = Any
"""A space, or a pytree of them (dicts, tuples, NamedTuples, lists): of nested observations."""
ObservationSpace: TypeAlias = Any
"""A `SpaceTree`, or a `MaskedSpace` around one."""


def space_leaves(space: SpaceTree) -> list[tuple[str, Any]]:
    """The spaces of a pytree in its order, each with its path, such as "['arm'][0]".

    Args:
        space: one of ours, whose path is "", or a pytree of them.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(space)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves]


def is_nested(space: ObservationSpace) -> bool:
    """Whether a space is a pytree of spaces, and not one of them."""
    return not jax.tree_util.all_leaves([space])


def sample_element(space: ObservationSpace, key: Key) -> Observation:
    """Draws an element: each part as its own space does.

    Args:
        space: one of ours, a pytree of them, or a `MaskedSpace`.
        key: consumed.
    """
    leaves, structure = jax.tree.flatten(space)
    keys = jax.random.split(key, len(leaves)) if is_nested(space) else [key]
    return structure.unflatten([leaf.sample(k) for leaf, k in zip(leaves, keys, strict=True)])


def contains_element(space: ObservationSpace, x: Observation) -> Bool[Array, ""]:
    """Whether every part of `x` lies in its space.

    Raises:
        ValueError: `x` has other parts than the space.
    """
    parts = jax.tree.structure(space).flatten_up_to(x)
    inside = [leaf.contains(part) for leaf, part in zip(jax.tree.leaves(space), parts, strict=True)]
    return jnp.all(jnp.stack(inside))


def zero_element(space: ObservationSpace) -> Observation:
    """Zeros of the shapes and types of a space's elements; they need not lie in it."""
    shapes = jax.eval_shape(lambda key: sample_element(space, key), jax.random.key(0))
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

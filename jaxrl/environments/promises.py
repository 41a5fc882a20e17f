"""Checks of what an environment promises, before anything of it is compiled."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxrl.types import (
    Box,
    Discrete,
    Environment,
    MaskedObservation,
    MaskedSpace,
    MultiDiscrete,
    Space,
    SpaceTree,
    TimeStep,
    is_nested,
    space_leaves,
)

_SPACES = (Discrete, MultiDiscrete, Box)


def check_space(what: str, space: Any, name: str) -> None:
    """The kinds and the sizes of the observation space or the action space."""
    if what == "action":
        _check_one_space(what, space, name)
        return
    seen: Any = space.space if isinstance(space, MaskedSpace) else space
    parts = space_leaves(seen)
    if not parts:
        raise ValueError(f"the observation space of {name} is {seen!r}, which has no parts")
    for path, part in parts:
        _check_one_space(f"observation{path}", part, name)


def _check_one_space(what: str, space: Any, name: str) -> None:
    if not isinstance(space, _SPACES):
        raise ValueError(
            f"the {what} space of {name} is {kind(space)}, but it must be a Discrete, a "
            "MultiDiscrete or a Box of jaxrl.types, and observations may be a pytree of them"
        )
    if 0 in space.shape:
        raise ValueError(
            f"the {what} space of {name} has shape {space.shape}, which holds no number: give "
            "it at least one, such as a constant"
        )
    counts = () if isinstance(space, Box) else np.atleast_1d(space.num_categories)
    if any(count < 1 for count in counts):
        raise ValueError(f"the {what} space of {name} is {space}: it needs categories")


def check_limit(environment: Environment) -> None:
    """The time limit is a whole number from 1 on, where it is known."""
    limit = environment.max_episode_steps
    if limit is None or isinstance(limit, Tracer):
        return
    try:
        number = np.asarray(limit)
        is_right = number.shape == () and number.dtype.kind in "iuf"
        is_right = bool(is_right and np.isfinite(number) and number >= 1 and number % 1 == 0)
    except (TypeError, ValueError):
        is_right = False
    if not is_right:
        raise ValueError(
            f"max_episode_steps={limit!r} of {environment.name} must be a whole number, at least "
            "1, or None where no limit is known"
        )


def check_observation(observation: Any, what: str, environment: Environment) -> None:
    """An observation is of its space, masked where that is."""
    name, space = environment.name, environment.observation_space
    if isinstance(space, MaskedSpace) != isinstance(observation, MaskedObservation):
        raise ValueError(
            f"the {what} of {name} is {describe(observation)}, but its space is "
            f"{type(space).__name__}: a MaskedObservation and a MaskedSpace go together, as "
            "mask_actions makes them"
        )
    if isinstance(space, MaskedSpace):
        mask, wanted = observation.action_mask, (space.num_categories,)
        if jnp.shape(mask) != wanted or not _is_kind(mask, "b"):
            raise ValueError(f"the mask of {name} is {describe(mask)}, but it must be bool{wanted}")
        observation, space = observation.observation, space.space
    if not jax.tree.leaves(observation):
        raise ValueError(f"the {what} of {name} is missing: give what its space declares")
    if is_nested(space):
        _check_parts(observation, space, what, name)
    else:
        _check_part(observation, space, what, name)


def _check_parts(observation: Any, space: SpaceTree, what: str, name: str) -> None:
    """A nested observation has the parts of its space, and each is of its own."""
    try:
        parts = jax.tree.structure(space).flatten_up_to(observation)
    except (ValueError, TypeError):
        paths = ", ".join(path for path, _ in space_leaves(space))
        raise ValueError(
            f"the {what} of {name} is {describe(observation)}, but its space is nested otherwise: "
            f"{kind(space)} with {paths}"
        ) from None
    for part, (path, leaf) in zip(parts, space_leaves(space), strict=True):
        _check_part(part, leaf, f"{what} at {path}", name)


def _check_part(observation: Any, space: Space, what: str, name: str) -> None:
    if not _is_array(observation) or observation.shape != tuple(space.shape):
        raise ValueError(
            f"the {what} of {name} is {describe(observation)}, but its space has shape "
            f"{tuple(space.shape)}: one array of that shape is needed"
        )
    if not _is_kind(observation, _kind_of(space.dtype)):
        raise ValueError(
            f"the {what} of {name} is {describe(observation)}, but its space is of "
            f"{jnp.dtype(space.dtype).name}: declare dtype=jnp.{observation.dtype.name} in the "
            "space, or convert the observation"
        )


def check_time_step(time_step: Any, name: str) -> None:
    """The fields of a step beside its observation can become what they must be."""
    if not isinstance(time_step, TimeStep):
        raise ValueError(
            f"the step of {name} returns (state, {kind(time_step)}), but it must return "
            "(state, jaxrl.types.TimeStep(observation, reward, terminated, truncated, info))"
        )
    info: Any = time_step.info
    if not isinstance(info, dict):
        raise ValueError(f"the info of {name} is {kind(info)}, but it must be a dict")
    for field, kinds, wanted in (
        ("reward", "fib", "a real number"),
        ("terminated", "bi", "a bool"),
        ("truncated", "bi", "a bool"),
    ):
        value = getattr(time_step, field)
        if not _is_array(value) or value.shape != () or not _is_kind(value, kinds):
            raise ValueError(
                f"the {field} of {name} is {describe(value)}, but it must be {wanted} of shape ()"
            )


def expect_pair(value: Any, method: str, wanted: str, name: str) -> None:
    """A reset or a step returns two values."""
    if type(value) is not tuple or len(value) != 2:
        count = f"{len(value)} values" if type(value) is tuple else kind(value)
        raise ValueError(f"the {method} of {name} returns {count}, but it must return {wanted}")


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _is_kind(value: Any, kinds: str) -> bool:
    """Whether an array's type is among some kinds: b for bool, i for integers, f for floats."""
    dtype = value.dtype
    return (
        ("b" in kinds and jnp.issubdtype(dtype, jnp.bool_))
        or ("i" in kinds and jnp.issubdtype(dtype, jnp.integer))
        or ("f" in kinds and jnp.issubdtype(dtype, jnp.floating))
    )


def _kind_of(dtype: Any) -> str:
    if jnp.issubdtype(dtype, jnp.bool_):
        return "b"
    return "i" if jnp.issubdtype(dtype, jnp.integer) else "f"


def kind(value: Any) -> str:
    """What a value is, in a word or two."""
    if isinstance(value, str | int | float | None):
        return repr(value)
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def describe(value: Any) -> str:
    """The type and shape of every array, and what holds them where that is no array."""
    if _is_array(value):
        return f"{value.dtype}{list(value.shape)}"
    leaves, _ = jax.tree_util.tree_flatten_with_path(value)
    parts = [f"{jax.tree_util.keystr(path).lstrip('.')} {describe(x)}" for path, x in leaves]
    return f"{kind(value)} ({', '.join(parts)})" if parts else kind(value)

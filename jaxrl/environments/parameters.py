"""An environment's parameters: checked by name, shape and type, derived ones kept consistent."""

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def field_names(params: Any) -> list[str]:
    """The names of a parameter object's fields."""
    if not dataclasses.is_dataclass(params):
        return []
    return [field.name for field in dataclasses.fields(params)]


def replace_parameters(
    environment: Any,
    params: Any,
    changes: dict[str, Any],
    *,
    name: str,
    also_known: Sequence[str] = (),
) -> Any:
    """Returns `params` with some fields replaced, and those derived from them recomputed.

    Args:
        environment: the gymnax environment.
        params: its `EnvParams`.
        changes: new values by field name; they may be traced.
        name: of the environment, for messages.
        also_known: further names that the user could have meant.

    Raises:
        ValueError: for a field that does not exist, or a value of another shape or type.
    """
    if not changes:
        return params
    known = field_names(params)
    for field in changes:
        if field not in known:
            raise ValueError(_unknown_parameter(field, [*also_known, *known], name))
    converted = {
        field: _convert(field, value, getattr(params, field)) for field, value in changes.items()
    }
    return _recompute_derived(environment, dataclasses.replace(params, **converted), set(changes))


def _unknown_parameter(field: str, known: list[str], name: str) -> str:
    nearest = difflib.get_close_matches(field, known, n=1, cutoff=0.5)
    meant = f"; did you mean {nearest[0]}?" if nearest else ""
    there_are = f"it has {', '.join(known)}" if known else "it has none"
    return f"{name} has no parameter {field!r}{meant} ({there_are})"


def _convert(field: str, value: Any, default: Any) -> Any:
    """Gives a value the default's type, so that 9 and 9.0 mean the same to a float field."""
    if not isinstance(default, bool | int | float | np.ndarray | np.generic | jax.Array):
        return value
    expected = jnp.asarray(default)
    array = _as_array(field, value)
    if array.shape != expected.shape:
        raise ValueError(
            f"{field} has shape {array.shape}, expected {expected.shape}; "
            "for several values, make the environment inside a function and vmap that"
        )
    if isinstance(value, Tracer):
        return value.astype(expected.dtype)
    _check_value(field, np.asarray(value), expected.dtype)
    if expected.shape == ():
        # A plain number stays one, so that limits such as max_steps_in_episode stay static.
        return type(np.asarray(default).item())(np.asarray(value).item())
    return jnp.asarray(value, expected.dtype)


def _as_array(field: str, value: Any) -> Any:
    try:
        array = value if isinstance(value, jax.Array) else np.asarray(value)
    except (TypeError, ValueError):
        raise ValueError(f"{field}={value!r} is not a number") from None
    kinds = (jnp.bool_, jnp.integer, jnp.floating)
    if not any(jnp.issubdtype(array.dtype, kind) for kind in kinds):
        raise ValueError(f"{field}={value!r} is not a number")
    return array


def _check_value(field: str, value: "np.ndarray[Any, Any]", dtype: Any) -> None:
    if np.isnan(value).any():
        raise ValueError(f"{field}={value} is not a number")
    if jnp.issubdtype(dtype, jnp.bool_) and not np.isin(value, (0, 1)).all():
        raise ValueError(f"{field}={value} is not True or False")
    if jnp.issubdtype(dtype, jnp.integer):
        limits = jnp.iinfo(dtype)
        if (value != np.floor(value)).any():
            raise ValueError(f"{field}={value} is not a whole number")
        if (value < limits.min).any() or (value > limits.max).any():
            raise ValueError(f"{field}={value} must lie between {limits.min} and {limits.max}")
    if field == "max_steps_in_episode" and not (np.isfinite(value) & (value >= 1)).all():
        raise ValueError(f"{field}={value} must be a whole number, at least 1")


def _recompute_derived(environment: Any, params: Any, given: set[str]) -> Any:
    """Recomputes what gymnax stores beside the fields it follows from, unless it was given."""
    from gymnax.environments.classic_control.cartpole import CartPole

    if not isinstance(environment, CartPole):
        return params
    derived: dict[str, Any] = {
        "total_mass": params.masscart + params.masspole,
        "polemass_length": params.masspole * params.length,
    }
    follows_from = {"masscart", "masspole", "length"}
    if not follows_from & given:
        return params
    return dataclasses.replace(
        params, **{field: value for field, value in derived.items() if field not in given}
    )

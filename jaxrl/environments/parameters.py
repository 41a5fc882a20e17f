"""An environment's parameters: checked by name, shape and type, derived ones kept consistent."""

import dataclasses
import difflib
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxrl.settings import require_single_precision

_KINDS = (bool, int, float, str)
# Of gymnax's classic-control tasks: masses, lengths, times and limits, which divide or bound.
_POSITIVE = {
    *("masscart", "masspole", "total_mass", "length", "polemass_length", "tau"),
    *("theta_threshold_radians", "x_threshold", "max_speed", "max_torque", "dt", "m", "l"),
    *("link_length_1", "link_length_2", "link_mass_1", "link_mass_2", "link_moi"),
    *("max_vel_1", "max_vel_2"),
}


class Parameter(NamedTuple):
    """One parameter of an environment.

    Attributes:
        kind: bool, int, float or str; None: something else, such as an array, which can be given
            from Python only.
        default: its value where none is given; None stands for "none" in any kind.
    """

    kind: type | None
    default: Any

    @classmethod
    def with_default(cls, default: Any, annotation: Any = None) -> "Parameter":
        """A parameter of the annotation's kind or, where that says none, of its default's."""
        optional = get_origin(annotation) in (Union, types.UnionType)
        members = get_args(annotation) if optional else (annotation,)
        declared = [member for member in members if member is not type(None)]
        if len(declared) == 1 and declared[0] in _KINDS:
            return cls(declared[0], default)
        kind = next((kind for kind in _KINDS if isinstance(default, kind)), None)
        return cls(kind, default)


def signature_parameters(build: Callable[..., Any]) -> dict[str, Parameter]:
    """The named parameters of a function or class that makes an environment.

    Their kinds are those of the annotations or, without one, of the defaults.

    Args:
        build: what is called with them.

    Raises:
        ValueError: one of them has no default.
    """
    found: dict[str, Parameter] = {}
    hints = _hints_of(build)
    for name, parameter in inspect.signature(build).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if parameter.default is parameter.empty or parameter.kind is parameter.POSITIONAL_ONLY:
            raise ValueError(
                f"the parameter {name!r} of {getattr(build, '__name__', build)!s} needs a default "
                "and a name, so that the environment can be made without it"
            )
        found[name] = Parameter.with_default(parameter.default, hints.get(name))
    return found


def check_parameters(
    changes: Mapping[str, Any], known: Mapping[str, Parameter], *, name: str
) -> dict[str, Any]:
    """Gives values their parameter's kind, so that 9 and 9.0 mean the same to a float.

    Args:
        changes: values by name; numbers may be traced.
        known: the parameters that there are.
        name: of the environment, for messages.

    Raises:
        ValueError: a parameter is unknown, or its value is of another kind or shape.
    """
    for field in changes:
        if field not in known:
            raise ValueError(_unknown_parameter(field, list(known), name))
    return {field: _of_kind(field, value, known[field]) for field, value in changes.items()}


def _of_kind(field: str, value: Any, parameter: Parameter) -> Any:
    kind, default = parameter
    if kind is None or (value is None and default is None):
        return value
    if kind is str:
        if not isinstance(value, str):
            raise ValueError(f"{field}={value!r} is not a name in quotes")
        return value
    return _convert(field, value, kind())


def _hints_of(build: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function, or of a class's constructor."""
    function = build.__init__ if isinstance(build, type) else build
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        # What an annotation names may be known to type checkers only.
        return {}


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
    for field, value in converted.items():
        if field in _POSITIVE and not isinstance(value, Tracer) and not (value > 0):
            raise ValueError(f"{field}={value} must be greater than 0")
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
    elif jnp.issubdtype(dtype, jnp.floating):
        require_single_precision(field, value)
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

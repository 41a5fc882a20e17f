"""Settings: frozen pytree dataclasses whose floats trace and whose shapes do not.

A settings class is declared with `@settings`; each field is `number(...)` (a leaf: it can be traced
and vmapped) or `static(...)` (part of the program's shape). Limits are declared with the field and
checked by `validate`, which names the field, the value and what would be right.
"""

import collections.abc
import dataclasses
import math
import typing
from collections.abc import Sequence
from typing import Any, TypeVar, dataclass_transform

import jax
import numpy as np
from jax.core import Tracer

T = TypeVar("T")


def number(
    default: Any,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    open_minimum: bool = False,
    optional: bool = False,
) -> Any:
    """A float setting: a pytree leaf, finite unless its default is infinite.

    `optional` allows None, which switches the feature off.
    """
    limits = {"minimum": minimum, "maximum": maximum, "open_minimum": open_minimum}
    return dataclasses.field(
        default=default, metadata={"static": False, "optional": optional, **limits}
    )


def static(
    default: Any,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    choices: Sequence[Any] | None = None,
) -> Any:
    """A setting that changes a shape or the program: a count, size, flag, name or function.

    `choices` lists the allowed names; where the field also takes a function, any callable passes.
    """
    limits = {"minimum": minimum, "maximum": maximum, "open_minimum": False}
    return dataclasses.field(
        default=default, metadata={"static": True, "choices": choices, **limits}
    )


@dataclass_transform(frozen_default=True, field_specifiers=(number, static))
def settings(cls: type[T]) -> type[T]:
    """Makes a class a frozen, keyword-only dataclass and a pytree whose leaves are its numbers."""
    cls.__post_init__ = _to_single_precision  # pyright: ignore[reportAttributeAccessIssue]
    cls = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    # A float may be a tracer or a batch, and what is wrong gets `validate`'s message instead.
    typing.no_type_check(cls.__init__)
    fields: Any = dataclasses.fields(cls)  # pyright: ignore[reportArgumentType]
    return jax.tree_util.register_dataclass(
        cls,
        data_fields=[f.name for f in fields if not f.metadata["static"]],
        meta_fields=[f.name for f in fields if f.metadata["static"]],
    )


def _to_single_precision(config: Any) -> None:
    """Gives numbers of 64 bits, as `jax_enable_x64` makes them, the 32 of all that they meet."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        # JAX also builds one from placeholders, which have a type but no value.
        is_array = isinstance(value, jax.Array | np.ndarray | np.generic)
        if not field.metadata["static"] and is_array and value.dtype == np.float64:
            # A plain number takes the type of what it meets.
            single = float(value) if isinstance(value, float) else value.astype(np.float32)
            object.__setattr__(config, field.name, single)


def validate(config: Any) -> None:
    """Checks every field of a settings object against its declaration.

    Traced or batched values are not known yet and pass; a batch is checked whole.

    Raises:
        ValueError: naming the field, the value and what would be right.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.metadata["static"] and _is_traced(value):
            raise ValueError(
                f"{field.name} changes the program and cannot be traced: build one algorithm per "
                "value"
            )
        if isinstance(value, Tracer):
            continue
        if field.metadata["static"]:
            _validate_static(field, value)
        elif not (value is None and field.metadata["optional"]):
            _validate_number(field, value)


def require_scalars(config: Any) -> None:
    """Refuses a settings object that holds several values of a number: one algorithm takes one.

    Raises:
        ValueError: naming the field and how to use several values.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if not field.metadata["static"] and np.ndim(value) > 0:
            raise ValueError(
                f"{field.name} has shape {np.shape(value)}: for several values, vmap a function "
                "that builds the algorithm"
            )


def require_settings(config: Any, kind: type) -> None:
    """Refuses what is not one setting of an algorithm.

    Args:
        config: the settings; traced values pass.
        kind: the class that the algorithm takes.

    Raises:
        ValueError: another class, a wrong value, or several values of a number.
    """
    if not isinstance(config, kind):
        given = config.__name__ if isinstance(config, type) else type(config).__name__
        hint = ""
        if isinstance(config, type) and issubclass(config, kind):
            hint = f": use {given}()"
        elif isinstance(config, dict):
            hint = f": use {kind.__name__}(**settings)"
        elif given == "Environment":
            hint = ": the environment comes first, the settings after it"
        raise ValueError(f"settings of class {kind.__name__} are needed here, not {given}{hint}")
    validate(config)
    require_scalars(config)


def _is_traced(value: Any) -> bool:
    """Whether a value, or one in a tuple, is known only when the program runs."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value))


def _validate_number(field: "dataclasses.Field[Any]", value: Any) -> None:
    if isinstance(value, str | bytes | bool):
        # numpy would read the number in it, and the program would not.
        raise ValueError(f"{field.name}={value!r} is not a number")
    try:
        values = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{field.name}={value!r} is not a number") from None
    if np.isnan(values).any():
        raise ValueError(f"{field.name}={value} is not a number")
    if np.isinf(values).any() and field.default not in (math.inf, -math.inf):
        raise ValueError(f"{field.name}={value} must be finite")
    _check_limits(field, value, values)


def _validate_static(field: "dataclasses.Field[Any]", value: Any) -> None:
    choices = field.metadata["choices"]
    if choices is not None:
        takes_functions = "Callable" in str(field.type)
        is_choice = isinstance(value, collections.abc.Hashable) and value in choices
        if not is_choice and not (takes_functions and callable(value)):
            raise ValueError(f"{field.name}={value!r} is not one of {', '.join(map(str, choices))}")
    elif isinstance(field.default, bool):
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"{field.name}={value!r} is not True or False")
    elif isinstance(field.default, int):
        if not _is_whole(value):
            raise ValueError(f"{field.name}={value!r} is not a whole number{_hint(value)}")
        _check_limits(field, value, np.asarray(value))
    elif isinstance(field.default, tuple):
        if not isinstance(value, tuple) or not all(map(_is_whole, value)):
            raise ValueError(f"{field.name}={value!r} is not a tuple of whole numbers")
        _check_limits(field, value, np.asarray(value))
    elif isinstance(field.default, str) and not isinstance(value, str):
        raise ValueError(f"{field.name}={value!r} is not a name")


def _hint(value: Any) -> str:
    """How to write a whole number that is of another type."""
    if isinstance(value, bool) or np.ndim(value) != 0:
        return ""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return ""
    is_text = isinstance(value, str | bytes)
    return f" of type int: write {int(number)}" if number.is_integer() and not is_text else ""


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _check_limits(
    field: "dataclasses.Field[Any]", value: Any, values: "np.ndarray[Any, Any]"
) -> None:
    minimum, maximum = field.metadata["minimum"], field.metadata["maximum"]
    if field.metadata["open_minimum"] and (values <= minimum).any():
        raise ValueError(f"{field.name}={value} must be greater than {minimum:.15g}")
    if (values < minimum).any():
        raise ValueError(f"{field.name}={value} must be at least {minimum:.15g}")
    if (values > maximum).any():
        raise ValueError(f"{field.name}={value} must be at most {maximum:.15g}")


# Steps are counted in int32.
MAX_STEPS = 2**31 - 1


def check_budget(config: Any, batch_size: int, batch_name: str) -> None:
    """Checks that steps can be counted to the end of the iteration that reaches the budget.

    Raises:
        ValueError: they cannot; an iteration takes up to `batch_size` steps, called `batch_name`.
    """
    if config.total_steps + batch_size > MAX_STEPS:
        raise ValueError(
            f"total_steps={config.total_steps} and {batch_name} = {batch_size} are too "
            f"many: together they must stay at most {MAX_STEPS}"
        )

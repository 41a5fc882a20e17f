"""Checks of numbers that may be traced: those that have no value yet pass."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jax.core import Tracer

_NUMBERS = (bool, int, float, np.ndarray, np.generic)


# What is asked of a number, and how that is said after "must".
FINITE_AND_POSITIVE = (lambda x: (x > 0) & np.isfinite(x), "be a finite number above 0")
FINITE_AND_NOT_NEGATIVE = (lambda x: (x >= 0) & np.isfinite(x), "be a finite number, at least 0")


def concrete(value: Any) -> "np.ndarray[Any, Any] | None":
    """The value as an array of NumPy's; None where it is traced, or no number at all.

    Dataclasses that are pytrees are also built of what JAX puts in the place of numbers.
    """
    if isinstance(value, Tracer):
        return None
    if isinstance(value, _NUMBERS) or hasattr(value, "__jax_array__") or hasattr(value, "devices"):
        return np.asarray(value)
    if isinstance(value, list | tuple):
        leaves: list[Any] = [concrete(one) for one in value]
        return None if any(leaf is None for leaf in leaves) else np.asarray(leaves)
    return None


def is_exactly(value: Any, number: float) -> bool:
    """Whether a value is known before tracing, and is the number."""
    known = concrete(value)
    return known is not None and bool(np.all(known == number))


def plain_number(value: Any) -> Any:
    """One known number as Python's float, which takes no part in what types come of it."""
    known = concrete(value)
    return value if known is None or known.ndim else float(known)


def require(name: str, value: Any, holds: Callable[[Any], Any], should: str) -> None:
    """Refuses a value for which a condition does not hold; traced ones pass.

    Args:
        name: of the parameter.
        value: a number or an array.
        holds: (NumPy array) -> bool or an array of them, which must all be true.
        should: what would be right, after "must".

    Raises:
        ValueError: the value is nan, or the condition does not hold.
    """
    known = concrete(value)
    if known is not None and (np.isnan(known).any() or not np.all(holds(known))):
        raise ValueError(f"{name}={value} must {should}")


def require_number(
    name: str,
    value: Any,
    holds: Callable[[Any], Any] = np.isfinite,
    should: str = "be a finite number",
) -> None:
    """Refuses what is not one number for which a condition holds; a traced one passes.

    Args:
        name: of the parameter.
        value: the number.
        holds: (NumPy number) -> bool.
        should: what would be right, after "must".

    Raises:
        ValueError: the value is no number, or several, or nan, or the condition does not hold.
    """
    if isinstance(value, Tracer):
        return
    try:
        number = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}={value!r} is no number: it must {should}") from None
    if number.ndim:
        raise ValueError(
            f"{name} has shape {number.shape}: for several values, make the environment inside a "
            "function and vmap that"
        )
    require(name, value, holds, should)


def require_positive(name: str, value: Any) -> None:
    """Refuses what is not a finite number above 0."""
    require(name, value, *FINITE_AND_POSITIVE)


def require_not_negative(name: str, value: Any) -> None:
    """Refuses what is not a finite number of at least 0."""
    require(name, value, *FINITE_AND_NOT_NEGATIVE)


def require_finite(name: str, value: Any) -> None:
    """Refuses infinities and nan."""
    require(name, value, np.isfinite, "be a finite number")


def require_whole(name: str, value: Any, *, minimum: int) -> None:
    """Refuses what is not a whole number of at least `minimum`."""
    if isinstance(value, Tracer):
        raise ValueError(f"{name} changes the program and cannot be traced: give a number")
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < minimum:
        raise ValueError(f"{name}={value!r} must be a whole number, at least {minimum}")


def require_one_of(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuses what is not one of some names."""
    if value not in choices:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(map(repr, choices))}")

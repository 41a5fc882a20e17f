"""Finance as a suite: its names, their parameters, and how one is made."""

from collections.abc import Callable
from typing import Any

from jaxrl.environments.finance.liquidation import liquidation
from jaxrl.environments.parameters import Parameter, check_parameters, signature_parameters
from jaxrl.types import Environment

_BUILDERS: dict[str, Callable[..., Environment]] = {
    "liquidation": liquidation,
}


def names() -> list[str]:
    """The names of the environments, without the prefix."""
    return list(_BUILDERS)


def make(name: str, parameters: dict[str, Any]) -> Environment:
    """Makes one of the environments.

    Args:
        name: one of `names()`.
        parameters: of its function, by name.

    Raises:
        ValueError: a parameter is unknown, or its value is of another kind, or impossible.
    """
    known = parameters_of(name)
    return _BUILDERS[name](**check_parameters(parameters, known, name=f"finance/{name}"))


def parameters_of(name: str) -> dict[str, Parameter]:
    """The parameters of an environment's function.

    Args:
        name: one of `names()`.
    """
    return signature_parameters(_BUILDERS[name])

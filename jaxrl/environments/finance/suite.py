"""Finance as a suite: its names, their parameters, and how one is made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl.environments.finance.liquidation import liquidation
from jaxrl.environments.finance.market_making import market_making
from jaxrl.environments.finance.market_making_adversary import market_making_adversary
from jaxrl.environments.finance.portfolio import portfolio
from jaxrl.environments.parameters import Parameter, check_parameters, signature_parameters
from jaxrl.types import Environment

_BUILDERS: dict[str, Callable[..., Environment]] = {
    "liquidation": liquidation,
    "market-making": market_making,
    "market-making-adversary": market_making_adversary,
    "portfolio": portfolio,
}
# One number, or a path, that can be typed; from Python an array may take its place.
_OR_ARRAYS = {"prices", "correlation", "jump_mean", "jump_deviation"}
_TYPED = {"prices": Parameter(str, None)}


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
    may_be = _OR_ARRAYS & known.keys()
    arrays = {field: x for field, x in parameters.items() if field in may_be and np.ndim(x) > 0}
    others = {
        field: str(x) if isinstance(x, Path) else x
        for field, x in parameters.items()
        if field not in arrays
    }
    checked = check_parameters(others, known, name=f"finance/{name}")
    return _BUILDERS[name](**checked, **arrays)


def parameters_of(name: str) -> dict[str, Parameter]:
    """The parameters of an environment's function.

    Args:
        name: one of `names()`.
    """
    found = signature_parameters(_BUILDERS[name])
    return {field: _TYPED.get(field, parameter) for field, parameter in found.items()}

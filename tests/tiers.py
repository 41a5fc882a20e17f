"""The tiers of the tests: `make test` runs some cases of a matrix, `make test-full` the rest."""

from collections.abc import Iterable
from typing import Any

import pytest


def leading(cases: Iterable[Any], number: int = 1) -> list[Any]:
    """The cases as pytest's parameters, of which the first few run by default.

    Args:
        cases: values of one parameter, or tuples of the values of several.
        number: how many of them `make test` runs. The others are left to `make test-full`.
    """
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=() if place < number else pytest.mark.full,
        )
        for place, case in enumerate(cases)
    ]


def lengthy(names: Iterable[str], *short: str) -> list[Any]:
    """Names as pytest's parameters, of which all but some take minutes.

    Args:
        names: of all cases.
        short: those that stay in the tier of their test. The others are left to
            `make test-learning`.
    """
    return _marked(names, short, pytest.mark.learning)


def named(names: Iterable[str], *default: str) -> list[Any]:
    """Names as pytest's parameters, of which some run by default.

    Args:
        names: of all cases.
        default: those that `make test` runs. The others are left to `make test-full`.
    """
    return _marked(names, default, pytest.mark.full)


def _marked(names: Iterable[str], plain: Iterable[str], mark: pytest.MarkDecorator) -> list[Any]:
    names, plain = list(names), set(plain)
    missing = plain - set(names)
    if missing:
        raise ValueError(f"no such cases: {sorted(missing)}")
    return [pytest.param(x, marks=() if x in plain else mark) for x in names]

"""The tiers of the tests: `make test` runs some cases of a matrix, `make test-full` the rest."""

from collections.abc import Iterable, Mapping
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


def named(cases: Mapping[str, Any] | Iterable[str], *default: str) -> list[Any]:
    """The cases as pytest's parameters, of which those named in `default` run by default.

    Args:
        cases: names; or what each name stands for, where the name is to be the test's label.
        default: names of cases that `make test` runs. The others are left to `make test-full`.
    """
    values = cases if isinstance(cases, Mapping) else {name: name for name in cases}
    missing = set(default) - values.keys()
    if missing:
        raise ValueError(f"no such cases: {sorted(missing)}")
    return [
        pytest.param(value, id=name, marks=() if name in default else pytest.mark.full)
        for name, value in values.items()
    ]

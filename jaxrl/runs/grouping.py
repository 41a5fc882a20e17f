"""The members of a run side by side: the arrays of what differs, and groups that share settings."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxrl.runs.members import given_parameters, given_settings
from jaxrl.runs.specification import Specification

# Names of what differs, in rows and labels: a setting's own, and a parameter's as in `--env.NAME`.
SETTING_PREFIX = "settings."
PARAMETER_PREFIX = "env."


class Differences(NamedTuple):
    """The numbers in which members differ, each [members]; of one member, each ().

    Attributes:
        settings: by the name of the setting.
        environment_parameters: by the name of the parameter.
    """

    settings: dict[str, Any]
    environment_parameters: dict[str, Any]


class Group(NamedTuple):
    """Members that differ in nothing but their seeds.

    Attributes:
        label: what sets the group apart from the run's others; empty where it is the only one.
        members: their places in the run.
    """

    label: str
    members: tuple[int, ...]


def differences_of(specification: Specification) -> Differences:
    """Collects what members set for themselves, as float32 [members]."""
    members = specification.members
    settings: dict[str, Any] = {}
    for name in given_settings(members):
        shared = getattr(specification.settings, name)
        settings[name] = np.array(
            [member.settings.get(name, shared) for member in members], np.float32
        )
    parameters: dict[str, Any] = {}
    for name in given_parameters(members):
        shared = specification.environment_parameters.get(name)
        values = [member.environment_parameters.get(name, shared) for member in members]
        parameters[name] = np.array(values, np.float32)
    return Differences(settings, parameters)


def identities_of(specification: Specification) -> list[dict[str, Any]]:
    """Returns what names each member in a row: its place, its seed, and the values it sets."""
    columns = _columns(specification)
    return [
        {"member": index, "seed": member.seed}
        | {name: _shortest(column[index]) for name, column in columns.items()}
        for index, member in enumerate(specification.members)
    ]


def groups_of(specification: Specification) -> list[Group]:
    """Returns the members by what they differ in beside their seeds, in the order of the first."""
    columns = {
        name.removeprefix(SETTING_PREFIX): column
        for name, column in _columns(specification).items()
        if (column != column[0]).any()
    }
    found: dict[Any, list[int]] = {}
    for index in range(len(specification.members)):
        found.setdefault(tuple(column[index] for column in columns.values()), []).append(index)
    return [
        Group(_label(list(columns), values), tuple(members)) for values, members in found.items()
    ]


def is_identity(name: str) -> bool:
    """Whether a row's column names its member, and is no metric."""
    return name in ("member", "seed") or name.startswith((SETTING_PREFIX, PARAMETER_PREFIX))


def _columns(specification: Specification) -> dict[str, Float[np.ndarray, " members"]]:
    differences = differences_of(specification)
    settings, parameters = differences.settings, differences.environment_parameters
    return {f"{SETTING_PREFIX}{name}": values for name, values in settings.items()} | {
        f"{PARAMETER_PREFIX}{name}": values for name, values in parameters.items()
    }


def _label(names: Sequence[str], values: Sequence[Any]) -> str:
    pairs = zip(names, values, strict=True)
    return ", ".join(f"{name}={_shortest(value):.9g}" for name, value in pairs)


def _shortest(value: Any) -> float:
    """The shortest decimal that reads back to the same float32, not the double's 17 digits."""
    return float(str(value))

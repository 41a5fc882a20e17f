"""Members: the agents of a run, each with its seed and the floats that set it apart."""

import dataclasses
import difflib
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxrl.settings import require_single_precision, validate

LARGEST_SEED = 2**32 - 1
# Each is an object here, a row in a file and a line of config.json.
MOST_MEMBERS = 100_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """One agent of a run: a seed, and where it departs from what the run says.

    Attributes:
        seed: of all its random numbers.
        settings: numbers by name, in the place of the run's settings.
        environment_parameters: numbers by name, in the place of the run's.
    """

    seed: int = 0
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    environment_parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def make_members(
    seeds: Iterable[int] = (0,),
    *,
    settings: Mapping[str, Sequence[float]] | None = None,
    environment_parameters: Mapping[str, Sequence[float]] | None = None,
) -> tuple[Member, ...]:
    """Makes a member of every combination of values, with every seed.

    Args:
        seeds: of each combination.
        settings: the values of each setting that differs.
        environment_parameters: the values of each parameter that differs.

    Returns:
        The members; the seeds of one combination follow one another.

    Raises:
        ValueError: there would be more than a hundred thousand.

    Example:
        members = make_members(range(4), settings={"learning_rate": [1e-4, 1e-3]})
    """
    seeds = seeds if isinstance(seeds, range) else tuple(seeds)
    settings, parameters = settings or {}, environment_parameters or {}
    lists = [*settings.values(), *parameters.values()]
    _check_count(len(seeds) * math.prod(map(len, lists)))
    return tuple(
        Member(
            seed=seed,
            settings=dict(zip(settings, values, strict=False)),
            environment_parameters=dict(zip(parameters, values[len(settings) :], strict=True)),
        )
        for values in itertools.product(*lists)
        for seed in seeds
    )


def check_members(
    members: Sequence[Member], algorithm: str, settings: Any, parameters: Mapping[str, Any]
) -> tuple[Member, ...]:
    """Checks all that can be told without the environment, and makes the numbers plain.

    Args:
        members: of a run.
        algorithm: its name, for messages.
        settings: the run's settings object.
        parameters: the run's environment parameters.

    Returns:
        The same members, their numbers floats.

    Raises:
        ValueError: naming the member and the field: no seed, an unknown setting or one that is no
            float, a value that it cannot have, or two members that are the same.
    """
    _check_count(len(members))
    plain = tuple(_plain(index, member) for index, member in enumerate(members))
    legal: set[Any] = set()
    for index, member in enumerate(plain):
        given = tuple(sorted(member.settings.items()))
        if given and given not in legal:
            _check_settings(f"members[{index}].settings", algorithm, settings, member.settings)
            legal.add(given)
    shared = (
        {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)},
        parameters,
    )
    names = given_settings(plain), given_parameters(plain)
    _check_all_have(plain, names, shared)
    _check_distinct(plain, names, shared)
    return plain


def given_settings(members: Sequence[Member]) -> list[str]:
    """The settings that any member sets, in the order in which they come."""
    return list({name: None for member in members for name in member.settings})


def given_parameters(members: Sequence[Member]) -> list[str]:
    """The environment parameters that any member sets, in the order in which they come."""
    return list({name: None for member in members for name in member.environment_parameters})


def _check_count(count: int) -> None:
    if count == 0:
        raise ValueError("members is empty: a run has at least one")
    if count > MOST_MEMBERS:
        raise ValueError(f"{count:,} members are too many: a run has at most {MOST_MEMBERS:,}")


def _plain(index: int, member: Member) -> Member:
    """The member with its numbers as Python's own."""
    seed: Any = member.seed
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise ValueError(f"members[{index}]: seed={seed!r} is not a whole number")
    if seed < 0:
        raise ValueError(f"members[{index}]: seed={seed} must be at least 0")
    if seed > LARGEST_SEED:
        raise ValueError(f"members[{index}]: seed={seed} must stay at most {LARGEST_SEED}")
    if type(seed) is int and not member.settings and not member.environment_parameters:
        return member
    parameters = f"members[{index}].environment_parameters"
    return Member(
        seed=int(seed),
        settings=_numbers(f"members[{index}].settings", member.settings),
        environment_parameters=_numbers(parameters, member.environment_parameters, finite=True),
    )


def _numbers(where: str, values: Mapping[str, Any], *, finite: bool = False) -> dict[str, float]:
    return {name: _number(f"{where}: {name}", value, finite) for name, value in values.items()}


def _number(name: str, value: Any, finite: bool) -> float:
    try:
        number = math.nan if isinstance(value, bool | str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isnan(number):
        raise ValueError(f"{name}={value!r} is not a number: members differ in numbers only")
    if finite and math.isinf(number):
        raise ValueError(f"{name}={value} must be finite")
    require_single_precision(name, number)
    return number


def _check_settings(where: str, algorithm: str, settings: Any, given: Mapping[str, float]) -> None:
    fields = {field.name: field for field in dataclasses.fields(settings)}
    for name in given:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f": did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{where}: {algorithm} has no setting {name!r}{hint}")
        if fields[name].metadata["static"]:
            raise ValueError(
                f"{where}: {name} changes the program, which all members of a run share: "
                "set it for the run, or make one run per value"
            )
    try:
        validate(dataclasses.replace(settings, **given))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


_Names = tuple[list[str], list[str]]
_Shared = tuple[Mapping[str, Any], Mapping[str, Any]]


def _check_all_have(members: Sequence[Member], names: _Names, shared: _Shared) -> None:
    """A value that only some members set must have one for the others in the run."""
    fields = ("settings", "environment_parameters")
    for kind, known, values in zip(fields, names, shared, strict=True):
        for name in known:
            if values.get(name) is not None:
                continue
            for index, member in enumerate(members):
                if name not in getattr(member, kind):
                    raise ValueError(
                        f"members[{index}].{kind} lacks {name}, which other members set: "
                        "set it for every member, or for the run"
                    )


def _check_distinct(members: Sequence[Member], names: _Names, shared: _Shared) -> None:
    seen: dict[Any, int] = {}
    for index, member in enumerate(members):
        given = (member.settings, member.environment_parameters)
        values = [
            # As the program will see them.
            float(np.float32(own.get(name, values.get(name))))
            for own, known, values in zip(given, names, shared, strict=True)
            for name in known
        ]
        first = seen.setdefault((member.seed, *values), index)
        if first != index:
            raise ValueError(
                f"members[{index}] is the same as members[{first}]: seed={member.seed} with the "
                "same settings"
            )

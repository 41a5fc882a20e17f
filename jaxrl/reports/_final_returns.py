"""From run folders to the final return of each seed, by what was run and by task."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxrl import runs
from jaxrl.environments import canonical_name
from jaxrl.runs.rows import cut_episodes, mean_over_episodes


class FinalReturns(NamedTuple):
    """The returns that are compared.

    Attributes:
        returns: by side and task, one for each seed; every side has the same tasks.
        notes: what a reader has to know about them, each one sentence without its full stop.
    """

    returns: dict[str, dict[str, Float[np.ndarray, " _"]]]
    notes: tuple[str, ...]


class _Group(NamedTuple):
    """The members of one run that differ in nothing but their seeds.

    Attributes:
        folder: of the run.
        base: the name of the side as it was given, or the algorithm.
        task: the environment, with those of its parameters that the run sets.
        facts: the algorithm and all settings, by name, as text.
        total_steps: the budget, if the settings have one.
        seeds: [seeds].
        returns: mean over the episodes of the last evaluation, [seeds].
    """

    folder: Path
    base: str
    task: str
    facts: dict[str, str]
    total_steps: int | None
    seeds: list[int]
    returns: Float[np.ndarray, " _"]


def final_returns(folders: Sequence[Path], names: Sequence[str | None]) -> FinalReturns:
    """Reads the final return of every seed of several runs.

    A side is an algorithm, or a name where one is given. Where settings differ on one task, each
    combination of them is a side of its own, which is named after them.

    Args:
        folders: of runs.
        names: of the side that each belongs to; None: its algorithm.

    Raises:
        ValueError: naming the folder, side or task: not a run, no evaluations, a return that is no
            number, one seed only, a seed that comes twice, or a task that a side lacks.
    """
    groups: list[_Group] = []
    notes: list[str] = []
    for folder, name in zip(folders, names, strict=True):
        found, said = _read(folder, name)
        groups += found
        notes += said
    sides = [_side(group, _differing(group.base, groups)) for group in groups]
    returns = _by_side_and_task(sides, groups)
    _check_tasks(returns)
    for side, tasks in returns.items():
        for task, values in tasks.items():
            if values.size < 2:
                raise ValueError(
                    f"{side} has one seed on {task}: an interval over seeds needs at least two"
                )
    return FinalReturns(returns, (*notes, *_notes_on_steps(sides, groups)))


def _read(folder: Path, name: str | None) -> tuple[list[_Group], list[str]]:
    """The groups of one run, and what must be said about them."""
    specification = runs.read_specification(folder)
    returns, notes = _last_returns(folder, specification)
    groups: list[_Group] = []
    for group in runs.groups_of(specification):
        settings = vars(specification.settings_of(group.members[0]))
        parameters = specification.environment_parameters_of(group.members[0])
        facts = {"algorithm": specification.algorithm}
        groups.append(
            _Group(
                folder=folder,
                base=specification.algorithm if name is None else name,
                task=_label(canonical_name(specification.environment), _texts(parameters)),
                facts=facts | _texts(settings),
                total_steps=settings.get("total_steps"),
                seeds=[specification.members[member].seed for member in group.members],
                returns=returns[list(group.members)],
            )
        )
    return groups, notes


def _last_returns(
    folder: Path, specification: runs.Specification
) -> tuple[Float[np.ndarray, " members"], list[str]]:
    """Each member's mean return in its last evaluation, and what must be said about them."""
    if specification.evaluation_episodes == 0:
        raise ValueError(
            f"{folder} was trained with evaluation_episodes=0: it has no evaluations to compare"
        )
    rows = runs.read_evaluations(folder)
    members = np.arange(len(specification.members))
    if rows.steps.shape[0] != members.size or rows.steps.shape[1] == 0:
        raise ValueError(
            f"{folder} has evaluations of {rows.steps.shape[0]} of its {members.size} members: "
            f"let it finish first (jaxrl resume {folder})"
        )
    last = np.isfinite(rows.steps).sum(axis=1) - 1
    returns, lengths = rows.returns[members, last], rows.lengths[members, last]
    cut = cut_episodes(returns, lengths)
    means = mean_over_episodes(returns, cut)
    for member in np.flatnonzero(~np.isfinite(means)):
        seed = specification.members[int(member)].seed
        raise ValueError(
            f"{folder}: the final return of seed {seed} is no number: "
            + ("its episodes did not end" if cut[member].all() else "its rewards were not finite")
        )
    notes: list[str] = []
    budget = vars(specification.settings).get("total_steps")
    steps = int(rows.steps[members, last].min())
    if budget is not None and steps < budget:
        notes.append(f"{folder} was evaluated last after {steps:,} of {budget:,} steps")
    if cut.any():
        notes.append(f"{folder}: {cut.sum()} of {cut.size} episodes did not end and are left out")
    return means, notes


def _differing(base: str, groups: Sequence[_Group]) -> list[str]:
    """Names of the facts in which the groups of one base differ on one and the same task."""
    own = [group for group in groups if group.base == base]
    names = {name: None for group in own for name in group.facts}
    values: dict[tuple[str, str], set[str | None]] = {}
    for group in own:
        for name in names:
            values.setdefault((group.task, name), set()).add(group.facts.get(name))
    differing = {name for (_, name), found in values.items() if len(found) > 1}
    return [name for name in names if name in differing]


def _side(group: _Group, differing: Sequence[str]) -> str:
    return _label(
        group.base, {name: group.facts[name] for name in differing if name in group.facts}
    )


def _by_side_and_task(
    sides: Sequence[str], groups: Sequence[_Group]
) -> dict[str, dict[str, Float[np.ndarray, " _"]]]:
    """The returns, of which seeds that several folders hold make one array."""
    parts: dict[str, dict[str, list[Any]]] = {}
    owners: dict[tuple[str, str, int], Path] = {}
    for side, group in zip(sides, groups, strict=True):
        for seed in group.seeds:
            owner = owners.setdefault((side, group.task, seed), group.folder)
            if owner is not group.folder:
                raise ValueError(
                    f"{owner} and {group.folder} both have seed {seed} of {side} on {group.task}: "
                    "give each run once, and tell runs with the same settings apart by names "
                    "(NAME=RUN)"
                )
        parts.setdefault(side, {}).setdefault(group.task, []).append(group.returns)
    return {
        side: {task: np.concatenate(found) for task, found in tasks.items()}
        for side, tasks in parts.items()
    }


def _check_tasks(returns: Mapping[str, Mapping[str, Any]]) -> None:
    """Every side must have every task."""
    tasks = {task: side for side, found in returns.items() for task in found}
    for side, found in returns.items():
        for task, other in tasks.items():
            if task not in found:
                raise ValueError(
                    f"{side} has no run on {task}, which {other} has: all sides need the same "
                    "tasks (NAME=RUN puts a run on the side NAME)"
                )


def _notes_on_steps(sides: Sequence[str], groups: Sequence[_Group]) -> list[str]:
    """Where the sides of a task had different budgets."""
    budgets: dict[str, dict[str, int]] = {}
    for side, group in zip(sides, groups, strict=True):
        if group.total_steps is not None:
            budgets.setdefault(group.task, {})[side] = group.total_steps
    return [
        f"{task} was trained on for different numbers of steps: "
        + "; ".join(f"{side}: {steps:,}" for side, steps in found.items())
        for task, found in budgets.items()
        if len(set(found.values())) > 1
    ]


def _label(name: str, values: Mapping[str, str]) -> str:
    return ", ".join([name, *(f"{key}={value}" for key, value in values.items())])


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in sorted(values.items())}


def _text(value: Any) -> str:
    """A value as people write it; numbers as the program sees them, in float32."""
    if isinstance(value, float) and math.isfinite(value):
        return f"{float(str(np.float32(value))):.9g}"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)

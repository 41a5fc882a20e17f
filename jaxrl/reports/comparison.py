"""From run folders to a comparison: normalised scores, aggregates, probability of improvement."""

import itertools
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxrl.reports._final_returns import final_returns
from jaxrl.reports.intervals import Interval
from jaxrl.reports.scores import Aggregates, aggregate_scores, probability_of_improvement

# All of them are compared in pairs.
MOST_SIDES = 20
NORMALIZATIONS = ("none", "minmax")

References = Mapping[str, tuple[float, float]]


class Comparison(NamedTuple):
    """What several sides reached on the same tasks.

    Attributes:
        returns: by side and task, the final return of each seed.
        scores: the same, normalised.
        references: by task, the returns whose scores are 0 and 1; empty where nothing was
            normalised.
        aggregates: by side.
        improvement: by a side and one that comes after it, the probability that the first is
            better.
        notes: what a reader has to know, each one sentence without its full stop.
    """

    returns: dict[str, dict[str, Float[np.ndarray, " _"]]]
    scores: dict[str, dict[str, Float[np.ndarray, " _"]]]
    references: dict[str, tuple[float, float]]
    aggregates: dict[str, Aggregates]
    improvement: dict[tuple[str, str], Interval]
    notes: tuple[str, ...]


def compare_runs(
    folders: Sequence[str | Path],
    *,
    names: Sequence[str | None] | None = None,
    normalize: str | References = "minmax",
) -> Comparison:
    """Compares the final returns of runs over tasks and seeds.

    A side is an algorithm, or a name where one is given; where settings differ on one task, each
    combination is a side of its own. A task is an environment with the parameters that a run sets
    for it. A seed's return is the mean over the episodes of its last evaluation; its score is
    (return - lowest) / (target - lowest) with the references of its task.

    Args:
        folders: of one or more runs.
        names: of the side that each run belongs to; None: its algorithm.
        normalize: `none`; `minmax`, whose references are the lowest and the highest return of any
            seed on the task; or (lowest, target) by task or environment.

    Raises:
        ValueError: no run, too many sides, a wrong reference, or runs that cannot be compared:
            not a run, no evaluations, one seed only, a task that a side lacks.

    Example:
        comparison = compare_runs(["runs/ppo", "runs/dqn"], normalize={"CartPole-v1": (9.3, 500)})
        comparison.improvement["ppo", "dqn"].centre
    """
    if not folders:
        raise ValueError("no run folder was given: there is nothing to compare")
    names = [None] * len(folders) if names is None else names
    returns, notes = final_returns([Path(folder) for folder in folders], names)
    if len(returns) > MOST_SIDES:
        raise ValueError(
            f"{len(returns)} sides are too many to compare in pairs: at most {MOST_SIDES}"
        )
    references = _references(returns, normalize)
    scores = {side: _normalised(tasks, references) for side, tasks in returns.items()}
    return Comparison(
        returns=returns,
        scores=scores,
        references=references,
        aggregates={side: aggregate_scores(tasks) for side, tasks in scores.items()},
        improvement={
            (one, other): probability_of_improvement(scores[one], scores[other])
            for one, other in itertools.combinations(scores, 2)
        },
        notes=notes,
    )


def read_references(path: str | Path) -> dict[str, tuple[float, float]]:
    """Reads reference returns from a TOML file with lines such as `"CartPole-v1" = [9.3, 500]`.

    Args:
        path: of the file.

    Returns:
        The lowest return, whose score is 0, and the target, whose score is 1, by task.

    Raises:
        ValueError: the file cannot be read, or a line is not two numbers in ascending order.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path} is no TOML file: {error}") from None
    for task, value in table.items():
        _check_reference(f"{path}: {task}", value)
    return {task: (float(lowest), float(target)) for task, (lowest, target) in table.items()}


def _check_reference(where: str, value: Any) -> None:
    if isinstance(value, dict):
        raise ValueError(f"{where}: names with a dot stand in quotation marks")
    pair = list(value) if isinstance(value, list | tuple) else []
    numbers = [x for x in pair if isinstance(x, int | float) and not isinstance(x, bool)]
    if len(pair) != 2 or len(numbers) != 2 or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{where}={value!r} must be two numbers, the lowest return and the target")
    if not numbers[0] < numbers[1]:
        raise ValueError(f"{where}={value!r}: the target must be above the lowest return")


def _references(
    returns: Mapping[str, Mapping[str, Any]], normalize: str | References
) -> dict[str, tuple[float, float]]:
    """The references of every task; none where nothing is normalised."""
    tasks = next(iter(returns.values()))
    if not isinstance(normalize, str):
        return {task: _reference_of(task, normalize) for task in tasks}
    if normalize not in NORMALIZATIONS:
        raise ValueError(f"normalize={normalize!r} is not one of {', '.join(NORMALIZATIONS)}")
    references: dict[str, tuple[float, float]] = {}
    for task in tasks if normalize == "minmax" else ():
        found = np.concatenate([side[task] for side in returns.values()])
        lowest, highest = float(found.min()), float(found.max())
        if lowest == highest:
            raise ValueError(
                f"every seed's return on {task} is {lowest:g}, which minmax cannot scale: "
                "normalise by reference returns, or by none"
            )
        references[task] = (lowest, highest)
    return references


def _reference_of(task: str, references: References) -> tuple[float, float]:
    """The reference of a task, or of its environment whatever its parameters are."""
    environment = task.partition(", ")[0]
    for name in (task, environment):
        if name in references:
            _check_reference(f"normalize: {name}", references[name])
            lowest, target = references[name]
            return float(lowest), float(target)
    known = ", ".join(references) or "nothing"
    raise ValueError(f"there are no reference returns for {task}: they are given for {known}")


def _normalised(
    tasks: Mapping[str, Any], references: Mapping[str, tuple[float, float]]
) -> dict[str, Float[np.ndarray, " _"]]:
    scores: dict[str, Float[np.ndarray, " _"]] = {}
    for task, returns in tasks.items():
        lowest, target = references.get(task, (0.0, 1.0))
        scores[task] = (returns - lowest) / (target - lowest)
    return scores

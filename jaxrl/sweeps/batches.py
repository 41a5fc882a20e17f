"""The batches of an adaptive sampler: written down before they train, and told after."""

import dataclasses
import itertools
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxrl.runs import ExperimentError
from jaxrl.runs.folder import write_atomically, writing
from jaxrl.sweeps.results import collect, trial_rows
from jaxrl.sweeps.sampling import Trial, sample_trials
from jaxrl.sweeps.spaces import Choice, Range
from jaxrl.sweeps.specification import SWEEP, Sweep, to_json
from jaxrl.sweeps.studies import check_is_installed

if TYPE_CHECKING:
    # It needs Optuna, an extra.
    from jaxrl.sweeps.asking import Answer, Asked, OpenStudy

# Combinations of lists that are all tried out before a sweep begins.
_MOST_COMBINATIONS = 64


def open_study(sweep: Sweep, folder: Path) -> "OpenStudy":
    """Opens the study of a sweep with an adaptive sampler.

    Raises:
        ExperimentError: Optuna is not installed, or the study cannot be used.
    """
    assert sweep.study is not None
    try:
        check_is_installed(sweep.sampler)
    except ValueError as error:
        raise ExperimentError(str(error)) from error
    from jaxrl.sweeps.asking import OpenStudy

    return OpenStudy(sweep, sweep.study, folder)


def with_trials(sweep: Sweep, asked: Iterable["Asked"]) -> Sweep:
    """Returns the sweep with more trials of its study."""
    assert sweep.study is not None
    asked = list(asked)
    numbers = (*sweep.study.numbers, *(trial.number for trial in asked))
    return dataclasses.replace(
        sweep,
        trials=[*sweep.trials, *(trial.values for trial in asked)],
        study=dataclasses.replace(sweep.study, numbers=numbers),
    )


def write_trials_down(sweep: Sweep, folder: Path) -> None:
    """Replaces the trials in sweep.json, in one step; the rest of it stays."""
    path = folder / SWEEP
    with writing(folder):
        data = json.loads(path.read_text(encoding="utf-8"))
        own = to_json(sweep)
        data |= {name: own[name] for name in ("trials", "study")}
        write_atomically(path, json.dumps(data, indent=1) + "\n")


def answers(sweep: Sweep, folder: Path, trials: Sequence[int]) -> list["Answer"]:
    """Returns what the trials of a batch came to, for the study.

    Args:
        sweep: the search.
        folder: of it.
        trials: their places in the sweep; all have ended.
    """
    from jaxrl.sweeps.asking import Answer

    assert sweep.study is not None
    scores: dict[int, dict[int, float]] = {trial: {} for trial in trials}
    for result in collect(folder).values():
        for trial, score in zip(result.trials, result.scores(), strict=True):
            if trial in scores and math.isfinite(score):
                scores[trial][result.steps] = score
    rows = trial_rows(sweep, folder)
    return [
        Answer(
            number=sweep.study.numbers[trial],
            status=rows[trial]["status"],
            scores={} if rows[trial]["mean"] is None else scores[trial],
        )
        for trial in trials
    ]


def probes(sweep: Sweep) -> list[Trial]:
    """Returns trials that show beforehand what cannot be: the ends of ranges with every list.

    Of many lists, some of their combinations.
    """
    lists = {name: x.values for name, x in sweep.space.items() if isinstance(x, Choice)}
    ranges = {name: x for name, x in sweep.space.items() if isinstance(x, Range)}
    if math.prod(map(len, lists.values())) <= _MOST_COMBINATIONS:
        products = itertools.product(*lists.values())
        combinations = [dict(zip(lists, values, strict=True)) for values in products]
    else:
        own = {name: sweep.space[name] for name in lists}
        combinations = sample_trials(own, sampler="random", num_trials=_MOST_COMBINATIONS, seed=0)
    ends = [{name: x.at(0.0) for name, x in ranges.items()}]
    if ranges:
        # The whole of a range is its highest value.
        ends.append({name: x.at(1.0) for name, x in ranges.items()})
    found = [{**combination, **end} for combination in combinations for end in ends]
    return [{name: trial[name] for name in sweep.space} for trial in found]

"""Results of a sweep: one per block on the disk, and the table of trials made of them."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl import runs
from jaxrl.runs.divergence import diverged_members
from jaxrl.runs.folder import read_json, write_atomically, writing
from jaxrl.runs.rows import cut_episodes, mean_over_episodes
from jaxrl.sweeps.specification import Sweep

BLOCKS = "blocks"
TRIALS = "trials.jsonl"
VALIDATION = "validation"
_RESULT = "-result.json"
_LOSSES = ("policy_loss", "value_loss")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockResult:
    """The evaluations of a block at its end.

    Attributes:
        trials: their places in the sweep.
        rung: which part of the budget it was.
        steps: environment steps of each member, from the beginning.
        returns: mean return over the episodes of each seed, [trials][seeds]; None: there is none.
        diverged: for each trial, whether the run noted that one of its members diverged, or a loss
            of one was not finite in the end.
        reason: why the block failed; None: it did not.
    """

    trials: tuple[int, ...]
    rung: int
    steps: int
    returns: tuple[tuple[float | None, ...], ...]
    diverged: tuple[bool, ...]
    reason: str | None = None

    @classmethod
    def of_failure(cls, trials: Sequence[int], *, rung: int, reason: str) -> "BlockResult":
        """The result of trials that could not be trained."""
        return cls(
            trials=tuple(trials),
            rung=rung,
            steps=0,
            returns=((),) * len(trials),
            diverged=(False,) * len(trials),
            reason=reason,
        )

    def scores(self) -> list[float]:
        """Returns the mean over seeds of each trial; nan where a seed has none or it diverged."""
        return [
            math.nan if diverged or not own or None in own else float(np.mean(np.array(own, float)))
            for own, diverged in zip(self.returns, self.diverged, strict=True)
        ]


def result_of_run(folder: Path, trials: Sequence[int], num_seeds: int, *, rung: int) -> BlockResult:
    """Reads the last evaluation of a run whose members are the seeds of one trial after another.

    Args:
        folder: of the run, finished.
        trials: their places in the sweep.
        num_seeds: of each trial.
        rung: which part of the budget it was.
    """
    rows = runs.read_evaluations(folder)
    if rows.returns.shape[0] != len(trials) * num_seeds or not rows.returns.shape[1]:
        raise runs.ExperimentError(f"{folder}: its evaluations are not those of its members")
    cut = cut_episodes(rows.returns[:, -1], rows.lengths[:, -1])
    means = mean_over_episodes(rows.returns[:, -1], cut).reshape(len(trials), num_seeds)
    broken = diverged_members(folder, means.size) | _ended_without_loss(folder, means.size)
    broken = broken.reshape(means.shape)
    return BlockResult(
        trials=tuple(trials),
        rung=rung,
        steps=int(rows.steps[:, -1].max()),
        returns=tuple(
            tuple(float(value) if math.isfinite(value) else None for value in row) for row in means
        ),
        diverged=tuple(bool(row.any()) for row in broken),
    )


def _ended_without_loss(folder: Path, num_members: int) -> np.ndarray:
    """Which members had a loss that was not a finite number in their last row.

    A loss that nobody ever reported does not count.
    """
    broken = np.zeros(num_members, bool)
    metrics = runs.read_metrics(folder)
    if "steps" not in metrics:
        # A rung may end where the one before did: nothing was trained in it.
        return broken
    known = np.isfinite(metrics["steps"])
    # Where the cost of iterations varies, some members have fewer rows.
    last = np.maximum(known.sum(axis=1) - 1, 0)
    for name in _LOSSES:
        if name in metrics and np.isfinite(metrics[name]).any():
            broken |= known.any(axis=1) & ~np.isfinite(metrics[name][np.arange(num_members), last])
    return broken


def write_block(folder: Path, name: str, result: BlockResult) -> None:
    """Writes the result of a block, in one step."""
    with writing(folder):
        text = json.dumps(dataclasses.asdict(result), allow_nan=False)
        write_atomically(_result_path(folder, name), text + "\n")


def read_block(folder: Path, name: str) -> BlockResult | None:
    """Reads the result of a block; None if it has not ended.

    Raises:
        ExperimentError: the file is damaged.
    """
    path = _result_path(folder, name)
    if not path.exists():
        return None
    try:
        result = _block_from_json(read_json(path))
    except (OSError, TypeError, KeyError, ValueError, RecursionError):
        raise runs.ExperimentError(f"{path} cannot be used: it is damaged") from None
    return result


def _block_from_json(data: dict[str, Any]) -> BlockResult:
    """Rebuilds a result; raises TypeError, KeyError or ValueError where it is none."""
    result = BlockResult(
        trials=tuple(data["trials"]),
        rung=data["rung"],
        steps=data["steps"],
        returns=tuple(map(tuple, data["returns"])),
        diverged=tuple(data["diverged"]),
        reason=data["reason"],
    )
    wholes = (*result.trials, result.rung, result.steps)
    failed = isinstance(result.reason, str)
    returns = [value for own in result.returns for value in own]
    lengths = {len(own) for own in result.returns}
    is_right = (
        all(type(number) is int and number >= 0 for number in wholes)
        and 0 < len(result.trials) == len(set(result.trials))
        and len(result.trials) == len(result.returns) == len(result.diverged)
        and all(type(flag) is bool for flag in result.diverged)
        and all(value is None or type(value) in (int, float) for value in returns)
        and (failed or (result.reason is None and len(lengths) == 1 and 0 not in lengths))
    )
    if not is_right:
        raise ValueError("it is not as a sweep writes it")
    return result


def collect(folder: Path, *, rung: int | None = None) -> dict[str, BlockResult]:
    """Reads the results of all blocks that have ended, by their names, in order.

    Args:
        folder: of the sweep.
        rung: of this rung only; None: of all.
    """
    pattern = f"rung{'*' if rung is None else rung}-*{_RESULT}"
    names = sorted(path.name.removesuffix(_RESULT) for path in (folder / BLOCKS).glob(pattern))
    found = {name: read_block(folder, name) for name in names}
    return {name: result for name, result in found.items() if result is not None}


def trial_rows(sweep: Sweep, folder: Path) -> list[dict[str, Any]]:
    """Makes the table of a sweep: a row per trial, in the order of the trials.

    A row has the trial's number and values, its `status` (waiting, running, stopped, complete,
    diverged, failed), the steps of a seed, the rung and block that it came to, the mean return of
    each seed at the last evaluation, and their mean.

    Args:
        sweep: the search.
        folder: of it.
    """
    last = len(sweep.stops) - 1
    found: dict[int, dict[str, Any]] = {}
    for name, result in sorted(collect(folder).items(), key=lambda item: item[1].rung):
        if max(result.trials) >= len(sweep.trials) or result.rung > last:
            raise runs.ExperimentError(f"{folder / BLOCKS / name} is of another sweep")
        for place, (trial, score) in enumerate(zip(result.trials, result.scores(), strict=True)):
            status = "complete" if result.rung == last else "stopped"
            if result.diverged[place]:
                status = "diverged"
            found[trial] = {
                "status": "failed" if result.reason is not None else status,
                "steps": result.steps,
                "rung": result.rung,
                "block": name,
                "returns": list(result.returns[place]),
                "mean": score if math.isfinite(score) else None,
            }
    nothing = {
        "status": "waiting",
        "steps": 0,
        "rung": 0,
        "block": None,
        "returns": [],
        "mean": None,
    }
    return [
        {"trial": index, "values": dict(trial), **found.get(index, nothing)}
        for index, trial in enumerate(sweep.trials)
    ]


def sorted_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sorts the rows of trials: those that came furthest first, and of these the best."""
    order = best_first({row["trial"]: row["mean"] for row in rows})
    ranks = {trial: rank for rank, trial in enumerate(order)}
    return sorted(rows, key=lambda row: (row["mean"] is None, -row["rung"], ranks[row["trial"]]))


def best_first(scores: Mapping[int, float | None]) -> list[int]:
    """Sorts trials by their scores, the best first; those without one come last."""

    def key(trial: int) -> tuple[float, int]:
        score = scores[trial]
        missing = score is None or not math.isfinite(score)
        return (math.inf if missing else -float(score or 0.0), trial)

    return sorted(scores, key=key)


def _result_path(folder: Path, name: str) -> Path:
    parent = folder if name == VALIDATION else folder / BLOCKS
    return parent / f"{name}{_RESULT}"

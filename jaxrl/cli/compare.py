"""`jaxrl compare RUN...`."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jaxrl import reports
from jaxrl.cli.arguments import parse
from jaxrl.cli.errors import CommandError, checking_input
from jaxrl.cli.user_modules import import_modules_of
from jaxrl.reports.comparison import NORMALIZATIONS
from jaxrl.reports.comparison_picture import TITLES


@dataclasses.dataclass(frozen=True)
class CompareArguments:
    """The arguments of `compare`."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Folders of runs. NAME=FOLDER puts a run on the side NAME, whatever its settings are."""
    normalize: str = "minmax"
    """How returns become scores: minmax takes the lowest and the highest return of any seed on the
    task, in these runs, for 0 and 1; none leaves returns as they are; and a TOML file says it by
    environment, in lines such as "CartPole-v1" = [9.3, 500]: the lowest return and the target."""
    json: bool = False
    """Print nothing but JSON: by side the returns of its seeds on each task, iqm, median, mean and
    optimality_gap with their 95 % intervals; and the probability of improvement of each pair."""
    out: Path | None = None
    """Also draw the intervals and the performance profiles; the ending chooses the format: .png,
    .pdf or .svg."""


def run(arguments: list[str]) -> int:
    """Compares what runs reached, over tasks and seeds."""
    values = parse(
        CompareArguments,
        arguments,
        prog="jaxrl compare",
        description="Compare the final evaluations of runs over tasks and seeds: interquartile "
        "mean, median, mean and optimality gap of the normalised scores, and the probability that "
        "a run of one side is better than one of another, with 95 % intervals (Agarwal et al., "
        "2021). A side is an algorithm; where settings differ on one task, each combination is a "
        "side. A task is an environment with its parameters. All sides need the same tasks, and "
        "at least two seeds on each.",
    )
    if not values.runs:
        raise CommandError("no run folder was given (see jaxrl compare --help)")
    names, folders = zip(*map(_named, values.runs), strict=True)
    for folder in folders:
        import_modules_of(folder)
    with checking_input():
        comparison = reports.compare_runs(
            folders, names=names, normalize=_normalization(values.normalize)
        )
        if values.out is not None:
            reports.plot_comparison(comparison, values.out)
    if values.json:
        sys.stdout.write(json.dumps(_plain(comparison), allow_nan=False) + "\n")
        return 0
    console = Console()
    for table in _tables(comparison):
        console.print(table)
    for line in _lines(comparison, values):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0


def _named(word: str) -> tuple[str | None, Path]:
    """The name and the folder of one word; a folder may have an equals sign in its own name."""
    name, equals, folder = word.partition("=")
    if not equals or Path(word).exists():
        return None, Path(word)
    if not name or not folder:
        raise CommandError(f"{word}: expected a run's folder, or NAME=FOLDER")
    return name, Path(folder)


def _normalization(word: str) -> Any:
    if word in NORMALIZATIONS:
        return word
    if not Path(word).exists():
        choices = ", ".join(NORMALIZATIONS)
        raise CommandError(f"--normalize: {word!r} is neither {choices} nor a file that exists")
    return reports.read_references(word)


def _tables(comparison: reports.Comparison) -> list[Table]:
    """Returns by task, scores over all tasks, and who is better than whom."""
    tables = [_returns_table(comparison), _scores_table(comparison)]
    return tables + ([_improvement_table(comparison)] if comparison.improvement else [])


def _returns_table(comparison: reports.Comparison) -> Table:
    table = Table(title="final returns", title_justify="left")
    table.add_column("task")
    table.add_column("side")
    for column in ("seeds", "mean return", "95 % interval"):
        table.add_column(column, justify="right")
    sides = list(comparison.returns)
    for task in comparison.returns[sides[0]]:
        for side in sides:
            returns = comparison.returns[side][task]
            mean, low, high = reports.seed_interval(returns)
            cells = [str(returns.size), f"{mean:.2f}", f"{low:.2f} to {high:.2f}"]
            table.add_row(escape(task), escape(side), *cells, end_section=side == sides[-1])
    return table


def _scores_table(comparison: reports.Comparison) -> Table:
    tasks = len(next(iter(comparison.returns.values())))
    what = "normalised scores" if comparison.references else "returns"
    over = "1 task" if tasks == 1 else f"{tasks} tasks"
    table = Table(title=f"{what} over {over}", title_justify="left")
    for column in ("", "side"):
        table.add_column(column)
    for column in ("value", "95 % interval"):
        table.add_column(column, justify="right")
    last = list(comparison.aggregates)[-1]
    for name in _aggregate_names(comparison):
        for side, aggregates in comparison.aggregates.items():
            cells = _cells(getattr(aggregates, name))
            table.add_row(TITLES[name], escape(side), *cells, end_section=side == last)
    return table


def _improvement_table(comparison: reports.Comparison) -> Table:
    table = Table(
        title="probability that a run of the first is better than one of the second",
        title_justify="left",
    )
    for column in ("first", "second"):
        table.add_column(column)
    for column in ("probability", "95 % interval"):
        table.add_column(column, justify="right")
    for (first, second), interval in comparison.improvement.items():
        table.add_row(escape(first), escape(second), *_cells(interval))
    return table


def _lines(comparison: reports.Comparison, values: CompareArguments) -> list[str]:
    """What the tables do not say."""
    lines = [
        {
            "minmax": "score 0 is the lowest and 1 the highest return of any seed on the task, in "
            "these runs; --normalize FILE sets returns that stay the same",
            "none": "returns are not normalised: tasks with large returns count for more",
        }.get(values.normalize, f"scores 0 and 1 are the returns given in {values.normalize}"),
        "intervals: of means Student's t, of all else the bootstrap over seeds within each task, "
        "which is too narrow for few seeds",
    ]
    lines += [f"note: {note}" for note in comparison.notes]
    return lines if values.out is None else [*lines, f"picture: {values.out}"]


def _aggregate_names(comparison: reports.Comparison) -> list[str]:
    """All aggregates; without a target there is no gap to it."""
    return [name for name in TITLES if comparison.references or name != "optimality_gap"]


def _cells(interval: reports.Interval) -> tuple[str, str]:
    return f"{interval.centre:.3f}", f"{interval.low:.3f} to {interval.high:.3f}"


def _plain(comparison: reports.Comparison) -> dict[str, Any]:
    """The comparison as JSON; what there is not is null."""
    sides: list[dict[str, Any]] = [
        {"side": side}
        | {name: _plain_interval(getattr(aggregates, name)) for name in TITLES}
        | {"returns": {task: values.tolist() for task, values in comparison.returns[side].items()}}
        for side, aggregates in comparison.aggregates.items()
    ]
    if not comparison.references:
        for side in sides:
            side["optimality_gap"] = None
    return {
        "sides": sides,
        "improvement": [
            {"first": first, "second": second} | _plain_interval(interval)
            for (first, second), interval in comparison.improvement.items()
        ],
        "references": {task: list(pair) for task, pair in comparison.references.items()} or None,
        "notes": list(comparison.notes),
    }


def _plain_interval(interval: reports.Interval) -> dict[str, Any]:
    value, low, high = map(float, interval)
    return {"value": value, "ci95": [low, high]}

"""`jaxrl plot RUN... --out curve.png`."""

import dataclasses
import sys
from pathlib import Path
from typing import Literal

import tyro

from jaxrl import reports, runs, sweeps
from jaxrl.cli.arguments import parse
from jaxrl.cli.errors import CommandError, checking_input
from jaxrl.cli.user_modules import import_modules_of


@dataclasses.dataclass(frozen=True)
class PlotArguments:
    """The arguments of `plot`."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of one or more runs, or of one sweep."""
    out: Path = Path("curve.png")
    """The picture; its ending chooses the format: .png, .pdf or .svg."""
    statistic: Literal["mean", "iqm"] = "mean"
    """Over the agents that share their settings; iqm is the mean of the middle half."""
    metric: str = "episode_return"
    """A column of metrics.jsonl, or evaluation_return."""
    x: Literal["steps", "episodes"] = "steps"
    """What the horizontal axis counts."""
    lineage: bool = False
    """Of a run of pbt: the settings of its members over time, and who descends from whom."""
    member: int = 0
    """Which agent's population, with --lineage."""


def run(arguments: list[str]) -> int:
    """Draws the learning curves of runs in one figure."""
    values = parse(
        PlotArguments,
        arguments,
        prog="jaxrl plot",
        description="Draw the learning curves of runs in one figure: every agent faintly, and "
        "over the agents of each run that share their settings the mean with Student's 95 % "
        "interval, or the interquartile mean with its 95 % bootstrap interval. Of a sweep: "
        "the return against each of its settings, and their importance (fANOVA).",
    )
    if not values.runs:
        raise CommandError("no run folder was given (see jaxrl plot --help)")
    for folder in values.runs:
        import_modules_of(folder)
    kinds = [(folder / sweeps.SWEEP).is_file() for folder in values.runs]
    with checking_input():
        if any(kinds):
            _plot_sweep(values)
            return 0
        if values.lineage:
            _plot_lineage(values)
            return 0
        _require_defaults(values, ("member",), "needs --lineage")
        reports.plot_runs(
            values.runs,
            values.out,
            statistic=values.statistic,
            metric=values.metric,
            x=values.x,
        )
    sys.stdout.write(f"{values.out}\n")
    return 0


def _plot_sweep(values: PlotArguments) -> None:
    if len(values.runs) > 1:
        raise CommandError("a sweep has a figure of its own: give one sweep, or runs only")
    folder = next(iter(values.runs))
    others = ("statistic", "metric", "x", "lineage", "member")
    _require_defaults(values, others, f"is for runs, and {folder} is a sweep")
    reports.plot_sweep(folder, values.out)
    reason = sweeps.why_no_importance(sweeps.trial_rows(sweeps.read_sweep(folder), folder))
    if reason is not None:
        sys.stdout.write(f"no importance of settings: {reason}\n")
    sys.stdout.write(f"{values.out}\n")


def _plot_lineage(values: PlotArguments) -> None:
    if len(values.runs) > 1:
        raise CommandError("--lineage is of one run: give one folder")
    _require_defaults(values, ("statistic", "metric", "x"), "is for curves, not for --lineage")
    run = runs.load(next(iter(values.runs)))
    count = len(run.specification.members)
    if not 0 <= values.member < count:
        raise CommandError(f"--member {values.member}: the run has the agents 0 to {count - 1}")
    state = run.state_of(values.member)
    if not isinstance(state, sweeps.PopulationBasedState):
        raise CommandError(
            f"--lineage is of population-based training, and {run.folder} is a run of "
            f"{run.specification.algorithm}"
        )
    reports.plot_lineage(state, values.out)
    sys.stdout.write(f"{values.out}\n")


def _require_defaults(values: PlotArguments, names: tuple[str, ...], reason: str) -> None:
    for name in names:
        if getattr(values, name) != getattr(PlotArguments(()), name):
            raise CommandError(f"--{name} {reason}")

"""From run folders to curves."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from jaxrl import runs
from jaxrl.reports.curves import Curve, Panel, plot_curves, plot_panels, resample
from jaxrl.runs.rows import cut_episodes, mean_over_episodes

AXES = ("steps", "episodes")
LABELS = {
    "episode_return": "Episode return while training",
    "episode_length": "Episode length while training (steps)",
    "evaluation_return": "Evaluation return",
    "steps": "Environment steps per agent",
    "episodes": "Finished episodes per agent",
}


def plot_runs(
    folders: Sequence[str | Path],
    out: str | Path,
    *,
    statistic: str = "mean",
    metric: str = "episode_return",
    x: str = "steps",
) -> Path:
    """Draws the learning curves of run folders in one figure, with a panel per environment.

    Members that differ in nothing but their seeds make one curve.

    Args:
        folders: one or more run folders.
        out: the picture; its ending chooses the format (.png, .pdf, .svg).
        statistic: over seeds: `mean` or `iqm`.
        metric: a column of metrics.jsonl, or `evaluation_return`.
        x: `steps` or `episodes`.

    Returns:
        The path of the picture.

    Raises:
        ValueError: nothing to draw, or an unknown statistic, metric, axis or picture format.
    """
    if x not in AXES:
        raise ValueError(f"x={x!r} is not one of {', '.join(AXES)}")
    if not folders:
        raise ValueError("no run folder was given: there is nothing to plot")
    by_task: dict[str, list[Path]] = {}
    for folder in map(Path, folders):
        by_task.setdefault(runs.read_specification(folder).environment, []).append(folder)
    alone = len(by_task) == 1
    panels = [
        Panel(task, _task_curves(own, with_task=alone, metric=metric, x=x))
        for task, own in by_task.items()
    ]
    texts = {"x_label": LABELS[x], "y_label": LABELS.get(metric, metric)}
    if alone:
        return plot_curves(panels[0].curves, out, statistic=statistic, **texts)
    return plot_panels(panels, out, statistic=statistic, **texts)


def _task_curves(folders: Sequence[Path], *, with_task: bool, metric: str, x: str) -> list[Curve]:
    """The curves of runs in one environment."""
    return [
        curve
        for folder, label in zip(folders, _run_labels(folders, with_task=with_task), strict=True)
        for curve in _run_curves(folder, label, metric=metric, x=x)
    ]


def _run_labels(folders: Sequence[Path], *, with_task: bool) -> list[str]:
    """Algorithm and environment, or the folders' names where that would not tell runs apart."""
    specifications = [runs.read_specification(folder) for folder in folders]
    labels = [
        f"{run.algorithm}, {run.environment}" if with_task else run.algorithm
        for run in specifications
    ]
    if len(set(labels)) < len(labels):
        names = [folder.resolve().name for folder in folders]
        labels = names if len(set(names)) == len(names) else [str(folder) for folder in folders]
    return labels


def _run_curves(folder: Path, label: str, *, metric: str, x: str) -> Iterator[Curve]:
    """A curve for each group of members that differ in their seeds only."""
    horizontal, values = _table(folder, metric=metric, x=x)
    for group in runs.groups_of(runs.read_specification(folder)):
        # A run that was stopped early may have rows of its first members only.
        members = [member for member in group.members if member < len(values)]
        if members:
            name = ": ".join(filter(None, (label, group.label)))
            yield Curve(name, *resample(horizontal[members], values[members]))


def _table(folder: Path, *, metric: str, x: str) -> tuple[np.ndarray, np.ndarray]:
    """The horizontal axis and what is drawn over it, each [members, rows]."""
    if metric == "evaluation_return":
        if x != "steps":
            raise ValueError(f"metric={metric} is known by steps only: use x=steps")
        rows = runs.read_evaluations(folder)
        # Members that have not been evaluated as often are padded with nan, as are their steps.
        horizontal = np.asarray(rows.steps, dtype=float)
        values = mean_over_episodes(rows.returns, cut_episodes(rows.returns, rows.lengths))
    else:
        metrics = runs.read_metrics(folder)
        if not metrics:
            raise ValueError(f"{folder} has nothing to plot yet")
        for name in (metric, x):
            if name not in metrics:
                known = ", ".join(["evaluation_return", *sorted(metrics)])
                raise ValueError(f"{folder} has no metric {name!r}: it has {known}")
        horizontal = np.asarray(metrics[x], dtype=float)
        # Rows count the episodes that finished within them.
        horizontal = np.cumsum(horizontal, axis=1) if x == "episodes" else horizontal
        values = np.asarray(metrics[metric], dtype=float)
    if values.size == 0:
        raise ValueError(f"{folder} has nothing to plot yet")
    return horizontal, values

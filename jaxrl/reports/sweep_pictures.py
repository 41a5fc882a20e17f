"""Pictures of a sweep: the return against every setting, their importance, the best curves."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl import runs, sweeps
from jaxrl.reports._pictures import picture_path, save_picture
from jaxrl.reports.curves import COLOURS, STYLE, resample
from jaxrl.reports.intervals import seed_interval

_COLUMNS = 3
_CURVES = 5
_STATUS_COLOURS = {"complete": COLOURS[0], "stopped": "#999999", "diverged": COLOURS[1]}


def plot_sweep(folder: str | Path, out: str | Path) -> Path:
    """Draws a sweep: a panel per setting, the two that matter most, importances, the best curves.

    Every point is a trial's mean return over its seeds at its last evaluation; the best trial is a
    star, and the return that fresh seeds gave it, if there is one, a line with its 95 % interval.
    Of two settings, those are taken whose ranks go most with the return's. The importance of the
    settings is left out where `sweeps.why_no_importance` has a reason.

    Args:
        folder: of the sweep, running or ended.
        out: the picture; its ending chooses the format (.png, .pdf, .svg).

    Returns:
        The path of the picture.

    Raises:
        ValueError: no trial has a return yet, or an unknown picture format.
    """
    import matplotlib
    from matplotlib.figure import Figure

    folder = Path(folder)
    sweep = sweeps.read_sweep(folder)
    found = sweeps.sorted_rows(sweeps.trial_rows(sweep, folder))
    rows = [row for row in found if row["mean"] is not None]
    if not rows:
        raise ValueError(f"{folder} has no trial with a return yet: there is nothing to plot")
    numeric = [name for name in sweep.space if _is_numeric([row["values"][name] for row in rows])]
    pair = _most_telling(rows, numeric)
    importance = {}
    if sweeps.why_no_importance(rows) is None:
        importance = sweeps.importance_of_settings(sweep, rows)
    panels = len(sweep.space) + (pair is not None) + bool(importance) + 1
    lines = math.ceil(panels / _COLUMNS)
    columns = min(panels, _COLUMNS)
    figure = Figure(figsize=(4.4 * columns, 3.4 * lines), layout="constrained")
    out = picture_path(out, figure)
    with matplotlib.rc_context(STYLE):
        axes = iter(figure.subplots(lines, columns, squeeze=False).flat)
        validated = sweeps.read_block(folder, sweeps.VALIDATION)
        for name, values in sweep.space.items():
            _draw_setting(next(axes), name, values, rows, validated)
        if pair is not None:
            _draw_pair(figure, next(axes), sweep, pair, rows)
        if importance:
            _draw_importance(next(axes), importance)
        _draw_curves(next(axes), folder, sweep, rows)
        for unused in axes:
            unused.set_axis_off()
        title = f"{sweep.base.algorithm} on {sweep.base.environment}: {len(rows)} trials"
        figure.suptitle(f"{title} x {len(sweep.seeds)} seeds", fontsize=12)
        return save_picture(figure, out)


def _draw_setting(
    axes: Any,
    name: str,
    values: sweeps.Distribution,
    rows: list[dict[str, Any]],
    validated: sweeps.BlockResult | None,
) -> None:
    """The return of every trial against one of its values."""
    x = _positions(axes, values, [row["values"][name] for row in rows])
    means = [row["mean"] for row in rows]
    colours = [_STATUS_COLOURS[row["status"]] for row in rows]
    axes.scatter(x, means, c=colours, s=22, alpha=0.8, linewidths=0)
    axes.scatter(x[:1], means[:1], marker="*", s=170, c=COLOURS[4], edgecolors="black", zorder=4)
    if validated is not None and None not in validated.returns[0]:
        interval = seed_interval(np.array(validated.returns[0], float))
        axes.axhline(float(interval.centre), color=COLOURS[2], linewidth=1.4)
        axes.axhspan(
            float(interval.low), float(interval.high), color=COLOURS[2], alpha=0.15, linewidth=0
        )
    axes.set_xlabel(name)
    axes.set_ylabel("Mean return")


def _draw_pair(
    figure: Any, axes: Any, sweep: sweeps.Sweep, pair: tuple[str, str], rows: list[dict[str, Any]]
) -> None:
    """The return as the colour of every trial in the plane of two settings."""
    (first, second), means = pair, [row["mean"] for row in rows]
    x = _positions(axes, sweep.space[first], [row["values"][first] for row in rows])
    y = [row["values"][second] for row in rows]
    if _is_logarithmic(sweep.space[second]):
        axes.set_yscale("log")
    points = axes.scatter(x, y, c=means, cmap="viridis", s=34)
    axes.scatter(x[:1], y[:1], marker="*", s=170, facecolors="none", edgecolors=COLOURS[1])
    figure.colorbar(points, ax=axes, label="Mean return")
    axes.set_xlabel(first)
    axes.set_ylabel(second)


def _draw_importance(axes: Any, importance: dict[str, float]) -> None:
    """The share of the variance that each setting explains on its own, as bars."""
    places = range(len(importance))
    axes.barh(places, list(importance.values()), color=COLOURS[0])
    axes.set_yticks(places, list(importance))
    axes.invert_yaxis()
    axes.set_xlim(0.0, 1.0)
    axes.set_xlabel("Importance (fANOVA: share of the variance)")


def _draw_curves(axes: Any, folder: Path, sweep: sweeps.Sweep, rows: list[dict[str, Any]]) -> None:
    """The learning curves of the best trials, each the mean over its seeds."""
    count = len(sweep.seeds)
    for place, row in enumerate(rows[:_CURVES]):
        steps, returns = _learning_curve(folder, row, count)
        if len(steps):
            colour = COLOURS[place % len(COLOURS)]
            axes.plot(steps, returns, color=colour, linewidth=1.6, label=f"trial {row['trial']}")
    axes.set_xlabel("Environment steps per agent")
    axes.set_ylabel("Episode return while training")
    if axes.get_lines():
        axes.legend(fontsize=9)


def _learning_curve(folder: Path, row: dict[str, Any], count: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean return over the seeds of a trial, over all the blocks that it was in."""
    steps: list[np.ndarray] = []
    returns: list[np.ndarray] = []
    for name, result in sweeps.collect(folder).items():
        if row["trial"] not in result.trials or result.reason is not None:
            continue
        metrics = runs.read_metrics(folder / sweeps.BLOCKS / name)
        first = result.trials.index(row["trial"]) * count
        members = slice(first, first + count)
        if "episode_return" in metrics:
            x, values = resample(metrics["steps"][members], metrics["episode_return"][members])
            known = np.isfinite(values).all(axis=0)
            steps.append(x[known])
            returns.append(values[:, known].mean(axis=0))
    if not steps:
        return np.zeros(0), np.zeros(0)
    return np.concatenate(steps), np.concatenate(returns)


def _positions(axes: Any, values: sweeps.Distribution, given: list[Any]) -> list[float]:
    """Where values stand on the horizontal axis: names and flags side by side."""
    if _is_numeric(given):
        if _is_logarithmic(values):
            axes.set_xscale("log")
        return given
    assert isinstance(values, sweeps.Choice)
    names = [str(value) for value in values.values]
    axes.set_xticks(range(len(names)), names)
    return [float(names.index(str(value))) for value in given]


def _is_numeric(values: list[Any]) -> bool:
    return all(isinstance(x, int | float) and not isinstance(x, bool) for x in values)


def _is_logarithmic(values: sweeps.Distribution) -> bool:
    if isinstance(values, sweeps.Range):
        return values.log
    positive = [x for x in values.values if isinstance(x, int | float) and x > 0]
    return len(positive) == len(values.values) > 2 and max(positive) >= 30 * min(positive)


def _most_telling(rows: list[dict[str, Any]], names: list[str]) -> tuple[str, str] | None:
    """The two numeric settings whose ranks are most correlated with the return's."""
    from scipy import stats

    varying = [name for name in names if len({row["values"][name] for row in rows}) > 1]
    if len(varying) < 2 or len(rows) < 3:
        return None
    means = [row["mean"] for row in rows]
    if len(set(means)) == 1:
        return varying[0], varying[1]
    strength: dict[str, float] = {}
    for name in varying:
        correlation: Any = stats.spearmanr([row["values"][name] for row in rows], means)
        strength[name] = abs(float(correlation.statistic))
    first, second = sorted(varying, key=lambda name: -strength[name])[:2]
    return first, second

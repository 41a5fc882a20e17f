"""Draws a comparison: the aggregates with their intervals, and the performance profiles."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxrl.reports._pictures import picture_path, save_picture
from jaxrl.reports.comparison import Comparison
from jaxrl.reports.curves import COLOURS, LINE_STYLES, STYLE
from jaxrl.reports.scores import performance_profile

TITLES = {
    "iqm": "Interquartile mean",
    "median": "Median",
    "mean": "Mean",
    "optimality_gap": "Optimality gap (less is better)",
}
NUM_THRESHOLDS = 201


def plot_comparison(comparison: Comparison, out: str | Path) -> Path:
    """Draws each side's aggregates with their 95 % intervals, and its performance profile.

    Args:
        comparison: of runs. Where its returns are not normalised there is no optimality gap.
        out: the picture; its ending chooses the format (.png, .pdf, .svg).

    Returns:
        The path of the picture.

    Raises:
        ValueError: an unknown picture format, or the file cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    sides = list(comparison.scores)
    titles = {
        name: title
        for name, title in TITLES.items()
        if comparison.references or name != "optimality_gap"
    }
    figure = Figure(figsize=(10.0, 5.0 + 0.32 * len(sides)), layout="constrained")
    out = picture_path(out, figure)
    with matplotlib.rc_context(STYLE):
        parts: Any = figure.subfigures(2, 1, height_ratios=[1.0 + 0.32 * len(sides), 4.0])
        above, below = parts
        panels = above.subplots(1, len(titles), sharey=True, squeeze=False)[0]
        for axes, (name, title) in zip(panels, titles.items(), strict=True):
            intervals = [getattr(comparison.aggregates[side], name) for side in sides]
            _draw_intervals(axes, intervals, title)
        panels[0].set_yticks(range(len(sides)), sides)
        panels[0].set_ylim(len(sides) - 0.5, -0.5)
        _draw_profiles(below.subplots(), comparison)
        return save_picture(figure, out)


def _draw_intervals(axes: Any, intervals: Any, title: str) -> None:
    for place, interval in enumerate(intervals):
        colour = COLOURS[place % len(COLOURS)]
        width = interval.high - interval.low
        axes.barh(place, width, left=interval.low, height=0.5, color=colour, alpha=0.35)
        axes.vlines(interval.centre, place - 0.25, place + 0.25, color=colour, linewidth=2.2)
    axes.set_title(title, loc="left")
    axes.grid(visible=False, axis="y")
    # A bar would have its foot at the axes' edge.
    axes.use_sticky_edges = False
    axes.margins(x=0.08)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4)


def _draw_profiles(axes: Any, comparison: Comparison) -> None:
    scores = np.concatenate([x for tasks in comparison.scores.values() for x in tasks.values()])
    ends = [*scores, 0.0, 1.0] if comparison.references else scores
    thresholds = np.linspace(np.min(ends), np.max(ends), NUM_THRESHOLDS)
    for place, (side, tasks) in enumerate(comparison.scores.items()):
        profile = performance_profile(tasks, thresholds)
        colour = COLOURS[place % len(COLOURS)]
        band = {"color": colour, "alpha": 0.22, "linewidth": 0, "step": "post"}
        axes.fill_between(thresholds, profile.low, profile.high, **band)
        axes.step(
            thresholds,
            profile.centre,
            where="post",
            color=colour,
            linestyle=LINE_STYLES[place // len(COLOURS) % len(LINE_STYLES)],
            linewidth=1.8,
            label=side,
        )
    axes.set_xlabel("Normalised score τ" if comparison.references else "Return τ")
    axes.set_ylabel("Share of runs with score > τ")
    axes.set_ylim(-0.03, 1.03)
    axes.margins(x=0.01)
    if len(comparison.scores) > 1:
        # Below the axes, where no profile can pass behind it; long names get a line each.
        short = max(map(len, comparison.scores)) <= 30
        axes.figure.legend(loc="outside lower center", ncols=4 if short else 1)
    seeds = sorted({len(x) for tasks in comparison.scores.values() for x in tasks.values()})
    tasks = next(iter(comparison.scores.values()))
    axes.set_title(_note(len(tasks), seeds), loc="left")


def _note(num_tasks: int, seeds: list[int]) -> str:
    counted = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    tasks = "1 task" if num_tasks == 1 else f"{num_tasks} tasks"
    return f"Performance profiles and 95 % intervals over {tasks} with {counted} seeds"

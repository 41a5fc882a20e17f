"""Draws curves, each the statistic of several seeds with its confidence band."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxrl.reports._pictures import picture_path, save_picture
from jaxrl.reports.intervals import seed_interval

# Okabe and Ito's palette, which readers with any common colour blindness can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Beyond the palette's length, the line style tells curves apart.
LINE_STYLES = ("-", "--", ":", "-.")
STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E0E0E0",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
}


class Curve(NamedTuple):
    """The values of several seeds that are drawn as one line.

    Attributes:
        label: its name in the legend.
        x: [rows], ascending.
        values: [seeds, rows]; nan where a seed has nothing to show yet.
    """

    label: str
    x: Float[np.ndarray, " rows"]
    values: Float[np.ndarray, "seeds rows"]


class Panel(NamedTuple):
    """Curves that share their axes.

    Attributes:
        title: above the axes; may be empty.
        curves: at least one.
    """

    title: str
    curves: Sequence[Curve]


def plot_curves(
    curves: Sequence[Curve],
    out: str | Path,
    *,
    statistic: str = "mean",
    x_label: str = "",
    y_label: str = "",
    title: str | None = None,
) -> Path:
    """Draws each curve's statistic over seeds with its 95 % band, and every seed faintly.

    Args:
        curves: at least one.
        out: the picture; its ending chooses the format (.png, .pdf, .svg).
        statistic: over seeds: `mean` or `iqm`.
        x_label: of the horizontal axis.
        y_label: of the vertical axis.
        title: above the axes; None names the one curve, or nothing beside a legend.

    Returns:
        The path of the picture.

    Raises:
        ValueError: an unknown statistic or picture format, or a curve without a finite value.
    """
    heading = title if title is not None else (curves[0].label if len(curves) == 1 else "")
    panels = [Panel(heading, curves)]
    return plot_panels(panels, out, statistic=statistic, x_label=x_label, y_label=y_label)


def plot_panels(
    panels: Sequence[Panel],
    out: str | Path,
    *,
    statistic: str = "mean",
    x_label: str = "",
    y_label: str = "",
) -> Path:
    """Draws several sets of curves side by side; curves of one label have one colour in all.

    What the picture shows is in the file as text too, as its description.

    Args:
        panels: at least one.
        out: the picture; its ending chooses the format (.png, .pdf, .svg).
        statistic: over seeds: `mean` or `iqm`.
        x_label: of the horizontal axes.
        y_label: of the vertical axes.

    Returns:
        The path of the picture.

    Raises:
        ValueError: an unknown statistic or picture format, or a curve without a finite value.
    """
    import matplotlib
    from matplotlib.figure import Figure

    columns = min(len(panels), 1 if len(panels) == 1 else 2 if len(panels) in (2, 4) else 3)
    lines = -(-len(panels) // columns)
    size = (7.0, 4.2) if len(panels) == 1 else (4.8 * columns, 3.6 * lines)
    figure = Figure(figsize=size, layout="constrained")
    out = picture_path(out, figure)
    labels = list(dict.fromkeys(curve.label for panel in panels for curve in panel.curves))
    described: list[str] = []
    with matplotlib.rc_context(STYLE):
        axes = iter(figure.subplots(lines, columns, squeeze=False).flat)
        for panel, own in zip(panels, axes, strict=False):
            for place, curve in enumerate(panel.curves):
                position = place if len(panels) == 1 else labels.index(curve.label)
                described.append(_draw_curve(own, curve, position, statistic=statistic))
            note = _note(panel.curves, statistic)
            own.set_title(f"{panel.title}\n{note}" if panel.title else note, loc="left")
            _dress(own, x_label=x_label, y_label=y_label)
        for unused in axes:
            unused.set_axis_off()
        if len(labels) > 1 or max(len(panel.curves) for panel in panels) > 1:
            _add_legend(figure)
        return save_picture(figure, out, description="; ".join(described))


def _draw_curve(axes: Any, curve: Curve, position: int, *, statistic: str) -> str:
    """Draws a curve and says where it ends."""
    colour = COLOURS[position % len(COLOURS)]
    style = LINE_STYLES[position // len(COLOURS) % len(LINE_STYLES)]
    shown = np.isfinite(curve.values).all(axis=0)
    if not shown.any():
        raise ValueError(f"{curve.label}: no row in which every seed has a value to plot")
    x, values = curve.x[shown], curve.values[:, shown]
    interval = seed_interval(values, statistic=statistic)
    if len(values) > 1:
        for seed in values:
            axes.plot(x, seed, color=colour, linewidth=0.6, alpha=0.25, zorder=1)
        axes.fill_between(
            x, interval.low, interval.high, color=colour, alpha=0.22, linewidth=0, zorder=2
        )
    marker = "o" if len(x) == 1 else None
    if marker and len(values) > 1:
        # A band of no width cannot be seen.
        axes.vlines(x, interval.low, interval.high, color=colour, linewidth=1.8, alpha=0.6)
    axes.plot(
        x,
        interval.centre,
        color=colour,
        linestyle=style,
        linewidth=1.8,
        marker=marker,
        label=curve.label,
        zorder=3,
    )

    end = f"{interval.centre[-1]:.6g} ({interval.low[-1]:.6g} to {interval.high[-1]:.6g})"
    return f"{curve.label}: {statistic} over {len(values)} seeds {end} at {x[-1]:.0f}"


def _dress(axes: Any, *, x_label: str, y_label: str) -> None:
    from matplotlib.ticker import EngFormatter

    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlim(left=0)
    axes.margins(x=0.02, y=0.06)


def _add_legend(figure: Any) -> None:
    """Names each curve once, below the axes, where no curve can pass behind it."""
    found = [axes.get_legend_handles_labels() for axes in figure.axes]
    # Two curves of one panel may have the same name.
    if len(found) == 1:
        handles, labels = found[0]
    else:
        named = {label: line for lines, names in found for line, label in zip(lines, names)}
        handles, labels = list(named.values()), list(named)
    # Long names get a line each.
    short = max(map(len, labels)) <= 40
    figure.legend(handles, labels, loc="outside lower center", ncols=2 if short else 1)


def _note(curves: Sequence[Curve], statistic: str) -> str:
    counts = sorted({len(curve.values) for curve in curves})
    if counts == [1]:
        return "one seed"
    name = {
        "mean": "mean and Student's 95 % interval",
        "iqm": "interquartile mean and 95 % bootstrap interval",
    }[statistic]
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{name} over {seeds} seeds"


def resample(
    x: Float[np.ndarray, "seeds rows"], values: Float[np.ndarray, "seeds rows"]
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, "seeds points"]]:
    """Puts every seed's values on one horizontal axis, bridging rows that are nan.

    Where the seeds' axes agree they are kept, and a value is nan before the seed's first finite row
    and after its last. Otherwise the values are interpolated linearly on the stretch that all seeds
    have in common; where they have none, the curve is a point: their last values.

    Args:
        x: ascending along each seed's finite entries; nan where a seed has fewer rows.
        values: what is drawn; nan where there is nothing.

    Returns:
        The common axis and the values on it.
    """
    num_seeds = len(x)
    finite = np.isfinite(x) & np.isfinite(values)
    same = bool(np.isfinite(x).all() and (x == x[:1]).all())
    grid = x[0] if same else _common_axis(x, finite)
    if len(grid) == 0:
        last = np.array([max(np.flatnonzero(known), default=0) for known in finite])
        seeds = np.arange(num_seeds)
        return np.array([np.nanmean(x[seeds, last])]), values[seeds, last][:, None]
    resampled = np.full((num_seeds, len(grid)), math.nan)
    for seed in range(num_seeds):
        known = finite[seed]
        if known.any():
            resampled[seed] = np.interp(
                grid, x[seed, known], values[seed, known], left=math.nan, right=math.nan
            )
    return grid, resampled


def _common_axis(
    x: Float[np.ndarray, "seeds rows"], finite: Bool[np.ndarray, "seeds rows"]
) -> Float[np.ndarray, " points"]:
    """As many points as there are rows, from the last first one to the first last; maybe none."""
    seen = np.where(finite, x, math.nan)[finite.any(axis=1)]
    if len(seen) == 0:
        return np.linspace(np.nanmin(x), np.nanmax(x), x.shape[1])
    start, end = np.nanmin(seen, axis=1).max(), np.nanmax(seen, axis=1).min()
    return np.linspace(start, end, x.shape[1]) if start < end else np.array([])

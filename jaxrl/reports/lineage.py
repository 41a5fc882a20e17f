"""The picture of population-based training: settings over time, and who descends from whom."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from jaxrl.reports._pictures import picture_path, save_picture
from jaxrl.reports.curves import COLOURS, STYLE
from jaxrl.sweeps import PopulationBasedState, best_member

_OTHERS = "#9A9A9A"


def plot_lineage(
    state: PopulationBasedState,
    out: str | Path,
    *,
    settings: tuple[str, ...] | None = None,
    title: str | None = None,
) -> Path:
    """Draws the settings of every member over time, and lines from parents to their copies.

    A level stretch is what a member trained with in one generation; a thin line leads from a parent
    to a copy of it, whose setting was varied, and a cross ends the line of who was replaced.
    What the best member descends from is coloured.

    Args:
        state: of one run of `population_based`, such as `train(key, algorithm).state`.
        out: the picture; its ending chooses the format (.png, .pdf, .svg).
        settings: their names, an axis each; None: all.
        title: above the axes.

    Returns:
        The path of the picture.

    Raises:
        ValueError: the state is another one or of several runs, it has no such setting, or the
            picture's format is unknown.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    names = _require(state, settings)
    lineage, end, best = jax.device_get((state.lineage, state.steps, best_member(state)))
    begun = int(np.sum(lineage.steps >= 0))
    times = np.append(lineage.steps[:begun], end)
    parents = lineage.parents[:begun]
    figure = Figure(figsize=(7.0, 1.4 + 2.8 * len(names)), layout="constrained")
    out = picture_path(out, figure)
    with matplotlib.rc_context(STYLE):
        rows = figure.subplots(len(names), sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(rows, names, strict=True):
            values = lineage.settings[name][:begun]
            _draw_setting(axes, times, parents, values, best=int(best))
            axes.set_ylabel(name.replace("_", " "))
            # Over several orders of magnitude, a linear axis would show the largest only.
            if values.min() > 0 and values.max() > 20 * values.min():
                axes.set_yscale("log")
        rows[-1].set_xlabel("environment steps of all members")
        rows[-1].xaxis.set_major_formatter(EngFormatter(sep=""))
        rows[0].set_title(title or "", loc="left")
        figure.legend(loc="outside lower center", ncols=3, handles=_legend())
        return save_picture(figure, out)


def ancestors(parents: Int[np.ndarray, "G P"], member: int) -> Bool[np.ndarray, "G P"]:
    """Which member of each generation one of the last generation descends from, itself included.

    Args:
        parents: the member of the generation before that each one goes on from.
        member: of the last generation.
    """
    marked = np.zeros(parents.shape, bool)
    for generation in reversed(range(len(parents))):
        marked[generation, member] = True
        member = int(parents[generation, member])
    return marked


def _draw_setting(
    axes: Any,
    times: Int[np.ndarray, " ends"],
    parents: Int[np.ndarray, "G P"],
    values: Float[np.ndarray, "G P"],
    *,
    best: int,
) -> None:
    coloured = ancestors(parents, best)
    for generation, member in np.ndindex(*parents.shape):
        is_marked = coloured[generation, member]
        look = {"color": COLOURS[0], "zorder": 3} if is_marked else {"color": _OTHERS, "zorder": 2}
        value, began = values[generation, member], times[generation]
        axes.plot(
            [began, times[generation + 1]],
            [value, value],
            linewidth=2.2 if is_marked else 1.1,
            solid_capstyle="butt",
            **look,
        )
        parent = parents[generation, member]
        if parent == member:
            continue
        # The copy begins where the parent's generation ended.
        before = values[generation - 1]
        axes.plot([began, began], [before[parent], value], linewidth=0.9, **look)
        axes.plot(began, before[member], marker="x", markersize=5, color=_OTHERS, zorder=2)
    axes.plot(
        times[-1],
        values[-1, best],
        marker="o",
        markersize=7,
        color=COLOURS[1],
        clip_on=False,
        zorder=4,
    )


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=COLOURS[1], marker="o", linestyle="none", label="the best member"),
        Line2D([], [], color=COLOURS[0], linewidth=2.2, label="what it descends from"),
        Line2D([], [], color=_OTHERS, marker="x", linewidth=1.1, label="others; x: replaced"),
    ]


def _require(state: Any, settings: Any) -> tuple[str, ...]:
    """The names of the settings to draw."""
    if not isinstance(state, PopulationBasedState):
        raise ValueError(
            "the State of population_based is needed, as train(key, algorithm).state gives it, not "
            f"{type(state).__name__}"
        )
    if np.ndim(state.steps) > 0:
        raise ValueError(
            f"the state is of {np.shape(state.steps)} runs: draw one, such as "
            "jax.tree.map(lambda x: x[0], state)"
        )
    known = tuple(state.lineage.settings)
    names = known if settings is None else tuple(settings)
    for name in names:
        if name not in known:
            raise ValueError(f"settings: {name!r} is not one of {', '.join(known)}")
    if not names:
        raise ValueError("settings=() names nothing to draw")
    return names

"""Pictures of trading: the efficient frontier, inventory over time, a policy as a map."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxrl.reports._pictures import picture_path, save_picture
from jaxrl.reports.curves import COLOURS, LINE_STYLES, STYLE

MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def plot_frontier(
    frontier: tuple[Any, Any],
    points: Mapping[str, tuple[Any, Any]],
    out: str | Path,
    *,
    title: str | None = None,
) -> Path:
    """Draws the efficient frontier of selling an order, and strategies as points beside it.

    The horizontal axis is the standard deviation of the shortfall, the vertical one its mean.

    Args:
        frontier: mean in dollars and variance in dollars^2, each [K], as `efficient_frontier` of
            `jaxrl.environments.finance` has them.
        points: by name, mean and variance of a strategy's shortfall, each one number or [n], such
            as one for each seed or risk aversion.
        out: the picture; its ending chooses the format (.png, .pdf, .svg).
        title: above the axes.

    Returns:
        The path of the picture.

    Raises:
        ValueError: means and variances are of different shapes, not finite or no variances, or an
            unknown picture format.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    line = _deviations_and_means("the frontier", frontier)
    marks = {name: _deviations_and_means(name, point) for name, point in points.items()}
    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    out = picture_path(out, figure)
    with matplotlib.rc_context(STYLE):
        axes = figure.add_subplot()
        order = np.argsort(line[0])
        axes.plot(line[0][order], line[1][order], color="#444444", linewidth=1.8, label="optimal")
        for position, (name, (deviation, mean)) in enumerate(marks.items()):
            axes.plot(
                deviation,
                mean,
                linestyle="none",
                marker=MARKERS[position % len(MARKERS)],
                color=COLOURS[position % len(COLOURS)],
                label=name,
                zorder=3,
            )
        axes.set_xlabel("standard deviation of the shortfall, dollars")
        axes.set_ylabel("expected shortfall, dollars")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_title(title or "", loc="left")
        axes.legend()
        return save_picture(figure, out)


def plot_inventory(
    inventories: Mapping[str, Any],
    out: str | Path,
    *,
    start: float,
    period: float = 1.0,
    title: str | None = None,
) -> Path:
    """Draws what is held over time: of several episodes the median, and a band from 5 to 95 %.

    Args:
        inventories: by name, shares after each period, [time] or [episodes, time], such as
            "inventory" in what `play_episodes` gives of liquidation or market making.
        out: the picture; its ending chooses the format (.png, .pdf, .svg).
        start: shares that are held before the first period.
        period: length of one, in days.
        title: above the axes.

    Returns:
        The path of the picture.

    Raises:
        ValueError: nothing is given, inventories of another shape or not finite, or an unknown
            picture format.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    if not inventories:
        raise ValueError("there is nothing to draw: give inventories by name")
    held = {name: _episodes_of(name, values, start) for name, values in inventories.items()}
    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    out = picture_path(out, figure)
    with matplotlib.rc_context(STYLE):
        axes = figure.add_subplot()
        for position, (name, episodes) in enumerate(held.items()):
            colour = COLOURS[position % len(COLOURS)]
            style = LINE_STYLES[position // len(COLOURS) % len(LINE_STYLES)]
            days = np.arange(episodes.shape[1]) * period
            low, middle, high = np.quantile(episodes, (0.05, 0.5, 0.95), axis=0)
            axes.plot(days, middle, color=colour, linestyle=style, linewidth=1.6, label=name)
            if len(episodes) > 1:
                axes.fill_between(days, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.set_xlabel("days")
        axes.set_ylabel("inventory, shares")
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_title(title or "", loc="left")
        axes.legend()
        return save_picture(figure, out)


def plot_policy_map(
    actions: Mapping[str, Callable[[Any, Any], Any]],
    out: str | Path,
    *,
    inventories: Any,
    times: Any,
    action_label: str = "action",
    title: str | None = None,
) -> Path:
    """Draws actions over inventory and time as images beside one another, in one scale of colours.

    Args:
        actions: by name, (inventory, time) -> one number; traced, and vmapped over both. Of a
            policy without memory it is `policy.act(key, policy.start(key), observation)[1]`, of the
            observation that the inventory and the time make.
        out: the picture; its ending chooses the format (.png, .pdf, .svg).
        inventories: [n], evenly spaced; shares.
        times: [m], evenly spaced; days.
        action_label: what the numbers are, with their unit.
        title: above the images.

    Returns:
        The path of the picture. Numbers that are not finite are left blank.

    Raises:
        ValueError: nothing is given, an action is not one number, or an unknown picture format.

    Example:
        >>> import tempfile
        >>> skew = {"skew": lambda inventory, time: inventory * (1.0 - time)}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     out = f"{folder}/map.png"
        ...     plot_policy_map(skew, out, inventories=range(-5, 6), times=[0.0, 0.5]).name
        'map.png'
    """
    import matplotlib
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    if not actions:
        raise ValueError("there is nothing to draw: give functions (inventory, time) by name")
    shares, days = (np.asarray(grid, np.float32) for grid in (inventories, times))
    images = {name: _image_of(name, action, shares, days) for name, action in actions.items()}
    finite = np.concatenate([image.compressed() for image in images.values()])
    figure = Figure(figsize=(1.5 + 3.2 * len(images), 3.8), layout="constrained")
    out = picture_path(out, figure)
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        panels = figure.subplots(1, len(images), sharey=True, squeeze=False)[0]
        scale = Normalize(*((finite.min(), finite.max()) if finite.size else (0.0, 1.0)))
        for axes, (name, image) in zip(panels, images.items(), strict=True):
            axes.pcolormesh(days, shares, image, norm=scale, shading="nearest")
            axes.set(xlabel="days")
            axes.set_title(name, loc="left")
        panels[0].set_ylabel("inventory, shares")
        figure.colorbar(ScalarMappable(scale), ax=panels, label=action_label)
        figure.suptitle(title or "")
        return save_picture(figure, out)


def _deviations_and_means(name: str, point: tuple[Any, Any]) -> tuple[Any, Any]:
    mean, variance = (np.atleast_1d(np.asarray(part, np.float64)) for part in point)
    right = mean.ndim == 1 and mean.shape == variance.shape and mean.size > 0
    if not (right and np.isfinite(mean).all() and np.isfinite(variance).all()):
        raise ValueError(
            f"{name}: mean and variance must be finite numbers, as many of one as of the other; "
            f"their shapes are {mean.shape} and {variance.shape}"
        )
    if (variance < 0).any():
        raise ValueError(f"{name}: a variance of {variance.min():g} is below 0")
    return np.sqrt(variance), mean


def _episodes_of(name: str, values: Any, start: float) -> Float[np.ndarray, "episodes points"]:
    episodes = np.atleast_2d(np.asarray(values, np.float64))
    if episodes.ndim != 2 or episodes.size == 0 or not np.isfinite(episodes).all():
        raise ValueError(
            f"{name}: inventories must be finite numbers [time] or [episodes, time]; their shape "
            f"is {np.shape(values)}"
        )
    return np.concatenate([np.full((len(episodes), 1), float(start)), episodes], axis=1)


def _image_of(
    name: str, action: Callable[[Any, Any], Any], shares: np.ndarray, days: np.ndarray
) -> Any:
    """Actions [inventories, times], masked where they are not finite."""
    over_times = jax.vmap(action, in_axes=(None, 0))
    numbers = jax.jit(jax.vmap(over_times, in_axes=(0, None)))(jnp.array(shares), jnp.array(days))
    if numbers.shape != (len(shares), len(days)):
        raise ValueError(
            f"{name}: an action must be one number; its shape is {numbers.shape[2:]}: choose a part"
        )
    return np.ma.masked_invalid(np.asarray(numbers, np.float64))

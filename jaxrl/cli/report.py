"""Evaluation returns for people: a table per seed, and the interval of the mean."""

from typing import Any

import numpy as np
from rich.table import Table

from jaxrl.plotting import seed_interval


def return_interval(returns: Any) -> tuple[float, float, float]:
    """The mean return and its 95 % bootstrap interval.

    The interval is over seeds; where there is one seed, over its episodes.

    Args:
        returns: [seeds, episodes].

    Returns:
        The mean and both ends; the ends are nan where one episode is all there is.
    """
    returns = np.asarray(returns, dtype=float)
    independent = returns.mean(axis=1) if len(returns) > 1 else returns[0]
    interval = seed_interval(independent)
    return float(interval.centre), float(interval.low), float(interval.high)


def returns_table(returns: Any, *, first_seed: int, title: str) -> Table:
    """A table of evaluation returns: one row per seed, and the mean with its interval.

    Args:
        returns: [seeds, episodes].
        first_seed: the number of the first row's seed.
        title: above the table.
    """
    returns = np.asarray(returns, dtype=float)
    table = Table(title=title, title_justify="left")
    table.add_column("seed")
    for column in ("mean return", "std", "lowest", "highest", "episodes"):
        table.add_column(column, justify="right")
    for index, seed in enumerate(returns):
        numbers = (seed.mean(), seed.std(), seed.min(), seed.max())
        row = [f"{number:.2f}" for number in numbers]
        end = index == len(returns) - 1
        table.add_row(str(first_seed + index), *row, str(len(seed)), end_section=end)
    mean, low, high = return_interval(returns)
    table.add_row("all", f"{mean:.2f}", *_interval_cells(low, high), str(returns.size))
    return table


def _interval_cells(low: float, high: float) -> tuple[str, str, str]:
    if np.isnan(low):
        return "", "", ""
    return "95 % CI", f"{low:.2f}", f"{high:.2f}"

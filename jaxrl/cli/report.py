"""Evaluation returns for people: a table with a row per agent, and the interval of the mean.

An episode that was cut before its end has no return: it is left out, and counted.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.table import Table

from jaxrl import runs
from jaxrl.reports import seed_interval
from jaxrl.runs.rows import cut_episodes, mean_over_episodes


def return_interval(returns: Any, lengths: Any = 1) -> tuple[float, float, float]:
    """The mean return and Student's 95 % interval of it.

    The interval is over seeds; where there is one seed, over its episodes.

    Args:
        returns: [members, episodes].
        lengths: of the episodes; 0 where one was cut, which leaves it out.

    Returns:
        The mean and both ends; the ends are nan where one episode is all there is, and so is the
        mean where there is none or a return is nan.
    """
    returns = np.asarray(returns, dtype=float)
    cut = cut_episodes(returns, lengths)
    values = mean_over_episodes(returns, cut) if len(returns) > 1 else returns[0]
    independent = values[~(cut.all(axis=1) if len(returns) > 1 else cut[0])]
    if not independent.size or np.isnan(independent).any():
        return math.nan, math.nan, math.nan
    interval = seed_interval(independent)
    return float(interval.centre), float(interval.low), float(interval.high)


def cut_short(returns: Any, lengths: Any, limit: Any) -> str | None:
    """One line on the episodes that had not ended at the environment's limit; None: all had.

    Args:
        returns: [members, episodes].
        lengths: of the episodes; 0 where one was cut.
        limit: the environment's `max_episode_steps`.
    """
    cut = cut_episodes(returns, lengths)
    if not cut.any():
        return None
    return (
        f"{cut.sum()} of {cut.size} episodes had not ended after max_episode_steps={limit} steps "
        "and are left out: the environment overruns the limit that it declares"
    )


def returns_table(
    returns: Any, lengths: Any, specification: runs.Specification, *, title: str
) -> Table:
    """A table of evaluation returns: a row per member, and each group's mean with its interval.

    Args:
        returns: [members, episodes].
        lengths: of the episodes; 0 where one was cut, which leaves it out.
        specification: the run; members that differ in their seeds only are one group.
        title: above the table.
    """
    returns = np.asarray(returns, dtype=float)
    cut = cut_episodes(returns, lengths)
    groups = runs.groups_of(specification)
    table = Table(title=title, title_justify="left")
    if len(groups) > 1:
        table.add_column("settings")
    table.add_column("seed")
    for column in ("mean return", "std", "lowest", "highest", "episodes"):
        table.add_column(column, justify="right")
    for group, (mean, low, high) in zip(
        groups, group_intervals(returns, lengths, groups), strict=True
    ):
        label = [group.label] if len(groups) > 1 else []
        for index in group.members:
            whole = returns[index][~cut[index]]
            numbers = (whole.mean(), whole.std(), whole.min(), whole.max()) if whole.size else ()
            row = [f"{number:.2f}" for number in numbers] or 4 * [""]
            seed = str(specification.members[index].seed)
            end = index == group.members[-1]
            table.add_row(*label, seed, *row, str(whole.size), end_section=end)
        episodes = str(np.sum(~cut[list(group.members)]))
        known = not np.isnan(low)
        table.add_row(*label, "all", f"{mean:.2f}", "", "", "", episodes, end_section=not known)
        if known:
            table.add_row(*label, "95 %", f"{low:.2f} to {high:.2f}", end_section=True)
    return table


def group_intervals(
    returns: Any, lengths: Any, groups: Sequence[runs.Group]
) -> list[tuple[float, float, float]]:
    """The mean return of each group and its 95 % interval, as `return_interval`."""
    returns, lengths = np.asarray(returns), np.asarray(lengths)
    rows = [list(group.members) for group in groups]
    return [return_interval(returns[own], lengths[own]) for own in rows]

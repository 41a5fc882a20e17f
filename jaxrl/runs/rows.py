"""From a chunk's metrics to one row per member, and from the rows of a file to arrays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import chex
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Shaped

from jaxrl.ops.missing import known_mean
from jaxrl.runs._reading import Kind, is_list_of, is_number, is_whole, read_rows
from jaxrl.runs.folder import EVALUATIONS, METRICS, ExperimentError
from jaxrl.runs.grouping import is_identity
from jaxrl.runs.members import LARGEST_SEED, MOST_MEMBERS
from jaxrl.types import Metrics

_LEADING = ("steps", "episodes", "episode_return", "episode_length")


class EvaluationRows(NamedTuple):
    """The evaluations of a run; a member with fewer rows than another is filled up with nan.

    Attributes:
        steps: [members, rows], environment steps of the member when it was evaluated.
        returns: [members, rows, episodes].
        lengths: [members, rows, episodes].
    """

    steps: np.ndarray
    returns: np.ndarray
    lengths: np.ndarray


def aggregate(metrics: Mapping[str, Shaped[Array, " rows"]], num_used: Int[Array, ""]) -> Metrics:
    """Reduces the iterations of one chunk to one row.

    `steps` is the last iteration's, `episodes` the sum; a metric named `episode_...` is the mean
    over the finished episodes, any other the mean over the iterations. An iteration that
    had nothing to report (nan, as in `jaxrl.ops.missing`) does not count; nothing at all gives the
    same.

    Args:
        metrics: by name, [rows]; the first `num_used` rows were filled.
        num_used: how many iterations the chunk took.

    Returns:
        By name, shape ().
    """
    chex.assert_rank(list(metrics.values()), 1)
    used = jnp.arange(metrics["steps"].shape[0]) < num_used
    episodes = jnp.where(used, metrics["episodes"], 0) if "episodes" in metrics else None
    row: Metrics = {}
    for name, values in metrics.items():
        if name == "steps":
            row[name] = jnp.max(jnp.where(used, values, 0))
        elif name == "episodes":
            row[name] = jnp.sum(jnp.where(used, values, 0))
        else:
            weights = used.astype(jnp.float32)
            if name.startswith("episode_") and episodes is not None:
                weights = episodes.astype(jnp.float32)
            row[name] = known_mean(values.astype(jnp.float32), weights)
    return row


def cut_episodes(returns: Any, lengths: Any) -> np.ndarray:
    """Which evaluation episodes were cut before their end: their return is nan, their length 0."""
    return np.isnan(np.asarray(returns, dtype=float)) & (np.asarray(lengths) == 0)


def mean_over_episodes(values: Any, cut: np.ndarray) -> np.ndarray:
    """The mean over the last axis of the episodes that were not cut; nan where all were."""
    count = np.sum(~cut, axis=-1)
    total = np.sum(np.where(cut, 0.0, np.asarray(values, dtype=float)), axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def to_rows(
    values: Mapping[str, Any], identities: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Splits values into one JSON row per member; what is not finite is null.

    Args:
        values: by name, each [members, ...].
        identities: what names each member; the beginning of its row.
    """
    names = [name for name in _LEADING if name in values]
    names += sorted(values.keys() - set(_LEADING))
    columns = {name: _to_json(np.asarray(values[name])) for name in names}
    return [
        {**identity, **{name: columns[name][i] for name in names}}
        for i, identity in enumerate(identities)
    ]


def _to_json(values: np.ndarray) -> Any:
    """The values as lists of plain numbers, a whole column at once."""
    if np.issubdtype(values.dtype, np.integer) or values.dtype == bool:
        return values.tolist()
    # The shortest decimal that reads back to the same float32, not the double's 17 digits.
    plain = values.astype(np.float32).astype(str).astype(float).astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()


def read_metrics(folder: str | Path) -> dict[str, np.ndarray]:
    """Reads the rows of metrics.jsonl.

    Args:
        folder: of a run, running or ended.

    Returns:
        By name, [members, rows] in the order of the members; null and missing rows are nan.

    Raises:
        ExperimentError: the folder has no metrics that can be read.
    """
    path = Path(folder) / METRICS
    members = _rows_by_member(path)
    names = {name: None for rows in members for row in rows for name in row}
    return {name: _table(path, members, name) for name in names if not is_identity(name)}


def read_evaluations(folder: str | Path) -> EvaluationRows:
    """Reads the rows of evaluations.jsonl.

    Args:
        folder: of a run, running or ended.

    Returns:
        Steps [members, rows]; returns and lengths [members, rows, episodes].

    Raises:
        ExperimentError: the folder has no evaluations that can be read.
    """
    path = Path(folder) / EVALUATIONS
    members = _rows_by_member(path)
    return EvaluationRows(
        steps=_table(path, members, "steps"),
        returns=_table(path, members, "returns", axes=3),
        lengths=_table(path, members, "lengths", axes=3),
    )


def _rows_by_member(path: Path) -> list[list[dict[str, Any]]]:
    """The rows of each member; before rows named it, no two members had the same seed."""
    members: dict[int, list[dict[str, Any]]] = {}
    try:
        rows = list(read_rows(path, _kind_of))
    except (FileNotFoundError, NotADirectoryError):
        raise ExperimentError(f"{path.parent} has no {path.name}") from None
    name = "member" if all("member" in row for row in rows) else "seed"
    if not all(name in row for row in rows):
        raise ExperimentError(f"{path} cannot be used: a line is not a row of a run")
    for row in rows:
        members.setdefault(row[name], []).append(row)
    return [members[place] for place in sorted(members)]


def _kind_of(column: str) -> Kind:
    """The check of the values in a column."""
    if column == "member":
        return lambda value: is_whole(value, most=MOST_MEMBERS)
    if column == "seed":
        return lambda value: is_whole(value, most=LARGEST_SEED)
    if column == "steps":
        return is_whole
    return is_list_of(is_number) if column in ("returns", "lengths") else is_number


def _table(
    path: Path, members: list[list[dict[str, Any]]], name: str, *, axes: int = 2
) -> np.ndarray:
    """Collects a column, [members, rows] or [members, rows, episodes]; null and missing are nan."""
    longest = max((len(rows) for rows in members), default=0)
    try:
        # numpy reads None as nan.
        columns = [np.array([row.get(name) for row in rows], dtype=float) for rows in members]
        trailing = columns[0].shape[1:] if columns else (0,) * (axes - 2)
        table = np.full((len(members), longest, *trailing), np.nan)
        for i, column in enumerate(columns):
            table[i, : len(column)] = column
    except (TypeError, ValueError):
        raise ExperimentError(f"{path} cannot be used: its {name} do not fit together") from None
    if table.ndim != axes:
        raise ExperimentError(f"{path} cannot be used: its {name} are not as a run writes them")
    return table

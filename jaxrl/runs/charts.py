"""The rows of a run for the viewers of charts: TensorBoard always, Weights & Biases on request."""

import hashlib
import importlib
import importlib.util
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jaxrl.runs._reading import ExperimentError
from jaxrl.runs.grouping import Group, is_identity

_SECONDS_BETWEEN_FLUSHES = 10.0
# Every member is a file that stays open, and systems allow a process about a thousand.
_MOST_SHOWN = 64

Row = dict[str, Any]


class Charts(Protocol):
    """A viewer's side of a run."""

    def write(self, rows: list[Row]) -> None:
        """Adds rows with their members' identities, `steps` and scalars, at most one per member."""
        ...

    def flush(self) -> None:
        """Hands over what was written."""
        ...

    def close(self) -> None:
        """Ends the run's part in it."""
        ...


def mean_over_seeds(rows: list[Row]) -> dict[str, float]:
    """The mean of each scalar over the rows that have it; `steps` is the mean step."""
    names = {name: None for row in rows for name in row if not is_identity(name)}
    columns = {name: [row[name] for row in rows if row.get(name) is not None] for name in names}
    return {name: float(np.mean(values)) for name, values in columns.items() if values}


def tag_of(name: str) -> str:
    """The name of a metric with the section of the charts that it is shown in."""
    if name.startswith("evaluation_"):
        return f"eval/{name.removeprefix('evaluation_')}"
    return f"rollout/{name}" if name.startswith("episode") else f"train/{name}"


def check_wandb_is_installed() -> None:
    """Raises ValueError, with the line that installs it, if Weights & Biases is missing."""
    if importlib.util.find_spec("wandb") is None:
        raise ValueError('Weights & Biases is not installed: pip install "jaxrl[wandb]"')


def rows_of_groups(
    rows: list[Row], groups: Sequence[Group]
) -> list[tuple[str, list[tuple[str, Row]]]]:
    """Sorts rows by the groups of a run.

    Args:
        rows: at most one per member.
        groups: of the run.

    Returns:
        The name of each group that has rows, empty for the only one, and its rows, each with the
        name of its member. Names may stand in a path.
    """
    by_member = {row["member"]: row for row in rows}
    found: list[tuple[str, list[tuple[str, Row]]]] = []
    for group in groups:
        present = [by_member[member] for member in group.members if member in by_member]
        named = [(f"{_prefix(group)}seed_{row['seed']}", row) for row in present]
        if named:
            found.append((_prefix(group), named))
    return found


def _scalars(row: Row) -> Row:
    """What a row has to show: neither its identity nor its step nor what is missing."""
    return {
        name: value
        for name, value in row.items()
        if name != "steps" and not is_identity(name) and value is not None
    }


def _tagged(row: Row) -> Row:
    """The same by the names that charts have them under."""
    return {tag_of(name): value for name, value in _scalars(row).items()}


def _prefix(group: Group) -> str:
    return f"{group.label.replace(', ', ',')}/" if group.label else ""


class TensorBoard:
    """Writes a folder of event files: `mean`, and `seed_<n>` for each of the first 64 members.

    Where members differ in more than their seeds, each of the first 64 groups has a folder of them.
    """

    def __init__(
        self, folder: Path, groups: Sequence[Group], seeds: Sequence[int], *, first_step: int
    ) -> None:
        """Opens the files.

        Args:
            folder: of all of them.
            groups: of the run's members.
            seeds: of the members.
            first_step: steps after it from an earlier part of the run are purged.
        """
        self._folder = folder
        self._first_step = first_step
        self._groups = groups
        # Their classes are made as they are imported, which a type checker cannot see.
        self._messages: Any = importlib.import_module("tensorboardX.proto.event_pb2")
        self._summaries: Any = importlib.import_module("tensorboardX.proto.summary_pb2")
        means = [f"{_prefix(group)}mean" for group in groups[:_MOST_SHOWN]]
        members = [
            f"{_prefix(group)}seed_{seeds[member]}"
            for group in groups
            for member in group.members
            if len(group.members) > 1
        ]
        self._files = {name: self._open(name) for name in [*means, *members[:_MOST_SHOWN]]}
        self._flushed = time.monotonic()
        # When each group trained last, and the steps of each member then.
        self._trained_at: dict[str, float] = {}
        self._steps: dict[int, float] = {}

    def write(self, rows: list[Row]) -> None:
        """Adds one event to the file of each member and one to the mean of each group."""
        for group, named in rows_of_groups(rows, self._groups):
            for name, row in named:
                self._add(name, row["steps"], _tagged(row))
            own = [row for _, row in named]
            mean = mean_over_seeds(own)
            self._add(f"{group}mean", mean["steps"], _tagged(mean) | self._speed(group, own))
        if time.monotonic() - self._flushed > _SECONDS_BETWEEN_FLUSHES:
            self.flush()

    def flush(self) -> None:
        """Writes what is buffered to the disk."""
        for file in self._files.values():
            file.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Closes the files."""
        for file in self._files.values():
            file.close()

    def _open(self, name: str) -> Any:
        from tensorboardX.event_file_writer import EventsWriter

        (self._folder / name).mkdir(parents=True, exist_ok=True)
        messages = self._messages
        # Names have a resolution of one second; a run resumed within it must not replace a file.
        file = EventsWriter(str(self._folder / name / "events"), f".{os.getpid()}")
        purge = messages.SessionLog(status=messages.SessionLog.START)
        file.write_event(messages.Event(step=self._first_step + 1, session_log=purge))
        return file

    def _speed(self, group: str, rows: list[Row]) -> dict[str, float]:
        """The environment steps of a group's members in a second, since it trained before."""
        now = time.monotonic()
        # Not all members have a row: some may have ended.
        taken = sum(row["steps"] - self._steps.get(row["member"], row["steps"]) for row in rows)
        self._steps |= {row["member"]: row["steps"] for row in rows}
        before = self._trained_at.setdefault(group, now)
        if not taken:
            # The first row, or an evaluation, which takes no steps of training.
            return {}
        self._trained_at[group] = now
        return {"time/steps_per_second": taken / (now - before)} if now > before else {}

    def _add(self, name: str, steps: float, scalars: Mapping[str, float]) -> None:
        """Writes one event, if the file is one of those shown."""
        if name not in self._files:
            return
        summary = self._summaries
        values = [
            summary.Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()
        ]
        event = self._messages.Event(
            wall_time=time.time(), step=int(steps), summary=summary.Summary(value=values)
        )
        self._files[name].write_event(event)


class WeightsAndBiases:
    """Logs the means over seeds and every member to one Weights & Biases run."""

    def __init__(
        self, folder: Path, project: str, config: dict[str, Any], groups: Sequence[Group]
    ) -> None:
        """Begins the run, or goes on with the one that this folder began.

        Raises:
            ValueError: the package is not installed.
            ExperimentError: its client refuses, as it does without a key.
        """
        check_wandb_is_installed()
        wandb: Any = importlib.import_module("wandb")
        self._groups = groups
        identity = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()[:16]
        try:
            self._run = wandb.init(
                project=project,
                name=folder.name,
                id=identity,
                resume="allow",
                dir=str(folder),
                config=config,
            )
        except Exception as error:  # Without a key, a network or a project of that name.
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ExperimentError(f"Weights & Biases cannot begin: {reason}") from error

    def write(self, rows: list[Row]) -> None:
        """Logs the rows at their mean step."""
        if not rows:
            return
        values: dict[str, float] = {}
        for group, named in rows_of_groups(rows, self._groups):
            mean = mean_over_seeds([row for _, row in named])
            values |= {f"{group}{tag}": value for tag, value in _tagged(mean).items()}
            values |= {
                f"{member}/{name}": value
                for member, row in named
                for name, value in _scalars(row).items()
            }
        self._run.log(values, step=int(mean_over_seeds(rows)["steps"]))

    def flush(self) -> None:
        """Does nothing: the client sends what it is given."""

    def close(self) -> None:
        """Marks the run as ended."""
        self._run.finish()

"""The rows of a run for the viewers of charts: TensorBoard always, Weights & Biases on request."""

import hashlib
import importlib
import importlib.util
import os
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np

_SECONDS_BETWEEN_FLUSHES = 10.0
# Every seed is a file that stays open, and systems allow a process about a thousand.
_MOST_SEEDS_SHOWN = 64

Row = dict[str, Any]


class Charts(Protocol):
    """A viewer's side of a run."""

    def write(self, rows: list[Row]) -> None:
        """Adds rows with `seed`, `steps` and scalars, at most one per seed."""
        ...

    def flush(self) -> None:
        """Hands over what was written."""
        ...

    def close(self) -> None:
        """Ends the run's part in it."""
        ...


def mean_over_seeds(rows: list[Row]) -> dict[str, float]:
    """The mean of each scalar over the rows that have it; `steps` is the mean step."""
    names = {name: None for row in rows for name in row if name != "seed"}
    columns = {name: [row[name] for row in rows if row.get(name) is not None] for name in names}
    return {name: float(np.mean(values)) for name, values in columns.items() if values}


def check_wandb_is_installed() -> None:
    """Raises ValueError, with the line that installs it, if Weights & Biases is missing."""
    if importlib.util.find_spec("wandb") is None:
        raise ValueError('Weights & Biases is not installed: pip install "jaxrl[wandb]"')


class TensorBoard:
    """Writes a folder of event files: `mean`, and `seed_<n>` for each of the first 64 seeds."""

    def __init__(self, folder: Path, seeds: range, *, first_step: int) -> None:
        """Opens the files; steps after `first_step` from an earlier part of the run are purged."""
        self._folder = folder
        self._first_step = first_step
        # Their classes are made as they are imported, which a type checker cannot see.
        self._messages: Any = importlib.import_module("tensorboardX.proto.event_pb2")
        self._summaries: Any = importlib.import_module("tensorboardX.proto.summary_pb2")
        self._files = {"mean": self._open("mean")}
        if len(seeds) > 1:
            self._files |= {
                f"seed_{seed}": self._open(f"seed_{seed}") for seed in seeds[:_MOST_SEEDS_SHOWN]
            }
        self._flushed = time.monotonic()

    def write(self, rows: list[Row]) -> None:
        """Adds one event to the file of each seed and one to the mean."""
        for row in rows:
            name = f"seed_{row['seed']}"
            if name in self._files:
                self._add(name, {key: value for key, value in row.items() if key != "seed"})
        if rows:
            self._add("mean", mean_over_seeds(rows))
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

    def _add(self, name: str, scalars: dict[str, Any]) -> None:
        summary = self._summaries
        values = [
            summary.Summary.Value(tag=tag, simple_value=value)
            for tag, value in scalars.items()
            if tag != "steps" and value is not None
        ]
        event = self._messages.Event(
            wall_time=time.time(), step=int(scalars["steps"]), summary=summary.Summary(value=values)
        )
        self._files[name].write_event(event)


class WeightsAndBiases:
    """Logs the mean over seeds and every seed to one Weights & Biases run."""

    def __init__(self, folder: Path, project: str, config: dict[str, Any]) -> None:
        """Begins the run, or goes on with the one that this folder began.

        Raises:
            ValueError: the package is not installed.
        """
        check_wandb_is_installed()
        wandb: Any = importlib.import_module("wandb")
        identity = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()[:16]
        self._run = wandb.init(
            project=project,
            name=folder.name,
            id=identity,
            resume="allow",
            dir=str(folder),
            config=config,
        )

    def write(self, rows: list[Row]) -> None:
        """Logs the rows at their mean step."""
        if not rows:
            return
        mean = mean_over_seeds(rows)
        values: dict[str, float] = dict(mean)
        for row in rows:
            values |= {
                f"seed_{row['seed']}/{name}": value
                for name, value in row.items()
                if name not in ("seed", "steps") and value is not None
            }
        self._run.log(values, step=int(mean["steps"]))

    def flush(self) -> None:
        """Does nothing: the client sends what it is given."""

    def close(self) -> None:
        """Marks the run as ended."""
        self._run.finish()

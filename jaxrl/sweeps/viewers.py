"""The trials of a sweep for the viewers of charts: TensorBoard's HPARAMS page, Weights & Biases."""

import hashlib
import importlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl import runs
from jaxrl.runs.folder import TENSORBOARD, WANDB, remove, writing
from jaxrl.sweeps.results import BlockResult
from jaxrl.sweeps.specification import Sweep, to_json

_METRIC = "mean_return"


def write_hparams(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes the trials that have a return for TensorBoard's page of hyperparameters.

    A trial is a folder of its own; what an earlier table wrote is replaced.

    Args:
        folder: of the sweep.
        rows: its table, as `trial_rows` makes it.
    """
    from tensorboardX.event_file_writer import EventsWriter

    # Their classes are made as they are imported, which a type checker cannot see.
    messages: Any = importlib.import_module("tensorboardX.proto.event_pb2")
    summaries: Any = importlib.import_module("tensorboardX.proto.summary_pb2")
    summary: Any = importlib.import_module("tensorboardX.summary")
    width = len(str(max(len(rows) - 1, 0)))
    with writing(folder):
        remove(folder / TENSORBOARD)
        for row in rows:
            if row["mean"] is None:
                continue
            own = folder / TENSORBOARD / f"trial_{row['trial']:0{width}d}"
            own.mkdir(parents=True)
            values = {name: _plain(value) for name, value in row["values"].items()}
            values["status"] = row["status"]
            scalar = summaries.Summary.Value(tag=_METRIC, simple_value=row["mean"])
            # The session's end last.
            parts = [*summary.hparams(values, {_METRIC: row["mean"]})]
            parts.insert(2, summaries.Summary(value=[scalar]))
            file = EventsWriter(str(own / "events"))
            for part in parts:
                file.write_event(messages.Event(step=row["steps"], summary=part))
            file.close()


def log_block(sweep: Sweep, folder: Path, run: Path, result: BlockResult) -> None:
    """Logs the trials of a block that has ended to Weights & Biases: a run each, in one group.

    The curves are means over the seeds. A trial that goes on after a rung goes on in its run. What
    was logged before a sweep was killed is logged again by the resumed one to the same runs, which
    keep their first values.

    Args:
        sweep: the search.
        folder: of the sweep; its name is that of the group.
        run: the folder of the block.
        result: of the block.
    """
    wandb: Any = importlib.import_module("wandb")
    # Without the trials, which an adaptive sampler adds to.
    data = to_json(sweep) | {"trials": [], "folder": str(folder.absolute())}
    identity = hashlib.sha256(json.dumps(data).encode()).hexdigest()[:12]
    columns, count = runs.read_metrics(run), len(sweep.seeds)
    (folder / WANDB).mkdir(exist_ok=True)
    for place, trial in enumerate(result.trials):
        logged = wandb.init(
            project=sweep.base.wandb_project,
            group=folder.name,
            name=f"trial_{trial}",
            id=f"{identity}-{trial}",
            resume="allow",
            dir=str(folder),
            config={
                "algorithm": sweep.base.algorithm,
                "environment": sweep.base.environment,
                **dict(sweep.trials[trial]),
            },
        )
        own = {name: x[place * count : (place + 1) * count] for name, x in columns.items()}
        means = {name: _mean_over_seeds(x) for name, x in own.items()}
        for row, step in enumerate(means.pop("steps", np.zeros(0))):
            values = {name: float(x[row]) for name, x in means.items() if np.isfinite(x[row])}
            if np.isfinite(step):
                logged.log(values, step=int(step))
        score = result.scores()[place]
        logged.log({_METRIC: score} if np.isfinite(score) else {}, step=result.steps + 1)
        logged.finish()


def _mean_over_seeds(values: np.ndarray) -> np.ndarray:
    """The mean of each row over the seeds that have a value; nan where none has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(values, axis=0)


def _plain(value: Any) -> Any:
    """The value as the viewer shows it: a list of layers as 64x64."""
    if isinstance(value, list | tuple):
        return "x".join(map(str, value)) or "none"
    return "none" if value is None else value

"""The logs of a run: rows in two files, and the same numbers for the chart viewers."""

import contextlib
import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxrl.runs._reading import open_regular
from jaxrl.runs.charts import Charts, TensorBoard, WeightsAndBiases
from jaxrl.runs.folder import (
    DIVERGENCES,
    EVALUATIONS,
    METRICS,
    TENSORBOARD,
    open_to_append,
    writing,
)
from jaxrl.runs.grouping import groups_of, identities_of
from jaxrl.runs.rows import cut_episodes, mean_over_episodes, to_rows
from jaxrl.runs.specification import Specification, to_json
from jaxrl.training import Evaluation

_ALWAYS = (METRICS, EVALUATIONS)
_ROW_FILES = (*_ALWAYS, DIVERGENCES)


class RowEnds(NamedTuple):
    """How far the row files of a run go.

    Attributes:
        sizes: in bytes, by name.
        digests: of what they hold, by name.
    """

    sizes: dict[str, int]
    digests: dict[str, str]


class Logs(contextlib.AbstractContextManager["Logs"]):
    """Appends to the files of a run; nothing is kept in memory."""

    def __init__(self, folder: Path, specification: Specification, *, first_step: int) -> None:
        """Opens the files, behind the rows that are there.

        Args:
            folder: of the run; its row files were cut back to the checkpoint.
            specification: the run.
            first_step: charts forget what an interrupted run wrote after this many steps.

        Raises:
            ValueError: Weights & Biases was asked for and is not installed.
        """
        self._folder = folder
        self._identities = identities_of(specification)
        groups = groups_of(specification)
        self._charts: list[Charts] = []
        if specification.wandb_project is not None:
            data = to_json(specification)
            self._charts.append(WeightsAndBiases(folder, specification.wandb_project, data, groups))
        with writing(folder):
            seeds = [member.seed for member in specification.members]
            charts = TensorBoard(folder / TENSORBOARD, groups, seeds, first_step=first_step)
            self._charts.append(charts)
            present = [name for name in _ROW_FILES if name in _ALWAYS or (folder / name).exists()]
            self._files = {name: open_to_append(folder / name) for name in present}
            self._digests = {name: _digest_of(folder / name) for name in present}

    def write_metrics(self, row: Mapping[str, np.ndarray], advanced: np.ndarray) -> None:
        """Writes one row per member, without those that took no iteration in this chunk.

        Args:
            row: by name, [members].
            advanced: bool [members].
        """
        rows = to_rows(row, self._identities)
        rows = [row for row, is_new in zip(rows, advanced, strict=True) if is_new]
        self._append(METRICS, rows)
        self._chart(rows)

    def write_evaluation(self, steps: np.ndarray, evaluation: Evaluation) -> None:
        """Writes every episode of every member; the charts show the means over those that ended.

        Args:
            steps: [members], environment steps taken.
            evaluation: leaves [members, episodes].
        """
        columns = {"steps": steps, "returns": evaluation.returns, "lengths": evaluation.lengths}
        self._append(EVALUATIONS, to_rows(columns, self._identities))
        cut = cut_episodes(evaluation.returns, evaluation.lengths)
        means = {
            "steps": steps,
            "evaluation_return": mean_over_episodes(evaluation.returns, cut),
            "evaluation_length": mean_over_episodes(evaluation.lengths, cut),
        }
        self._chart(to_rows(means, self._identities))

    def write_divergences(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes one row per member that diverged; the file is there from the first on."""
        with writing(self._folder):
            if DIVERGENCES not in self._files:
                self._files[DIVERGENCES] = open_to_append(self._folder / DIVERGENCES)
                self._digests[DIVERGENCES] = hashlib.sha256()
        self._append(DIVERGENCES, rows)

    def ends(self) -> RowEnds:
        """Returns how far each row file goes, and a digest of what it holds."""
        return RowEnds(
            sizes={name: os.fstat(file.fileno()).st_size for name, file in self._files.items()},
            digests={name: digest.hexdigest() for name, digest in self._digests.items()},
        )

    def flush(self) -> RowEnds:
        """Makes every row survive a loss of power; returns how far each row file goes."""
        with writing(self._folder):
            for charts in self._charts:
                charts.flush()
            for file in self._files.values():
                os.fsync(file.fileno())
            return self.ends()

    def __exit__(self, *exception: object) -> None:
        """Closes the files, also those behind one that cannot be closed."""
        with writing(self._folder), contextlib.ExitStack() as stack:
            for closable in [*self._charts, *self._files.values()]:
                stack.callback(closable.close)

    def _append(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        lines = "".join([json.dumps(row, allow_nan=False) + "\n" for row in rows]).encode()
        with writing(self._folder):
            self._files[name].write(lines)
            self._files[name].flush()
        self._digests[name].update(lines)

    def _chart(self, rows: list[dict[str, Any]]) -> None:
        with writing(self._folder):
            for charts in self._charts:
                charts.write(rows)


def cut_back(folder: Path, file_sizes: Mapping[str, int], file_digests: Mapping[str, str]) -> None:
    """Removes the rows behind a checkpoint: the resumed run writes them again, to the same bytes.

    A file is cut in one step, so that being killed here does no harm.

    Args:
        folder: of the run.
        file_sizes: of each row file when the checkpoint was written; empty: the run starts anew.
        file_digests: of what each held then; a file without one is taken as it is.
    """
    for name in _ROW_FILES:
        path, size = folder / name, file_sizes.get(name, 0)
        present = path.stat().st_size if path.exists() else 0
        if present > size:
            with writing(folder):
                os.truncate(path, size)
        elif present < size:
            warnings.warn(f"{path} has lost rows since the checkpoint was written", stacklevel=2)
            with writing(folder):
                _drop_half_line(path)
            continue
        known = file_digests.get(name)
        if known is not None and path.exists() and _digest_of(path).hexdigest() != known:
            warnings.warn(f"{path} has been changed since the checkpoint was written", stacklevel=2)


def _drop_half_line(path: Path) -> None:
    if path.exists():
        with open_regular(path) as file:
            end = 0
            for line in file:
                end += len(line) if line.endswith(b"\n") else 0
        os.truncate(path, end)


def _digest_of(path: Path) -> Any:
    """The sha256 of a file, which goes on with what is written behind it."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest

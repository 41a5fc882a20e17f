"""`jaxrl show SWEEP`."""

import csv
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import tyro

from jaxrl import runs, sweeps
from jaxrl.cli.arguments import parse
from jaxrl.cli.errors import CommandError, check_range
from jaxrl.cli.sweep_report import make_console, show_trials
from jaxrl.cli.user_modules import import_modules_of


@dataclasses.dataclass(frozen=True)
class ShowArguments:
    """The arguments of `show`."""

    sweep: tyro.conf.Positional[Path]
    """Folder of the sweep."""
    top: int = 20
    """How many of the best trials."""
    json: bool = False
    """Print a JSON object per trial instead of a table."""
    csv: Path | None = None
    """Also write all trials to this file."""


def run(arguments: list[str]) -> int:
    """Prints the trials of a sweep, the best first."""
    values = parse(
        ShowArguments,
        arguments,
        prog="jaxrl show",
        description="Show the trials of a sweep, running or ended, the best first.",
    )
    check_range("top", values.top, minimum=1)
    import_modules_of(values.sweep)
    try:
        sweep = sweeps.read_sweep(values.sweep)
        rows = sweeps.sorted_rows(sweeps.trial_rows(sweep, values.sweep))
        if values.csv is not None:
            _write_csv(values.csv, rows)
        if values.json:
            lines = (json.dumps(row, allow_nan=False) + "\n" for row in rows[: values.top])
            sys.stdout.write("".join(lines))
        else:
            show_trials(make_console(), values.sweep, most=values.top)
    except runs.ExperimentError as error:
        raise CommandError(str(error)) from error
    return 0


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """A line per trial: its values, and its return with each seed."""
    most = max(len(row["returns"]) for row in rows)
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            seeds = [f"return_{place}" for place in range(most)]
            named = list(rows[0]["values"])
            writer.writerow(["trial", *named, "status", "steps", "mean", *seeds])
            for row in rows:
                returns = row["returns"] + [None] * (most - len(row["returns"]))
                own = [row["values"][name] for name in named]
                writer.writerow(
                    [row["trial"], *own, row["status"], row["steps"], row["mean"], *returns]
                )
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from None

"""`jaxrl show SWEEP` and `jaxrl show preset ALGORITHM ENVIRONMENT`."""

import csv
import dataclasses
import importlib
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxrl import environments, presets, registry, runs, sweeps
from jaxrl.cli.arguments import parse
from jaxrl.cli.errors import CommandError, check_range, checking_input
from jaxrl.cli.sweep_report import make_console, show_trials
from jaxrl.cli.user_modules import import_modules_of


@dataclasses.dataclass(frozen=True)
class ShowArguments:
    """The arguments of `show`."""

    sweep: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SWEEP")]
    """Folder of the sweep."""
    top: int = 20
    """How many of the best trials."""
    json: bool = False
    """Print a JSON object per trial instead of a table."""
    csv: Path | None = None
    """Also write all trials to this file."""
    parquet: Path | None = None
    """Also write them to this one; needs pandas and pyarrow."""
    importance: bool = False
    """Also print how much each setting explains (fANOVA); needs optuna and scikit-learn."""


@dataclasses.dataclass(frozen=True)
class PresetArguments:
    """The arguments of `show preset`."""

    algorithm: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ALGORITHM")]
    """Whose settings."""
    environment: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ENVIRONMENT")]
    """What they are tuned for."""


def run(arguments: list[str]) -> int:
    """Prints the trials of a sweep, the best first, or a preset."""
    # A folder of that name is ./preset.
    if arguments[:1] == ["preset"]:
        return _show_preset(arguments[1:])
    values = parse(
        ShowArguments,
        arguments,
        prog="jaxrl show",
        description="Show the trials of a sweep, running or ended, the best first; or, with "
        "`jaxrl show preset ALGORITHM ENVIRONMENT`, tuned settings.",
    )
    check_range("top", values.top, minimum=1)
    import_modules_of(values.sweep)
    try:
        sweep = sweeps.read_sweep(values.sweep)
        rows = sweeps.sorted_rows(sweeps.trial_rows(sweep, values.sweep))
        if values.csv is not None:
            _write_csv(values.csv, rows)
        if values.parquet is not None:
            _write_parquet(values.parquet, rows)
        if values.json:
            lines = (json.dumps(row, allow_nan=False) + "\n" for row in rows[: values.top])
            sys.stdout.write("".join(lines))
        else:
            show_trials(make_console(), values.sweep, most=values.top)
        if values.importance:
            _show_importance(sweep, rows, as_json=values.json)
    except runs.ExperimentError as error:
        raise CommandError(str(error)) from error
    return 0


def _show_preset(arguments: list[str]) -> int:
    values = parse(
        PresetArguments,
        arguments,
        prog="jaxrl show preset",
        description="Print tuned settings in the form that `jaxrl train --config FILE` reads. What "
        "is not listed has the algorithm's default.",
    )
    with checking_input():
        registry.get(values.algorithm)
        environment = environments.canonical_name(values.environment)
        if presets.preset(values.algorithm, environment) is None:
            known = [name for algorithm, name in presets.presets() if algorithm == values.algorithm]
            raise ValueError(
                f"there is no preset {values.algorithm}/{environment}: {values.algorithm} has "
                f"{', '.join(known) or 'none'}"
            )
        settings = presets.preset_settings(values.algorithm, environment)
    sys.stdout.write(presets.preset_text(environment, settings))
    return 0


def _show_importance(sweep: sweeps.Sweep, rows: list[dict[str, Any]], *, as_json: bool) -> None:
    with checking_input():
        found = sweeps.importance_of_settings(sweep, rows)
    if as_json:
        sys.stdout.write(json.dumps({"importance": found}) + "\n")
        return
    sys.stdout.write("importance of settings (fANOVA), in shares of the return's variance\n")
    width = max(map(len, found))
    for name, share in found.items():
        sys.stdout.write(f"  {name:<{width}}  {share:.3f}\n")


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """The trials as columns: their values, and their return with each seed."""
    found: dict[str, list[Any]] = {"trial": [row["trial"] for row in rows]}
    for name in rows[0]["values"]:
        found[name] = [row["values"][name] for row in rows]
    for name in ("status", "steps", "mean"):
        found[name] = [row[name] for row in rows]
    for place in range(max(len(row["returns"]) for row in rows)):
        found[f"return_{place}"] = [
            row["returns"][place] if place < len(row["returns"]) else None for row in rows
        ]
    return found


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """A line per trial."""
    columns = _columns(rows)
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from None


def _write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    """A row per trial; values of a column that are not all numbers or all flags are words."""
    try:
        pandas: Any = importlib.import_module("pandas")
        importlib.import_module("pyarrow")
    except ImportError:
        raise CommandError(
            f"writing {path} needs pandas and pyarrow: pip install pandas pyarrow"
        ) from None
    columns = {name: _of_one_kind(column) for name, column in _columns(rows).items()}
    try:
        pandas.DataFrame(columns).to_parquet(path, engine="pyarrow", index=False)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror or error}") from None


def _of_one_kind(column: list[Any]) -> list[Any]:
    given = [value for value in column if value is not None]
    flags = [isinstance(value, bool) for value in given]
    numbers = [isinstance(value, int | float) for value in given]
    if all(flags) or (all(numbers) and not any(flags)):
        return column
    return [None if value is None else str(value) for value in column]

"""`jaxrl best SWEEP`."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxrl import presets, runs, sweeps
from jaxrl.cli.arguments import parse
from jaxrl.cli.errors import CommandError
from jaxrl.cli.user_modules import import_modules_of


@dataclasses.dataclass(frozen=True)
class BestArguments:
    """The arguments of `best`."""

    sweep: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SWEEP")]
    """Folder of the sweep."""
    preset: Path | None = None
    """Write the settings to this file, for `jaxrl train --preset-file`; none: print them."""


def run(arguments: list[str]) -> int:
    """Prints the settings of the best trial as a preset, or writes them to a file."""
    values = parse(
        BestArguments,
        arguments,
        prog="jaxrl best",
        description="The settings of a sweep's best trial, as a preset file.",
    )
    import_modules_of(values.sweep)
    try:
        sweep = sweeps.read_sweep(values.sweep)
        rows = sweeps.sorted_rows(sweeps.trial_rows(sweep, values.sweep))
    except runs.ExperimentError as error:
        raise CommandError(str(error)) from error
    if rows[0]["mean"] is None:
        raise CommandError(f"{values.sweep} has no trial with a return yet")
    text = _preset_text(sweep, rows[0])
    if values.preset is None:
        sys.stdout.write(text)
        return 0
    try:
        values.preset.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"cannot write {values.preset}: {error.strerror}") from None
    base = sweep.base
    flags = "".join(f" {flag}" for flag in _environment_flags(sweep, rows[0]))
    sys.stdout.write(
        f"{values.preset}: trial {rows[0]['trial']}; train with it: jaxrl train {base.algorithm} "
        f"{base.environment} --preset-file {values.preset}{flags}\n"
    )
    return 0


def _preset_text(sweep: sweeps.Sweep, row: dict[str, Any]) -> str:
    """A preset: every setting that departs from the algorithm's default, under the environment."""
    base = sweep.base
    settings, _ = sweeps.split_trial(row["values"])
    found = dataclasses.replace(base.settings, **settings)
    lines = [
        f"# {base.algorithm}: trial {row['trial']} of {len(sweep.trials)}, mean return "
        f"{row['mean']:.6g} over {len(row['returns'])} seeds"
    ]
    flags = _environment_flags(sweep, row)
    if flags:
        lines.append(f"# in an environment with {' '.join(flags)}")
    return "\n".join(lines) + f"\n{presets.preset_text(base.environment, found)}"


def _environment_flags(sweep: sweeps.Sweep, row: dict[str, Any]) -> list[str]:
    """The environment's parameters of a trial, as they are typed."""
    _, own = sweeps.split_trial(row["values"])
    flags: list[str] = []
    for name, value in {**sweep.base.environment_parameters, **own}.items():
        flag = f"env.{name}".replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--env.no-{name}".replace("_", "-"))
        else:
            flags.append(f"--{flag} {value}")
    return flags

"""`jaxrl resume RUN`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from jaxrl import runs, sweeps
from jaxrl.cli.arguments import parse
from jaxrl.cli.errors import CommandError
from jaxrl.cli.finish import finish
from jaxrl.cli.joining import JoiningArguments
from jaxrl.cli.sweep_report import finish_sweep
from jaxrl.cli.user_modules import import_modules_of


@dataclasses.dataclass(frozen=True)
class ResumeArguments:
    """The arguments of `resume`."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Folder of the run, or of a sweep."""
    total_steps: int | None = None
    """Go on with a run, finished or not, to this larger budget."""
    processes: Annotated[JoiningArguments, tyro.conf.arg(name="")] = dataclasses.field(
        default_factory=JoiningArguments
    )


def run(arguments: list[str], *, processes: sweeps.Processes | None = None) -> int:
    """Goes on with a run from its newest usable checkpoint, or with a sweep or a share of it."""
    values = parse(
        ResumeArguments,
        arguments,
        prog="jaxrl resume",
        description="Go on with a run or a sweep that was stopped; it ends with the same bits as "
        "one that was not.",
    )
    is_sweep = (values.run / sweeps.SWEEP).is_file()
    import_modules_of(values.run)
    runs.enable_compilation_cache()
    try:
        if is_sweep:
            if values.total_steps is not None:
                raise CommandError("--total-steps is for runs, and this is a sweep")
            return finish_sweep(sweeps.resume(values.run, processes=processes), processes)
        outcome = runs.resume(values.run, total_steps=values.total_steps)
    except runs.ExperimentError as error:
        raise CommandError(str(error)) from error
    return finish(outcome)

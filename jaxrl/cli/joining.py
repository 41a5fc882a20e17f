"""`--distributed`: processes that share a sweep, joined before anything else uses JAX."""

import contextlib
import dataclasses
from collections.abc import Generator
from pathlib import Path

from jaxrl import sweeps
from jaxrl.cli import arguments as reader
from jaxrl.cli.errors import CommandError, checking_input

_TOLD = ("coordinator", "num-processes", "process-id")


@dataclasses.dataclass(frozen=True)
class JoiningArguments:
    """The processes that share a sweep."""

    distributed: bool = False
    """Share the sweep with other processes, each started with the same command: under SLURM and
    Open MPI they find each other."""
    coordinator: str | None = None
    """HOST:PORT where process 0 listens while they join, if nothing says so."""
    num_processes: int | None = None
    """How many processes there are, if nothing says so."""
    process_id: int | None = None
    """Of this process, from 0 on, if nothing says so."""


@contextlib.contextmanager
def joined_processes(command: str, arguments: list[str]) -> Generator[sweeps.Processes | None]:
    """Joins the processes of a sweep, where the words ask for that.

    JAX must not have been used before, so this comes before the user's modules are imported.

    Args:
        command: sweep or resume.
        arguments: the words after it.

    Yields:
        The processes; None where this one works alone.

    Raises:
        CommandError: the words do not say who they are and where they meet, or they cannot join.
    """
    given = reader.given_flags(arguments)
    if "distributed" not in given or any(word in reader.HELP for word in arguments):
        told = [flag for flag in _TOLD if flag in given]
        if told and "distributed" not in given:
            raise CommandError(f"--{told[0]} does nothing without --distributed")
        yield None
        return
    told = _read(arguments)
    folder = _folder(command, arguments)
    with checking_input():
        sweeps.check_joining(told.coordinator, told.num_processes, told.process_id)
    with contextlib.ExitStack() as held:
        with checking_input():
            joined = sweeps.joined(
                folder,
                coordinator=told.coordinator,
                num_processes=told.num_processes,
                process_id=told.process_id,
            )
            processes = held.enter_context(joined)
        yield processes


def _read(arguments: list[str]) -> JoiningArguments:
    """Reads these flags alone: the others are known when the user's modules are imported."""
    words = []
    for flag in _TOLD:
        if flag in reader.given_flags(arguments):
            value = reader.value_of(arguments, flag)
            words += [f"--{flag}", *([] if value is None else [value])]
    return reader.parse(JoiningArguments, words, prog="jaxrl sweep", description="")


def _folder(command: str, arguments: list[str]) -> Path:
    """The folder that the processes share, which must be free or hold a sweep already."""
    if command == "sweep":
        out = reader.value_of(arguments, "out")
        if out is None:
            raise CommandError("--distributed needs --out: the folder that all processes share")
        overwrite = "overwrite" in reader.given_flags(arguments)
        with checking_input():
            sweeps.check_new_sweep(Path(out), overwrite=overwrite)
        return Path(out)
    words, _ = reader.take_positionals(arguments, 1, lambda _: reader.flags(JoiningArguments))
    if not words:
        raise CommandError("RUN is missing: the folder of a sweep")
    if not (Path(words[0]) / sweeps.SWEEP).is_file():
        raise CommandError(f"{words[0]} is not a sweep: --distributed goes on with sweeps only")
    return Path(words[0])

"""Modules of the user's own, which register algorithms and environments when they are imported."""

import contextvars
import importlib
import os
import sys
from pathlib import Path
from typing import Any

from jaxrl.cli.errors import CommandError
from jaxrl.runs.folder import CONFIG, read_json
from jaxrl.sweeps import SWEEP

# Of the command that is being carried out.
_trusts = contextvars.ContextVar("trusts", default=False)


def take_imports(arguments: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Takes `--import MODULE` out of the words, and notes whether `--trust` is given.

    Args:
        arguments: the words of the command line.

    Returns:
        The words without these flags, and the names of the modules.

    Raises:
        CommandError: a name is missing or is none.
    """
    _trusts.set(False)
    rest: list[str] = []
    names: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        flag, equals, value = argument.partition("=")
        if argument == "--trust":
            _trusts.set(True)
            continue
        if flag != "--import":
            rest.append(argument)
            continue
        name = value if equals else next(remaining, "")
        if not name:
            raise CommandError("--import needs the name of a Python module")
        if not _is_module_name(name):
            raise CommandError(
                f"--import {name}: expected the name of a Python module, such as "
                f"{name.removesuffix('.py').replace('/', '.')}"
            )
        names.append(name)
    return rest, tuple(dict.fromkeys(names))


def import_modules(names: tuple[str, ...]) -> None:
    """Imports what `--import` named.

    Files in the present folder can be imported, as with `python -m`.

    Raises:
        CommandError: there is no such module.
    """
    for name in names:
        _import(name, f"--import {name}: there is no such module")


def import_modules_of(run: Path) -> None:
    """Imports the modules that a run or a sweep was trained with, where `--trust` was given.

    A module is a program, and the folder may be of somebody else's: without `--trust`, they must
    have been named by `--import`.

    Args:
        run: the folder; whoever reads the run says what is wrong with another one.

    Raises:
        CommandError: one was not imported, or there is no such module here.
    """
    # Only the command line does this: reading a run from Python imports nothing.
    path = run / SWEEP if (run / SWEEP).is_file() else run / CONFIG
    try:
        data: Any = read_json(path)
    except (OSError, ValueError):
        return
    if path.name == SWEEP and isinstance(data, dict):
        data = data.get("base")
    names = data.get("imports") if isinstance(data, dict) else None
    for name in names if isinstance(names, list) else []:
        if isinstance(name, str) and _is_module_name(name) and name not in sys.modules:
            if not _trusts.get():
                raise CommandError(
                    f"{run} was trained with --import {name}: give that too, or --trust to import "
                    "what the folder names"
                )
            _import(
                name,
                f"{run} was trained with --import {name}, and there is no such module here: run "
                "the command from the folder that it is in",
            )


def _is_module_name(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _import(name: str, complaint: str) -> None:
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        # A module that is missing inside the user's module is reported where it is missing.
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise
        raise CommandError(complaint) from None

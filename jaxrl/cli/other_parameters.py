"""Flags of the commands that play a run's policies, in its environment or with other parameters."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from jaxrl import environments, runs
from jaxrl.cli.arguments import HELP, flags, given_flags, parse, take_positionals
from jaxrl.cli.errors import CommandError, checking_input
from jaxrl.cli.run_flags import given_parameters
from jaxrl.cli.settings_flags import parameter_arguments
from jaxrl.cli.user_modules import import_modules_of

Flags = TypeVar("Flags")


def read_played_run(
    arguments: list[str], flags_type: type[Flags], *, command: str, description: str
) -> tuple[Flags, dict[str, Any]]:
    """Reads a command's own flags and those of the run's environment.

    Args:
        arguments: the words after the command.
        flags_type: the command's own flags; their only positional is the run's folder.
        command: such as "evaluate", for the help.
        description: for the help; what `--env.NAME` means is put behind it.

    Returns:
        The command's own flags, and the environment's parameters that were typed.

    Raises:
        CommandError: the run is missing, a flag is unknown, or its value cannot be.
    """
    known = flags(flags_type)
    words, rest = take_positionals(arguments, 1, lambda _: known)
    if not words and not any(word in HELP for word in rest):
        raise CommandError(f"RUN is missing (see jaxrl {command} --help)")
    parameters: dict[str, environments.Parameter] = {}
    if words and any(flag.startswith("env.") for flag in given_flags(arguments)):
        import_modules_of(Path(words[0]))
        with checking_input():
            name = runs.read_specification(words[0]).environment
            parameters = environments.parameters_of(name)
    env = parameter_arguments(parameters)
    both = dataclasses.make_dataclass(
        "arguments",
        [("own", Annotated[flags_type, tyro.conf.arg(name="")]), ("env", env, env())],
        frozen=True,
    )
    values: Any = parse(
        both,
        arguments,
        prog=f"jaxrl {command}",
        description=f"{description} --env.NAME VALUE plays in the run's environment with another "
        "parameter.",
    )
    return values.own, given_parameters(vars(values.env), given_flags(arguments))

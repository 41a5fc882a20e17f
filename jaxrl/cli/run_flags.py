"""Flags of a run, shared by the commands that train: the run's own, the algorithm's, the task's."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import tyro

from jaxrl import environments, presets, registry, runs
from jaxrl.cli import arguments as reader
from jaxrl.cli.errors import CommandError, check_range, checking_input
from jaxrl.cli.settings_flags import parameter_arguments, settings_arguments, settings_of
from jaxrl.runs.members import LARGEST_SEED
from jaxrl.settings import ALIASES


class _RunFlags(Protocol):
    """What every command that trains has among its flags."""

    @property
    def seeds(self) -> int:
        """How many agents to train."""
        ...

    @property
    def seed(self) -> int:
        """Of the first one."""
        ...


Flags = TypeVar("Flags", bound=_RunFlags)


def take_names(
    arguments: list[str], command: str, flags_type: type
) -> tuple[registry.Entry | None, str | None, list[str]]:
    """Splits the words of a command into the algorithm, the environment and the flags.

    Args:
        arguments: the words.
        command: such as "train", for messages.
        flags_type: the command's own flags.

    Returns:
        The algorithm, None where only its help is asked for; the environment, None where the help
        is; and the flags.

    Raises:
        CommandError: a name is missing or unknown.
    """
    arguments = _with_own_names(arguments, _known_flags(flags_type, ""))
    words, rest = reader.take_positionals(
        arguments, 2, lambda algorithm: _known_flags(flags_type, algorithm)
    )
    wants_help = any(word in reader.HELP for word in rest)
    if wants_help and not words:
        return None, None, rest
    if not words:
        raise CommandError(
            f"no algorithm was given: jaxrl {command} ALGORITHM ENVIRONMENT, "
            f"where ALGORITHM is one of {', '.join(registry.names())}"
        )
    with checking_input():
        entry = registry.get(words[0])
    if len(words) < 2 and not wants_help:
        raise CommandError(
            f"no environment was given: jaxrl {command} {entry.name} ENVIRONMENT (see jaxrl list)"
        )
    environment = environments.canonical_name(words[1]) if len(words) == 2 else None
    return entry, environment, rest


def read_run(
    entry: registry.Entry,
    environment: str | None,
    rest: list[str],
    *,
    command: str,
    flags_type: type[Flags],
) -> tuple[runs.Specification, Flags, Any]:
    """Reads the flags of a run; prints the help and exits where it is asked for.

    Args:
        entry: the algorithm.
        environment: its name; None where only the help is asked for.
        rest: the flags.
        command: such as "train", for the help.
        flags_type: the command's own flags; those that a Specification has are put into it.

    Returns:
        The run, the command's own flags, and the settings object that the flags changed.

    Raises:
        CommandError: a flag is unknown, or its value cannot be.
    """
    parameters: dict[str, environments.Parameter] = {}
    if environment is not None:
        with checking_input():
            environments.make_env(environment)
            parameters = environments.parameters_of(environment)
    with checking_input():
        defaults, source = _defaults(entry, environment, rest)
    values: Any = reader.parse(
        _run_arguments(flags_type, settings_arguments(entry.settings, defaults), parameters),
        rest,
        prog=f"jaxrl {command} {entry.name} {environment or 'ENVIRONMENT'}",
        description=_description(entry, source),
    )
    options: Flags = values.run
    changed = given_parameters(vars(values.env), reader.given_flags(rest))
    common = {field.name for field in dataclasses.fields(runs.Specification)}
    check_range("seeds", options.seeds, minimum=1)
    check_range("seed", options.seed, minimum=0, maximum=LARGEST_SEED)
    given = {
        name: value for name, value in vars(options).items() if name in common and name != "preset"
    }
    with checking_input():
        settings = entry.settings(**settings_of(values.settings))
        if "evaluation_interval" in given:
            given["evaluation_interval"] = _evaluation_interval(
                given["evaluation_interval"], given["evaluation_episodes"], settings.total_steps
            )
        specification = runs.Specification(
            algorithm=entry.name,
            environment=str(environment),
            settings=settings,
            environment_parameters=changed,
            members=runs.make_members(range(options.seed, options.seed + options.seeds)),
            preset=source,
            **given,
        )
    return specification, options, defaults


def _evaluation_interval(typed: int | None, episodes: int, total_steps: int) -> int | None:
    """What a Specification knows under this name: 0 is typed where it has None."""
    if typed is None and episodes:
        return max(1, total_steps // 20)
    return typed or None


def _with_own_names(arguments: list[str], known: dict[str, Any]) -> list[str]:
    """The words with flags that have another name too, such as --lr, as ours."""
    own = {
        name.replace("_", "-"): field.replace("_", "-")
        for name, field in {**ALIASES, "config": "preset_file"}.items()
        if name.replace("_", "-") not in known
    }

    def renamed(word: str) -> str:
        flag, equals, value = word.partition("=")
        name = flag[2:].replace("_", "-") if flag.startswith("--") else ""
        return f"--{own[name]}{equals}{value}" if name in own else word

    return [renamed(word) for word in arguments]


def default_folder(parent: str, specification: runs.Specification) -> Path:
    """Names a folder that does not exist, by what runs in it and the time.

    Args:
        parent: the folder that it is made in.
        specification: what runs.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    name = f"{specification.algorithm}-{specification.environment}-{stamp}"
    folder = Path(parent) / name.replace("/", "-")
    # Two may begin within a second.
    count = 2
    while folder.exists():
        folder = folder.with_name(f"{name}-{count}".replace("/", "-"))
        count += 1
    return folder


def given_parameters(values: dict[str, Any], given: set[str]) -> dict[str, Any]:
    """The environment's parameters that were typed, by name; a file's path in full.

    Args:
        values: of all parameters, as they were read.
        given: the flags that were typed.
    """
    return {
        name: _absolute(value)
        for name, value in values.items()
        if given & {f"env.{name}".replace("_", "-"), f"env.no-{name}".replace("_", "-")}
    }


def _absolute(value: Any) -> Any:
    """The value, a file's path in full: a run is resumed and evaluated from other folders too."""
    is_file = isinstance(value, str) and Path(value).suffix and Path(value).is_file()
    return str(Path(value).absolute()) if is_file else value


def _run_arguments(flags: Any, settings: type, parameters: dict[str, Any]) -> type:
    """The parser's dataclass: flags of the run, of the algorithm, and of the environment."""
    flat = tyro.conf.arg(name="")
    env = parameter_arguments(parameters)
    return dataclasses.make_dataclass(
        "arguments",
        [
            ("run", Annotated[flags, tyro.conf.OmitArgPrefixes], flags()),
            ("settings", Annotated[settings, flat], settings()),
            ("env", env, env()),
        ],
        frozen=True,
    )


def _defaults(
    entry: registry.Entry, environment: str | None, rest: list[str]
) -> tuple[Any, str | None]:
    """The settings that the flags change, and the name of the preset that they came from."""
    file = reader.value_of(rest, "preset-file")
    if "no-preset" in reader.given_flags(rest):
        if file is not None:
            raise CommandError("--preset-file and --no-preset exclude each other")
        return entry.settings(), None
    if file is not None and environment is not None:
        return presets.settings_from_file(file, entry.name, environment), file
    if environment is None or presets.preset(entry.name, environment) is None:
        return entry.settings(), None
    return presets.preset_settings(entry.name, environment), f"{entry.name}/{environment}"


def _known_flags(flags: type, algorithm: str) -> dict[str, Any]:
    """The flags that can be told apart before the environment is known."""
    known = reader.flags(flags)
    names = [algorithm] if algorithm in registry.names() else registry.names()
    for name in names:
        settings = registry.get(name).settings
        known |= reader.flags(settings_arguments(settings, settings()))
    return known


def _description(entry: registry.Entry, source: str | None) -> str:
    own = "the algorithm's own settings" if source is None else f"the preset {source}"
    return f"{entry.description} The defaults below are those of {own}."

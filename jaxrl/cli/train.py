"""`jaxrl train ALGORITHM ENVIRONMENT`."""

import dataclasses
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxrl import environments, presets, registry, runs
from jaxrl.cli import arguments as reader
from jaxrl.cli.errors import CommandError, check_range, checking_input
from jaxrl.cli.finish import finish
from jaxrl.cli.settings_flags import parameter_arguments, settings_arguments
from jaxrl.runs.folder import check_new
from jaxrl.runs.members import LARGEST_SEED

PROG = "jaxrl train"


@dataclasses.dataclass(frozen=True)
class RunArguments:
    """The arguments of `train` beside the settings of the algorithm."""

    out: Path | None = None
    """Folder of the run; none: runs/ALGORITHM-ENVIRONMENT-TIME."""
    overwrite: bool = False
    """Replace the run that is in the folder."""
    preset: bool = True
    """Start from the tuned settings for this algorithm and environment, where there are some."""
    seeds: int = 1
    """How many independent agents to train side by side."""
    seed: int = 0
    """Of the first agent; the others count on from it."""
    log_interval: int | None = None
    """Environment steps between two rows of metrics; none: a two-hundredth of the run."""
    evaluation_interval: int | None = None
    """Environment steps between two evaluations; none: one at the end."""
    evaluation_episodes: int = 100
    """Episodes per agent and evaluation; 0: no evaluation."""
    checkpoint_interval: int | None = None
    """Environment steps between two checkpoints, beside those by the clock."""
    checkpoint_minutes: float | None = 5.0
    """Minutes between two checkpoints; none: only by steps and at the end."""
    keep_checkpoints: int = 3
    """How many of the newest checkpoints stay."""
    wandb_project: str | None = None
    """Also log to this Weights & Biases project (pip install "jaxrl[wandb]")."""


def run(arguments: list[str], *, imports: tuple[str, ...] = ()) -> int:
    """Trains, evaluates, and writes a run folder, which remembers the imported modules."""
    words, rest = reader.take_positionals(arguments, 2, _known_flags)
    wants_help = any(word in reader.HELP for word in rest)
    if wants_help and not words:
        sys.stdout.write(_help())
        return 0
    if not words:
        raise CommandError(
            "no algorithm was given: jaxrl train ALGORITHM ENVIRONMENT, "
            f"where ALGORITHM is one of {', '.join(registry.names())}"
        )
    with checking_input():
        entry = registry.get(words[0])
    if len(words) < 2 and not wants_help:
        raise CommandError(
            f"no environment was given: {PROG} {entry.name} ENVIRONMENT (see jaxrl list)"
        )
    environment = environments.canonical_name(words[1]) if len(words) == 2 else None
    specification, options = _specification(entry, environment, rest)
    return _train(dataclasses.replace(specification, imports=imports), options)


def _specification(
    entry: registry.Entry, environment: str | None, rest: list[str]
) -> tuple[runs.Specification, RunArguments]:
    """Reads the flags; prints the help and exits where it is asked for."""
    parameters: dict[str, environments.Parameter] = {}
    if environment is not None:
        with checking_input():
            environments.make_env(environment)
            parameters = environments.parameters_of(environment)
    given = reader.given_flags(rest)
    use_preset = "no-preset" not in given and environment is not None
    tuned = presets.preset(entry.name, environment) if use_preset and environment else None
    with checking_input():
        defaults = (
            presets.preset_settings(entry.name, environment)
            if tuned is not None and environment
            else entry.settings()
        )
    values: Any = reader.parse(
        _train_arguments(settings_arguments(entry.settings, defaults), parameters),
        rest,
        prog=" ".join(filter(None, (PROG, entry.name, environment or "ENVIRONMENT"))),
        description=_description(entry, environment, preset=tuned is not None),
    )
    options: RunArguments = values.run
    changed = {
        name: getattr(values.env, name)
        for name in vars(values.env)
        if given & {f"env.{name}".replace("_", "-"), f"env.no-{name}".replace("_", "-")}
    }
    common = {field.name for field in dataclasses.fields(runs.Specification)}
    check_range("seeds", options.seeds, minimum=1)
    check_range("seed", options.seed, minimum=0, maximum=LARGEST_SEED)
    with checking_input():
        specification = runs.Specification(
            algorithm=entry.name,
            environment=str(environment),
            settings=entry.settings(**dataclasses.asdict(values.settings)),
            environment_parameters=changed,
            members=runs.make_members(range(options.seed, options.seed + options.seeds)),
            preset=None if tuned is None else f"{entry.name}/{environment}",
            **{
                name: value
                for name, value in dataclasses.asdict(options).items()
                if name in common and name != "preset"
            },
        )
    return specification, options


def _train(specification: runs.Specification, options: RunArguments) -> int:
    folder = options.out or _default_folder(specification)
    runs.enable_compilation_cache()
    with checking_input():
        check_new(folder, overwrite=options.overwrite)
        prepared = runs.prepare(specification)
    _announce(specification)
    try:
        outcome = runs.start(prepared, folder, overwrite=options.overwrite)
    except runs.ExperimentError as error:
        raise CommandError(str(error)) from error
    return finish(outcome)


def _announce(specification: runs.Specification) -> None:
    if specification.preset is None:
        source = "no preset: the algorithm's own defaults"
    else:
        source = f"preset {specification.preset}"
    if specification.preset is None:
        base = registry.get(specification.algorithm).settings()
    else:
        base = presets.preset_settings(specification.algorithm, specification.environment)
    changes = [
        f"{field.name}={value}"
        for field in dataclasses.fields(specification.settings)
        if (value := getattr(specification.settings, field.name)) != getattr(base, field.name)
    ]
    changes += [f"env.{name}={x}" for name, x in specification.environment_parameters.items()]
    count = len(specification.members)
    agents = "1 agent" if count == 1 else f"{count} agents"
    sys.stdout.write(
        f"{specification.algorithm} on {specification.environment}, {agents}; settings: {source}"
        f"{', with ' + ', '.join(changes) if changes else ''}\n"
    )
    sys.stdout.flush()


def _default_folder(specification: runs.Specification) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    name = f"{specification.algorithm}-{specification.environment}-{stamp}"
    folder = Path("runs") / name.replace("/", "-")
    # Two runs may begin within a second.
    count = 2
    while folder.exists():
        folder = folder.with_name(f"{name}-{count}".replace("/", "-"))
        count += 1
    return folder


def _train_arguments(settings: type, parameters: dict[str, Any]) -> type:
    """The parser's dataclass: flags of the run, of the algorithm, and of the environment."""
    flat = tyro.conf.arg(name="")
    env = parameter_arguments(parameters)
    return dataclasses.make_dataclass(
        "train",
        [
            ("run", Annotated[RunArguments, flat], RunArguments()),
            ("settings", Annotated[settings, flat], settings()),
            ("env", env, env()),
        ],
        frozen=True,
    )


def _known_flags(algorithm: str) -> dict[str, Any]:
    """The flags that can be told apart before the environment is known."""
    known = reader.flags(RunArguments)
    names = [algorithm] if algorithm in registry.names() else registry.names()
    for name in names:
        settings = registry.get(name).settings
        known |= reader.flags(settings_arguments(settings, settings()))
    return known


def _description(entry: registry.Entry, environment: str | None, *, preset: bool) -> str:
    own = "the algorithm's own settings"
    source = f"the preset {entry.name}/{environment}" if preset else own
    return f"{entry.description} The defaults below are those of {source}."


def _help() -> str:
    entries = [registry.get(name) for name in registry.names()]
    width = max(len(entry.name) for entry in entries)
    listed = "\n".join(f"  {entry.name:<{width}}  {entry.description}" for entry in entries)
    return f"""\
usage: jaxrl train ALGORITHM ENVIRONMENT [FLAGS]

Trains several agents side by side in one compiled program and writes a run folder with metrics,
evaluations, checkpoints and the learning curve.

algorithms:
{listed}

environments: see `jaxrl list environments`

  jaxrl train ppo CartPole-v1 --help       every flag, its meaning and its default
  jaxrl train ppo CartPole-v1 --seeds 8 --total-steps 100000 --out runs/demo
"""

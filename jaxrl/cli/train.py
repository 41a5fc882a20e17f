"""`jaxrl train ALGORITHM ENVIRONMENT`."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from jaxrl import registry, runs
from jaxrl.cli.errors import CommandError, checking_input
from jaxrl.cli.finish import finish
from jaxrl.cli.run_flags import default_folder, read_run, take_names
from jaxrl.cli.user_modules import import_modules_of


@dataclasses.dataclass(frozen=True)
class RunArguments:
    """Which agents are trained, when they are evaluated and saved, and where."""

    out: Path | None = None
    """Folder of the run; none: runs/ALGORITHM-ENVIRONMENT-TIME."""
    overwrite: bool = False
    """Replace the run that is in the folder."""
    preset: bool = True
    """Start from the tuned settings for this algorithm and environment, where there are some."""
    preset_file: Path | None = None
    """Start from the settings in this file, as jaxrl best and jaxrl show preset write it; also
    typed as --config."""
    start_from: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """Begin with the parameters and normalisers of this run; all the rest begins anew."""
    start_from_member: Annotated[int | None, tyro.conf.arg(name="from-member")] = None
    """Which agent of that run, for all; none: its only one, or each of as many for its own."""
    seeds: int = 1
    """How many independent agents to train side by side."""
    seed: int = 0
    """Of the first agent; the others count on from it."""
    log_interval: int | None = None
    """Environment steps between two rows of metrics; none: a two-hundredth of the run."""
    evaluation_interval: int | None = None
    """Environment steps between two evaluations, or 0: one at the end only; none: a twentieth of
    the run."""
    evaluation_episodes: int = 100
    """Episodes per agent and evaluation; 0: no evaluation."""
    checkpoint_interval: int | None = None
    """Environment steps between two checkpoints, beside those by the clock."""
    checkpoint_minutes: float | None = 5.0
    """Minutes between two checkpoints; none: only by steps and at the end."""
    keep_checkpoints: int = 3
    """How many of the newest checkpoints stay."""
    on_divergence: Literal["stop", "continue"] = "stop"
    """What happens when an agent's parameters are not finite any more. stop: the run ends when no
    other agent is left, keeps its last good checkpoint, and the exit code is 3."""
    keep_best: bool = False
    """Keep what each agent had learnt at its best evaluation, for evaluate --checkpoint best."""
    stop_at_return: float | None = None
    """End when the agents' mean return at an evaluation is as high."""
    stop_on_plateau: int | None = None
    """End when so many evaluations have brought no higher mean return."""
    shard: Literal["members", "envs"] = "members"
    """What several devices share: agents, or the environments of one (on-policy algorithms)."""
    wandb_project: str | None = None
    """Also log to this Weights & Biases project (pip install "jaxrl[wandb]")."""


def run(arguments: list[str], *, imports: tuple[str, ...] = ()) -> int:
    """Trains, evaluates, and writes a run folder, which remembers the imported modules."""
    entry, environment, rest = take_names(arguments, "train", RunArguments)
    if entry is None:
        sys.stdout.write(_help())
        return 0
    specification, options, defaults = read_run(
        entry, environment, rest, command="train", flags_type=RunArguments
    )
    if options.start_from is not None:
        import_modules_of(Path(options.start_from))
        # A run is resumed from other folders too.
        folder = str(Path(options.start_from).absolute())
        specification = dataclasses.replace(specification, start_from=folder)
    return _train(dataclasses.replace(specification, imports=imports), options, defaults)


def _train(specification: runs.Specification, options: RunArguments, defaults: Any) -> int:
    folder = options.out or default_folder("runs", specification)
    runs.enable_compilation_cache()
    with checking_input():
        runs.check_new(folder, overwrite=options.overwrite)
        runs.check_devices(specification)
        prepared = runs.prepare(specification)
    _announce(specification, defaults)
    try:
        outcome = runs.start(prepared, folder, overwrite=options.overwrite)
    except runs.ExperimentError as error:
        raise CommandError(str(error)) from error
    return finish(outcome)


def _announce(specification: runs.Specification, defaults: Any) -> None:
    if specification.preset is None:
        source = "no preset: the algorithm's own defaults"
    else:
        source = f"preset {specification.preset}"
    changes = [
        f"{field.name}={value}"
        for field in dataclasses.fields(specification.settings)
        if (value := getattr(specification.settings, field.name)) != getattr(defaults, field.name)
    ]
    changes += [f"env.{name}={x}" for name, x in specification.environment_parameters.items()]
    count = len(specification.members)
    agents = "1 agent" if count == 1 else f"{count} agents"
    sys.stdout.write(
        f"{specification.algorithm} on {specification.environment}, {agents}; settings: {source}"
        f"{', with ' + ', '.join(changes) if changes else ''}\n"
    )
    sys.stdout.flush()


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

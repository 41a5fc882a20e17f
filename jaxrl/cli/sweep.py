"""`jaxrl sweep ALGORITHM ENVIRONMENT`."""

import dataclasses
import re
import sys
from pathlib import Path
from typing import Annotated

import tyro

from jaxrl import environments, runs, sweeps
from jaxrl.cli.errors import CommandError, check_range, checking_input
from jaxrl.cli.joining import JoiningArguments
from jaxrl.cli.run_flags import default_folder, read_run, take_names
from jaxrl.cli.space_flags import take_spaces
from jaxrl.cli.sweep_report import finish_sweep
from jaxrl.sweeps.sampling import ADAPTIVE_SAMPLERS, SAMPLERS

_UNITS = {"": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


@dataclasses.dataclass(frozen=True)
class SweepArguments:
    """Which trials there are, when one ends early, and where the table is written."""

    out: Path | None = None
    """Folder of the sweep; none: sweeps/ALGORITHM-ENVIRONMENT-TIME."""
    overwrite: bool = False
    """Replace the sweep that is in the folder."""
    preset: bool = True
    """Start from the tuned settings for this algorithm and environment, where there are some."""
    preset_file: Path | None = None
    """Start from the settings in this file, as jaxrl best and jaxrl show preset write it; also
    typed as --config."""
    trials: int | None = None
    """How many combinations of values to try; a grid takes all of them."""
    sampler: str = "random"
    """grid, random, sobol or latin (a Latin hypercube); or, adaptive, tpe or cmaes."""
    sampler_seed: int = 0
    """Of the draws of the trials."""
    batch: int | None = None
    """With an adaptive sampler: trials at a time; none: an eighth of them, and at least four."""
    storage: str | None = None
    """Of its study, such as sqlite:///study.db or a journal file; none: in the sweep's folder."""
    study: str | None = None
    """Name of the study in its storage; none: ALGORITHM-ENVIRONMENT."""
    seeds: int = 4
    """How many agents to train of every trial; the same seeds for all."""
    seed: int = 0
    """Of the first of them; the others count on from it."""
    halving: int | None = None
    """After each rung one trial in so many goes on; none: all are trained to the end."""
    median_stopping: bool = False
    """After each rung the trials below the median of their scores end."""
    rungs: int = 3
    """With --halving or --median-stopping: in how many parts the budget is cut."""
    validate: int = 0
    """Train the best trial again with so many fresh seeds: the return to believe."""
    memory: str | None = None
    """What the programs may need, such as 4GiB; none: most of what is free."""
    log_interval: int | None = None
    """Environment steps between two rows of metrics; none: a twentieth of the run."""
    evaluation_episodes: int = 100
    """Episodes per agent at the end of each rung."""
    checkpoint_minutes: float | None = 5.0
    """Minutes between two checkpoints; none: only at the end."""
    wandb_project: str | None = None
    """Also log every trial to this Weights & Biases project (pip install "jaxrl[wandb]")."""
    processes: Annotated[JoiningArguments, tyro.conf.arg(name="")] = dataclasses.field(
        default_factory=JoiningArguments
    )


def run(
    arguments: list[str],
    *,
    imports: tuple[str, ...] = (),
    processes: sweeps.Processes | None = None,
) -> int:
    """Trains every trial with every seed, and writes a sweep folder; or one process's share."""
    entry, environment, rest = take_names(arguments, "sweep", SweepArguments)
    if entry is None:
        sys.stdout.write(_HELP)
        return 0
    space: dict[str, sweeps.Distribution] = {}
    if environment is not None:
        with checking_input():
            environments.make_env(environment)
        space, rest = take_spaces(entry, environment, rest)
    base, options, _ = read_run(
        entry, environment, rest, command="sweep", flags_type=SweepArguments
    )
    if not space:
        raise CommandError(
            "nothing is searched: give a range or a list, such as --learning-rate log:1e-4..1e-2 "
            "or --num-steps 16,32"
        )
    sweep = _make_sweep(
        dataclasses.replace(base, imports=imports, keep_checkpoints=1), space, options
    )
    folder = options.out or default_folder("sweeps", base)
    runs.enable_compilation_cache()
    with checking_input():
        if processes is None:
            sweeps.check_new_sweep(folder, overwrite=options.overwrite)
        groups = sweeps.plan(sweep)
    if processes is None or processes.is_first:
        _announce(sweep, groups)
    try:
        outcome = sweeps.start(sweep, folder, overwrite=options.overwrite, processes=processes)
    except runs.ExperimentError as error:
        raise CommandError(str(error)) from error
    return finish_sweep(outcome, processes)


def _make_sweep(
    base: runs.Specification, space: dict[str, sweeps.Distribution], options: SweepArguments
) -> sweeps.Sweep:
    check_range("validate", options.validate, minimum=0)
    known = (*SAMPLERS, *ADAPTIVE_SAMPLERS)
    if options.sampler not in known:
        raise CommandError(f"--sampler {options.sampler}: it is one of {', '.join(known)}")
    with checking_input():
        return sweeps.make_sweep(
            base,
            space,
            trials=options.trials,
            sampler=options.sampler,
            sampler_seed=options.sampler_seed,
            batch=options.batch,
            storage=options.storage,
            study=options.study,
            halving=options.halving,
            median_stopping=options.median_stopping,
            rungs=options.rungs,
            validation_seeds=options.validate,
            memory=None if options.memory is None else _read_bytes(options.memory),
        )


def _read_bytes(word: str) -> int:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", word)
    if match is None or match[2].lower() not in _UNITS or not float(match[1]):
        raise CommandError(f"--memory {word} is no amount of memory: write 4GiB or 500MB")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def _announce(sweep: sweeps.Sweep, groups: list[sweeps.Group]) -> None:
    base = sweep.base
    trials, seeds = sweep.num_trials, len(sweep.seeds)
    source = "the algorithm's own defaults" if base.preset is None else f"preset {base.preset}"
    searched = ", ".join(f"{name} {values}" for name, values in sweep.space.items())
    programs = "1 program" if len(groups) == 1 else f"{len(groups)} programs"
    where = f" in {programs}" if sweep.study is None else f", {sweep.study.batch} trials at a time"
    lines = [
        f"{base.algorithm} on {base.environment}; settings: {source}",
        f"searched ({sweep.sampler}): {searched}",
        f"{trials} trials x {seeds} seeds = {trials * seeds:,} agents{where}",
    ]
    if sweep.study is not None and sweep.study.storage is not None:
        lines.append(f"study {sweep.study.name} in {sweep.study.storage}")
    if sweep.sampler == "cmaes":
        lists = [name for name, values in sweep.space.items() if not sweeps.is_ordered(values)]
        lines += [f"drawn at random, being lists without order: {', '.join(lists)}"] * bool(lists)
    if len(sweep.stops) > 1:
        stops = [stop or base.settings.total_steps for stop in sweep.stops]
        steps = ", ".join(f"{stop:,}" for stop in stops)
        share = f"one in {sweep.halving}" if sweep.halving is not None else "the upper half"
        lines.append(f"{share} goes on after each rung, which end at {steps} steps")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


_HELP = """\
usage: jaxrl sweep ALGORITHM ENVIRONMENT [FLAGS]

Trains every trial of a search over settings with several seeds, in as few compiled programs as can
be, and writes a sweep folder with a table of trials and a run folder per block of them.

A flag of a setting or of an environment's parameter may have

  16,32,64          a list of values (64x64,128x128 for lists of layers)
  0.8..1.0          all numbers between two ends
  log:1e-4..1e-2    the same, orders of magnitude as likely
  0.8..1.0:5        five values, evenly spaced

  jaxrl sweep ppo CartPole-v1 --help       every flag, its meaning and its default
  jaxrl sweep ppo CartPole-v1 --learning-rate log:1e-4..1e-2 --num-steps 16,32 --trials 32 --seeds 4
"""

"""A sweep from its first block to its last, however often it is stopped in between."""

import concurrent.futures
import contextlib
import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl import runs
from jaxrl.presets import preset_settings
from jaxrl.runs.checkpoints import Checkpoint
from jaxrl.runs.construction import check_differences
from jaxrl.runs.folder import locked, remove, write_atomically, writing
from jaxrl.runs.interruption import EXIT_CODE
from jaxrl.runs.provenance import provenance
from jaxrl.runs.runner import carry_out
from jaxrl.sweeps.batches import answers, open_study, probes, with_trials, write_trials_down
from jaxrl.sweeps.compiled_groups import Compiled, Fitted, GroupPrograms, fit
from jaxrl.sweeps.planning import Group, group_trials
from jaxrl.sweeps.progress import SweepDisplay
from jaxrl.sweeps.results import (
    BLOCKS,
    TRIALS,
    VALIDATION,
    BlockResult,
    best_first,
    collect,
    read_block,
    result_of_run,
    sorted_rows,
    trial_rows,
    write_block,
)
from jaxrl.sweeps.specification import SWEEP, Sweep, make_sweep, read_sweep, to_json
from jaxrl.sweeps.studies import OWN_JOURNAL

if TYPE_CHECKING:
    # It needs Optuna, an extra.
    from jaxrl.sweeps.asking import OpenStudy


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepOutcome:
    """How a sweep, or one part of it, went.

    Attributes:
        folder: of the sweep.
        finished: every trial was trained or stopped early; False: it was interrupted and saved.
        failed: groups whose programs could not be compiled, in words.
        compile_seconds: spent on tracing and compiling.
        run_seconds: spent on training, evaluating and writing.
    """

    folder: Path
    finished: bool
    failed: tuple[str, ...]
    compile_seconds: float
    run_seconds: float

    @property
    def trials(self) -> list[dict[str, Any]]:
        """A row per trial as the folder has it now, the best first; see `trial_rows`."""
        return sorted_rows(trial_rows(read_sweep(self.folder), self.folder))

    @property
    def exit_code(self) -> int:
        """0 for a finished sweep, 1 where a group failed, 130 for one that Ctrl-C stopped."""
        if not self.finished:
            return EXIT_CODE
        return 1 if self.failed else 0


def sweep(
    algorithm: str,
    environment: str,
    space: Mapping[str, Any],
    *,
    out: str | Path,
    settings: Any = None,
    environment_parameters: Mapping[str, Any] | None = None,
    seeds: int | Sequence[int] = 4,
    trials: int | None = None,
    sampler: str = "random",
    overwrite: bool = False,
    evaluation_episodes: int = 100,
    **options: Any,
) -> SweepOutcome:
    """Searches over settings: trains every trial with every seed, and writes a sweep folder.

    Args:
        algorithm: a registered name.
        environment: a name that `make_env` knows.
        space: distributions or lists, by the name of a setting, or `env.` and that of a parameter.
        out: the folder.
        settings: what the trials share; None: the preset's, or the algorithm's own.
        environment_parameters: what the trials' environments share.
        seeds: their number, from 0 on, or the seeds.
        trials: how many; None with a grid.
        sampler: "grid", "random", "sobol" or "latin"; or, adaptive, "tpe" or "cmaes".
        overwrite: whether an earlier sweep in the folder may be replaced.
        evaluation_episodes: per agent at the end of each rung.
        **options: `halving`, `median_stopping`, `rungs`, `validation_seeds`, `memory`: see `Sweep`;
            `sampler_seed`, and with an adaptive sampler `batch`, `storage`, `study`: `make_sweep`.

    Returns:
        How it went, and the table of trials.

    Raises:
        ExperimentError: the folder cannot be used.
        ValueError: something in it is wrong. Nothing was compiled or written.

    Example:
        outcome = jaxrl.sweep(
            "ppo",
            "CartPole-v1",
            {"learning_rate": log_uniform(1e-4, 1e-2), "num_steps": [16, 32, 64]},
            trials=32,
            out="sweeps/demo",
        )
        outcome.trials[0]["values"]
    """
    base = runs.Specification(
        algorithm=algorithm,
        environment=environment,
        settings=preset_settings(algorithm, environment) if settings is None else settings,
        environment_parameters=environment_parameters or {},
        members=runs.make_members(range(seeds) if isinstance(seeds, int) else seeds),
        evaluation_episodes=evaluation_episodes,
        keep_checkpoints=1,
    )
    search = make_sweep(base, space, trials=trials, sampler=sampler, **options)
    return start(search, out, overwrite=overwrite)


def plan(sweep: Sweep) -> list[Group]:
    """Sorts the trials into groups, and checks the settings of every one; compiles nothing.

    An adaptive sampler has no trials yet: the ends of its ranges are checked, with every list.

    Raises:
        ValueError: naming the trial whose settings or parameters cannot be.
    """
    if sweep.study is None:
        groups = group_trials(sweep)
        for group in groups:
            _check_group(group, sweep, f"trials {_few(group.trials)}")
        return groups
    tried = dataclasses.replace(sweep, trials=probes(sweep), sampler="random", study=None)
    try:
        groups = group_trials(tried)
    except ValueError as error:
        raise ValueError(f"the space holds what cannot be: {_without_trial(error)}") from None
    for group in groups:
        _check_group(group, tried, "the space holds what cannot be")
    return groups


def _check_group(group: Group, sweep: Sweep, prefix: str) -> None:
    try:
        run = group.run_of(group.trials, sweep.seeds[:1], None)
        runs.build(run)
        check_differences(run)
    except ValueError as error:
        raise ValueError(f"{prefix}: {error}") from error


def _without_trial(error: ValueError) -> str:
    return re.sub(r"^trial [0-9]+: ", "", str(error))


def start(sweep: Sweep, folder: str | Path, *, overwrite: bool = False) -> SweepOutcome:
    """Trains every trial of a sweep with every seed, and writes all of it to a folder.

    Args:
        sweep: the search.
        folder: new or empty; or an earlier sweep's, to be replaced.
        overwrite: whether an earlier sweep may be replaced. Other files are never touched.

    Returns:
        How it went. Ctrl-C ends it after the running chunk, saved.

    Raises:
        ExperimentError: the folder cannot be used.
        ValueError: a trial is wrong. Nothing was written.
    """
    folder = Path(folder)
    check_new_sweep(folder, overwrite=overwrite)
    groups = plan(sweep)
    if sweep.study is not None and sweep.study.storage is not None:
        # Before anything is written.
        open_study(sweep, folder)
    text = json.dumps(to_json(sweep) | {"provenance": provenance()}, indent=1) + "\n"
    with locked(folder):
        check_new_sweep(folder, overwrite=overwrite)
        _abandon_trials(folder)
        with writing(folder):
            # The new sweep.json last: killed in between, the folder holds the earlier sweep, to be
            # run again, and never something that is no sweep.
            for name in (TRIALS, f"{VALIDATION}-result.json", VALIDATION, BLOCKS, OWN_JOURNAL):
                remove(folder / name)
            write_atomically(folder / SWEEP, text)
        return _Execution(sweep, folder, groups).run()


def resume(folder: str | Path) -> SweepOutcome:
    """Goes on with a sweep that was stopped in any way, and ends with the same table.

    Args:
        folder: of the sweep.

    Raises:
        ExperimentError: the folder holds no sweep, one that cannot be carried out here, or another
            process works on it.
    """
    folder = Path(folder)
    sweep = read_sweep(folder)
    try:
        groups = plan(sweep)
    except ValueError as error:
        raise runs.ExperimentError(f"{folder} cannot go on: {error}") from error
    with locked(folder):
        return _Execution(sweep, folder, groups).run()


def check_new_sweep(folder: Path, *, overwrite: bool) -> None:
    """Checks that a new sweep may be made in a folder, and changes nothing.

    Raises:
        ExperimentError: it cannot be made or written, or it is not free.
    """
    if not (folder / SWEEP).is_file():
        runs.check_new(folder, overwrite=False)
    elif not overwrite:
        raise runs.ExperimentError(
            f"{folder} already holds a sweep: choose another folder, go on with it "
            f"(jaxrl resume {folder}) or replace it (--overwrite)"
        )


def _abandon_trials(folder: Path) -> None:
    """Tells the study of a sweep that is replaced that its last trials will not end."""
    # What cannot be read or reached has nobody who waits for these trials.
    with contextlib.suppress(runs.ExperimentError):
        earlier = read_sweep(folder)
        if earlier.study is not None and earlier.study.storage is not None:
            open_study(earlier, folder).abandon()


class _Execution:
    """A sweep at work; its folder is locked by the caller."""

    def __init__(self, sweep: Sweep, folder: Path, groups: Sequence[Group]) -> None:
        self._sweep = sweep
        self._folder = folder
        # Those of an adaptive sampler come batch by batch, and their programs serve later ones.
        self._groups = list(groups) if sweep.study is None else []
        self._compiled: Compiled | None = None if sweep.study is None else {}
        self._failed: list[str] = []
        self._compile_seconds = 0.0
        self._run_seconds = 0.0
        self._display = SweepDisplay(total_steps=self._planned_steps())

    def run(self) -> SweepOutcome:
        """Runs batch after batch, each of them rung after rung, then the validation."""
        finished = self._run_batches() and self._validate()
        self._write_trials()
        return SweepOutcome(
            folder=self._folder,
            finished=finished,
            failed=tuple(self._failed),
            compile_seconds=self._compile_seconds,
            run_seconds=self._run_seconds,
        )

    def _run_batches(self) -> bool:
        study = None if self._sweep.study is None else open_study(self._sweep, self._folder)
        for batch in self._sweep.batches:
            if study is not None:
                self._begin_batch(study, batch)
            if not self._run_rungs(list(batch)):
                return False
            if study is not None:
                self._write_trials()
                study.tell(answers(self._sweep, self._folder, batch))
        return True

    def _begin_batch(self, study: "OpenStudy", batch: range) -> None:
        """Asks for the trials of a batch, if it has none yet, and sorts them into groups."""
        own = self._sweep.study
        assert own is not None
        if len(self._sweep.trials) < batch.stop:
            asked = study.ask(len(batch), own.numbers)
            self._sweep = with_trials(self._sweep, asked)
            write_trials_down(self._sweep, self._folder)
            which = f"batch {batch.start // own.batch + 1} of {len(self._sweep.batches)}"
            self._display.say(
                f"{which}: {len(batch)} trials; {study.count()} of the study have ended"
            )
        possible = [trial for trial in batch if self._is_possible(trial)]
        if possible:
            self._groups += group_trials(self._sweep, possible)

    def _is_possible(self, trial: int) -> bool:
        """Whether the settings of a trial go together; one whose do not has failed."""
        name = f"rung0-trial{trial:05d}-failed"
        failure = read_block(self._folder, name)
        if failure is not None:
            self._failed.append(str(failure.reason))
            return False
        try:
            for group in group_trials(self._sweep, [trial]):
                _check_group(group, self._sweep, f"trial {trial}")
        except ValueError as error:
            self._write_failure(name, (trial,), 0, str(error))
            return False
        return True

    def _run_rungs(self, alive: list[int]) -> bool:
        for rung, stop_steps in enumerate(self._sweep.stops):
            if rung > 0:
                self._write_trials()
                alive = self._survivors(rung - 1, alive)
            if not self._run_rung(rung, stop_steps, set(alive)):
                return False
        return True

    def _run_rung(self, rung: int, stop_steps: int | None, alive: set[int]) -> bool:
        """Runs the blocks of a rung; the next group compiles while one runs."""
        todo = [
            (number, _restricted(group, alive))
            for number, group in enumerate(self._groups)
            if alive & set(group.trials)
        ]
        todo = [item for item in todo if not self._is_done(rung, *item)]
        with concurrent.futures.ThreadPoolExecutor(max_workers=1) as compiler:

            def begin(place: int) -> concurrent.futures.Future[Fitted] | None:
                if place == len(todo):
                    return None
                return compiler.submit(self._fit, rung, *todo[place], stop_steps)

            fitting = begin(0)
            for place, (number, group) in enumerate(todo):
                assert fitting is not None
                label = f"group {number + 1} of {len(self._groups)}"
                if not fitting.done():
                    count = len(group.trials) * len(self._sweep.seeds)
                    self._display.say(f"{label}: compiling for {count:,} agents ...")
                try:
                    fitted = fitting.result()
                except (jax.errors.JaxRuntimeError, ValueError) as error:
                    fitted = None
                    self._fail(rung, number, group, f"{label}: {error}")
                fitting = begin(place + 1)
                if fitted is not None and not self._run_group(rung, number, fitted, stop_steps):
                    return False
        return True

    def _fit(self, rung: int, number: int, group: Group, stop_steps: int | None) -> Fitted:
        """Compiles a group; cut as it was before, where it was cut before."""
        sweep, blocks = self._sweep, self._read_cut(rung, number, group)
        if blocks is not None:
            programs = GroupPrograms(group, sweep.seeds, stop_steps, self._compiled)
            return Fitted(group, blocks, programs)
        return fit(group, sweep.seeds, stop_steps, memory=sweep.memory, compiled=self._compiled)

    def _run_group(self, rung: int, number: int, fitted: Fitted, stop_steps: int | None) -> bool:
        path = self._cut_path(rung, number)
        if not path.exists():
            with writing(self._folder):
                path.parent.mkdir(exist_ok=True)
                write_atomically(path, json.dumps(fitted.blocks) + "\n")
        for index, trials in enumerate(fitted.blocks):
            name = f"{path.stem}-{index:03d}"
            if self._count_block(rung, name, trials):
                continue
            prepared, compiled = fitted.programs.of(trials)
            first = self._first_checkpoint(rung, trials) if rung else None
            run = self._folder / BLOCKS / name
            outcome = carry_out(prepared, run, self._display, compiled=compiled, first=first)
            self._run_seconds += outcome.run_seconds
            if not outcome.finished:
                return False
            result = result_of_run(run, trials, len(self._sweep.seeds), rung=rung)
            write_block(self._folder, name, result)
            self._count_block(rung, name, trials)
            self._say_best()
            if outcome.interrupted:
                return False
        self._compile_seconds += fitted.programs.compile_seconds
        return True

    def _is_done(self, rung: int, number: int, group: Group) -> bool:
        """Whether a group failed or all of its blocks are there; their steps then count as done.

        A group that failed is not tried again: what goes on after a rung depends on who was in it.
        """
        failure = read_block(self._folder, self._failure_name(rung, number))
        if failure is not None:
            self._failed.append(str(failure.reason))
            return True
        blocks = self._read_cut(rung, number, group)
        stem = self._cut_path(rung, number).stem
        if blocks is None:
            return False
        names = [f"{stem}-{index:03d}" for index in range(len(blocks))]
        if any(read_block(self._folder, name) is None for name in names):
            return False
        for name, trials in zip(names, blocks, strict=True):
            self._count_block(rung, name, trials)
        return True

    def _count_block(self, rung: int, name: str, trials: Sequence[int]) -> bool:
        """Adds the steps of a block to the display, if it has ended; returns whether it has."""
        result = read_block(self._folder, name)
        if result is None:
            return False
        before = self._sweep.stops[rung - 1] if rung else 0
        agents = len(trials) * len(self._sweep.seeds)
        self._display.add_done(max(result.steps - (before or 0), 0) * agents)
        return True

    def _read_cut(self, rung: int, number: int, group: Group) -> tuple[tuple[int, ...], ...] | None:
        """The trials of each block of a group; None where it was not cut yet."""
        path = self._cut_path(rung, number)
        if not path.exists():
            return None
        try:
            blocks = tuple(map(tuple, json.loads(path.read_text(encoding="utf-8"))))
            if sorted(trial for block in blocks for trial in block) == sorted(group.trials):
                return blocks
        except (OSError, TypeError, ValueError, RecursionError):
            pass
        raise runs.ExperimentError(f"{path} cannot be used: it is damaged")

    def _first_checkpoint(self, rung: int, trials: Sequence[int]) -> Checkpoint:
        """The States of trials at the end of the rung before, from the blocks that they were in."""
        wanted, count = {trial: place for place, trial in enumerate(trials)}, len(self._sweep.seeds)
        sources: list[tuple[runs.Run, np.ndarray]] = []
        order: list[int] = []
        for name, result in collect(self._folder, rung=rung - 1).items():
            places = [i for i, trial in enumerate(result.trials) if trial in wanted]
            if result.reason is not None or not places:
                continue
            members = np.concatenate([np.arange(i * count, (i + 1) * count) for i in places])
            sources.append((runs.load(self._folder / BLOCKS / name), members))
            order += [wanted[result.trials[i]] for i in places]
        ranks = np.argsort(np.array(order))
        sorting = (ranks[:, None] * count + np.arange(count)).reshape(-1)

        def gather(*leaves: Any) -> Any:
            if np.ndim(leaves[0]) == 0:
                # Counts that all members share.
                return leaves[0]
            pairs = zip(leaves, sources, strict=True)
            taken = [leaf[members] for leaf, (_, members) in pairs]
            # The progress counts in int64, on the host.
            joined = np if isinstance(leaves[0], np.ndarray) else jnp
            return joined.concatenate(taken)[sorting]

        states = [run.states for run, _ in sources]
        progress = [run.progress for run, _ in sources]
        return Checkpoint(
            state=jax.tree.map(gather, *states),
            progress=jax.tree.map(gather, *progress),
            file_sizes={},
        )

    def _survivors(self, rung: int, alive: Sequence[int]) -> list[int]:
        """Those of the trials alive that go on after a rung."""
        scores = {
            trial: score
            for result in collect(self._folder, rung=rung).values()
            for trial, score in zip(result.trials, result.scores(), strict=True)
            if trial in alive
        }
        # Those that failed or diverged have nothing to go on with.
        known = {trial: score for trial, score in scores.items() if math.isfinite(score)}
        if self._sweep.median_stopping:
            middle = float(np.median(list(known.values()))) if known else 0.0
            return sorted(trial for trial, score in known.items() if score >= middle)
        return sorted(best_first(known)[: self._num_survivors(len(alive))])

    def _num_survivors(self, count: int) -> int:
        """How many of so many trials go on after a rung; with a median, where no two are equal."""
        return math.ceil(count / (self._sweep.halving or 2))

    def _validate(self) -> bool:
        """Trains the best trial again with seeds that it was not chosen on."""
        sweep = self._sweep
        rows = trial_rows(sweep, self._folder)
        complete = [row for row in rows if row["status"] == "complete"]
        if not sweep.validation_seeds or not complete:
            return True
        if read_block(self._folder, VALIDATION) is not None:
            return True
        best = best_first({row["trial"]: row["mean"] for row in complete})[0]
        group = next(group for group in self._groups if best in group.trials)
        self._display.say(f"validating trial {best} with {sweep.validation_seeds} fresh seeds")
        try:
            prepared, compiled = GroupPrograms(group, sweep.fresh_seeds, None).of([best])
        except (jax.errors.JaxRuntimeError, ValueError) as error:
            self._failed.append(f"validation of trial {best}: {' '.join(str(error).split())}")
            return True
        folder = self._folder / VALIDATION
        outcome = carry_out(prepared, folder, self._display, compiled=compiled)
        self._compile_seconds += compiled.compile_seconds
        self._run_seconds += outcome.run_seconds
        if outcome.finished:
            result = result_of_run(folder, [best], sweep.validation_seeds, rung=0)
            write_block(self._folder, VALIDATION, result)
        return outcome.finished

    def _fail(self, rung: int, number: int, group: Group, reason: str) -> None:
        self._write_failure(self._failure_name(rung, number), group.trials, rung, reason)

    def _write_failure(self, name: str, trials: Sequence[int], rung: int, reason: str) -> None:
        reason = " ".join(reason.split())
        self._display.say(f"failed: {reason}")
        self._failed.append(reason)
        with writing(self._folder):
            (self._folder / BLOCKS).mkdir(exist_ok=True)
        result = BlockResult.of_failure(trials, rung=rung, reason=reason)
        write_block(self._folder, name, result)

    def _failure_name(self, rung: int, number: int) -> str:
        return f"{self._cut_path(rung, number).stem}-failed"

    def _say_best(self) -> None:
        rows = [row for row in trial_rows(self._sweep, self._folder) if row["mean"] is not None]
        if rows:
            best = sorted_rows(rows)[0]
            self._display.say(
                f"{len(rows)} of {self._sweep.num_trials} trials; best so far: trial "
                f"{best['trial']}, mean return {best['mean']:.4g}"
            )

    def _write_trials(self) -> None:
        rows = trial_rows(self._sweep, self._folder)
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
        with writing(self._folder):
            write_atomically(self._folder / TRIALS, text)

    def _cut_path(self, rung: int, number: int) -> Path:
        return self._folder / BLOCKS / f"rung{rung}-group{number:03d}.json"

    def _planned_steps(self) -> int:
        sweep, total = self._sweep, 0
        for batch in sweep.batches:
            alive, before = len(batch), 0
            for stop in sweep.stops:
                until = stop if stop is not None else sweep.base.settings.total_steps
                total += alive * (until - before) * len(sweep.seeds)
                before = until
                alive = self._num_survivors(alive)
        return total


def _restricted(group: Group, alive: set[int]) -> Group:
    """The group without the trials that were stopped."""
    keep = [place for place, trial in enumerate(group.trials) if trial in alive]
    return Group(
        base=group.base,
        trials=tuple(group.trials[place] for place in keep),
        settings=tuple(group.settings[place] for place in keep),
        parameters=tuple(group.parameters[place] for place in keep),
    )


def _few(trials: Sequence[int]) -> str:
    def words() -> Iterator[str]:
        yield from map(str, trials[:3])
        if len(trials) > 3:
            yield f"... ({len(trials)} of them)"

    return ", ".join(words())

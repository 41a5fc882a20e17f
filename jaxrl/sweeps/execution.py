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
from jaxrl.runs.charts import check_wandb_is_installed
from jaxrl.runs.checkpoints import Checkpoint
from jaxrl.runs.construction import check_differences
from jaxrl.runs.folder import TENSORBOARD, WANDB, remove, write_atomically, writing
from jaxrl.runs.interruption import EXIT_CODE
from jaxrl.runs.provenance import provenance
from jaxrl.runs.runner import carry_out
from jaxrl.sweeps.batches import answers, open_study, probes, with_trials, write_trials_down
from jaxrl.sweeps.compiled_groups import Compiled, Fitted, GroupPrograms, default_memory, fit
from jaxrl.sweeps.dealing import (
    Deal,
    Part,
    close_deal,
    open_deal,
    parts_of,
    wait_for_deal,
    wait_for_end,
    write_cut,
)
from jaxrl.sweeps.planning import Group, group_trials
from jaxrl.sweeps.processes import Processes, alone
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
from jaxrl.sweeps.viewers import log_block, write_hparams

if TYPE_CHECKING:
    # It needs Optuna, an extra.
    from jaxrl.sweeps.asking import OpenStudy

# What overwriting removes.
_WRITTEN_BY_SWEEPS = (
    TRIALS,
    f"{VALIDATION}-result.json",
    VALIDATION,
    BLOCKS,
    OWN_JOURNAL,
    TENSORBOARD,
    WANDB,
)


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
    wandb_project: str | None = None,
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
        wandb_project: also log every trial to this Weights & Biases project, in one group.
        **options: `halving`, `median_stopping`, `rungs`, `validation_seeds`, `memory`: see `Sweep`;
            `sampler_seed`, and with an adaptive sampler `batch`, `storage`, `study`: `make_sweep`.

    Returns:
        How it went, and the table of trials.

    Raises:
        ExperimentError: the folder cannot be used.
        ValueError: something in it is wrong. Nothing was compiled or written.

    Example:
        space = {"learning_rate": log_uniform(1e-4, 1e-2), "num_steps": [16, 32, 64]}
        outcome = jaxrl.sweep("ppo", "CartPole-v1", space, trials=32, out="sweeps/demo")
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
        wandb_project=wandb_project,
    )
    search = make_sweep(base, space, trials=trials, sampler=sampler, **options)
    return start(search, out, overwrite=overwrite)


def plan(sweep: Sweep) -> list[Group]:
    """Sorts the trials into groups, and checks the settings of every one; compiles nothing.

    An adaptive sampler has no trials yet: the ends of its ranges are checked, with every list.

    Raises:
        ValueError: naming the trial whose settings or parameters cannot be.
    """
    if sweep.base.wandb_project is not None:
        check_wandb_is_installed()
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


def start(
    sweep: Sweep,
    folder: str | Path,
    *,
    overwrite: bool = False,
    processes: Processes | None = None,
) -> SweepOutcome:
    """Trains every trial of a sweep with every seed, and writes all of it to a folder.

    Args:
        sweep: the search.
        folder: new or empty; or an earlier sweep's, to be replaced.
        overwrite: whether an earlier sweep may be replaced. Other files are never touched.
        processes: that share the work, as `joined` gives them, each of which calls this with the
            same arguments; None: this one alone.

    Returns:
        How it went. Ctrl-C ends it after the running chunk, saved.

    Raises:
        ExperimentError: the folder cannot be used.
        ValueError: a trial is wrong. Nothing was written.
    """
    folder = Path(folder)
    if processes is None:
        check_new_sweep(folder, overwrite=overwrite)
    groups = plan(sweep)
    if sweep.study is not None and sweep.study.storage is not None:
        # Before anything is written.
        open_study(sweep, folder)
    text = json.dumps(to_json(sweep) | {"provenance": provenance()}, indent=1) + "\n"
    with _holding(folder, processes) as together:
        _check_processes(sweep, together)
        if together.is_first:
            check_new_sweep(folder, overwrite=overwrite)
            _abandon_trials(folder)
            with writing(folder):
                # The new sweep.json last: killed in between, the folder holds the earlier sweep, to
                # be run again, and never something that is no sweep.
                for name in _WRITTEN_BY_SWEEPS:
                    remove(folder / name)
                write_atomically(folder / SWEEP, text)
        deal = _take_deal(sweep, folder, together)
        return _Execution(sweep, folder, groups, together, deal).run()


def resume(folder: str | Path, *, processes: Processes | None = None) -> SweepOutcome:
    """Goes on with a sweep that was stopped in any way, and ends with the same table.

    Args:
        folder: of the sweep.
        processes: that share the work, as `joined` gives them; None: this one alone. They may be
            more or fewer than before.

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
    with _holding(folder, processes) as together:
        _check_processes(sweep, together)
        deal = _take_deal(sweep, folder, together)
        return _Execution(sweep, folder, groups, together, deal).run()


def _holding(
    folder: Path, processes: Processes | None
) -> contextlib.AbstractContextManager[Processes]:
    return alone(folder) if processes is None else contextlib.nullcontext(processes)


def _check_processes(sweep: Sweep, processes: Processes) -> None:
    if sweep.study is not None and processes.count > 1:
        raise runs.ExperimentError(
            f"sampler={sweep.sampler!r} asks for its trials batch by batch, and the processes of "
            "one sweep must know them: let several sweeps work on one study (--storage, --study)"
        )


def _take_deal(sweep: Sweep, folder: Path, processes: Processes) -> Deal:
    """Opens the folder in process 0; in another, waits until it is open, with this same sweep."""
    if processes.is_first:
        return open_deal(folder, processes)
    deal = wait_for_deal(folder, processes)
    if json.dumps(to_json(read_sweep(folder))) != json.dumps(to_json(sweep)):
        raise runs.ExperimentError(
            f"process {processes.index} was given another sweep than process 0: all need the same "
            "arguments"
        )
    return deal


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
    """One process's part of a sweep; its folder is held by the caller."""

    def __init__(
        self,
        sweep: Sweep,
        folder: Path,
        groups: Sequence[Group],
        processes: Processes,
        deal: Deal,
    ) -> None:
        self._sweep = sweep
        self._folder = folder
        # Those of an adaptive sampler come batch by batch, and their programs serve later ones.
        self._groups = list(groups) if sweep.study is None else []
        self._compiled: Compiled | None = None if sweep.study is None else {}
        self._processes = processes
        self._deal = deal
        self._interrupted = False
        self._failed: list[str] = []
        self._compile_seconds = 0.0
        self._run_seconds = 0.0
        self._display = SweepDisplay(total_steps=self._planned_steps() // processes.count)

    def run(self) -> SweepOutcome:
        """Runs batch after batch, each of them rung after rung, then the validation."""
        finished = self._run_batches() and self._validate()
        if not (finished or self._interrupted):
            # Whoever is left stops too, and what it has is saved.
            self._processes.check_all_are_there()
        if self._processes.is_first:
            self._write_trials()
        if finished and self._processes.is_first:
            close_deal(self._folder, self._deal, self._processes)
        failures = [x.reason for x in collect(self._folder).values() if x.reason is not None]
        return SweepOutcome(
            folder=self._folder,
            finished=finished,
            failed=(*failures, *self._failed),
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
        if read_block(self._folder, name) is not None:
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
                if self._processes.is_first:
                    self._write_trials()
                alive = self._survivors(rung - 1, alive)
            if not self._run_rung(rung, stop_steps, set(alive)):
                return False
            self._wait_for_results(rung, set(alive))
        return True

    def _run_rung(self, rung: int, stop_steps: int | None, alive: set[int]) -> bool:
        """Runs this process's blocks of a rung; the next group compiles while one runs."""
        parts = parts_of(
            self._folder,
            rung,
            self._groups,
            alive,
            deal=self._deal,
            processes=self._processes,
        )
        todo = [part for part in parts if not self._is_done(rung, part)]
        with concurrent.futures.ThreadPoolExecutor(max_workers=1) as compiler:

            def begin(place: int) -> concurrent.futures.Future[Fitted] | None:
                if place == len(todo):
                    return None
                return compiler.submit(self._fit, todo[place], stop_steps)

            fitting = begin(0)
            for place, part in enumerate(todo):
                assert fitting is not None
                label = f"group {part.number + 1} of {len(self._groups)}"
                if not fitting.done():
                    count = len(part.group.trials) * len(self._sweep.seeds)
                    self._display.say(f"{label}: compiling for {count:,} agents ...")
                try:
                    fitted = fitting.result()
                except (jax.errors.JaxRuntimeError, ValueError) as error:
                    fitted = None
                    self._fail(rung, part, f"{label}: {error}")
                fitting = begin(place + 1)
                if fitted is not None and not self._run_part(rung, part, fitted):
                    return False
        return True

    def _fit(self, part: Part, stop_steps: int | None) -> Fitted:
        """Compiles a group; cut as it was before, where it was cut before."""
        sweep, group = self._sweep, part.group
        if part.blocks is not None:
            programs = GroupPrograms(group, sweep.seeds, stop_steps, self._compiled)
            return Fitted(group, part.blocks, programs)
        memory = sweep.memory
        if memory is None:
            memory = default_memory(self._processes.on_this_host)
        return fit(group, sweep.seeds, stop_steps, memory=memory, compiled=self._compiled)

    def _run_part(self, rung: int, part: Part, fitted: Fitted) -> bool:
        if part.blocks is None:
            write_cut(self._folder, part, fitted.blocks)
        for index, trials in enumerate(fitted.blocks):
            name = part.name_of(index)
            if self._count_block(rung, name, trials) or not _is_own(part, index):
                continue
            prepared, compiled = fitted.programs.of(trials)
            first = self._first_checkpoint(rung, trials) if rung else None
            run = self._folder / BLOCKS / name
            outcome = carry_out(
                prepared,
                run,
                self._display,
                compiled=compiled,
                first=first,
                should_stop=self._processes.has_lost_one,
            )
            self._run_seconds += outcome.run_seconds
            self._interrupted = outcome.interrupted
            if not outcome.finished:
                return False
            result = result_of_run(run, trials, len(self._sweep.seeds), rung=rung)
            if self._sweep.base.wandb_project is not None:
                log_block(self._sweep, self._folder, run, result)
            write_block(self._folder, name, result)
            self._count_block(rung, name, trials)
            self._say_best()
            if outcome.interrupted:
                return False
        self._compile_seconds += fitted.programs.compile_seconds
        return True

    def _is_done(self, rung: int, part: Part) -> bool:
        """Whether all blocks of a part that are this process's are there, as counted."""
        if part.blocks is None:
            return False
        own = [i for i in range(len(part.blocks)) if _is_own(part, i)]
        names = [part.name_of(index) for index in range(len(part.blocks))]
        if any(read_block(self._folder, names[index]) is None for index in own):
            return False
        for name, trials in zip(names, part.blocks, strict=True):
            self._count_block(rung, name, trials)
        return True

    def _wait_for_results(self, rung: int, alive: set[int]) -> None:
        """Waits until every trial of a rung has its result, whoever trains it."""

        def look() -> bool | None:
            results = collect(self._folder, rung=rung).values()
            return True if alive <= {trial for x in results for trial in x.trials} else None

        if look() is None:
            self._display.say("waiting for the other processes ...")
            self._processes.wait_for(look)

    def _count_block(self, rung: int, name: str, trials: Sequence[int]) -> bool:
        """Adds the steps of a block to the display, if it has ended; returns whether it has."""
        result = read_block(self._folder, name)
        if result is None:
            return False
        before = self._sweep.stops[rung - 1] if rung else 0
        agents = len(trials) * len(self._sweep.seeds)
        self._display.add_done(max(result.steps - (before or 0), 0) * agents)
        return True

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
        """Trains the best trial again, in one process, with seeds that it was not chosen on."""
        if not self._processes.is_first:
            wait_for_end(self._folder, self._processes)
            return True
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
        outcome = carry_out(
            prepared,
            folder,
            self._display,
            compiled=compiled,
            should_stop=self._processes.has_lost_one,
        )
        self._compile_seconds += compiled.compile_seconds
        self._run_seconds += outcome.run_seconds
        self._interrupted = outcome.interrupted
        if outcome.finished:
            result = result_of_run(folder, [best], sweep.validation_seeds, rung=0)
            write_block(self._folder, VALIDATION, result)
        return outcome.finished

    def _fail(self, rung: int, part: Part, reason: str) -> None:
        self._write_failure(part.failure_name, part.own_trials, rung, reason)

    def _write_failure(self, name: str, trials: Sequence[int], rung: int, reason: str) -> None:
        reason = " ".join(reason.split())
        self._display.say(f"failed: {reason}")
        with writing(self._folder):
            (self._folder / BLOCKS).mkdir(exist_ok=True)
        result = BlockResult.of_failure(trials, rung=rung, reason=reason)
        write_block(self._folder, name, result)

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
        for row in rows:
            # How trials were cut into blocks depends on memory and processes; the table does not.
            del row["block"]
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
        with writing(self._folder):
            write_atomically(self._folder / TRIALS, text)
        write_hparams(self._folder, rows)

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


def _is_own(part: Part, block: int) -> bool:
    return part.own is None or block in part.own


def _few(trials: Sequence[int]) -> str:
    def words() -> Iterator[str]:
        yield from map(str, trials[:3])
        if len(trials) > 3:
            yield f"... ({len(trials)} of them)"

    return ", ".join(words())

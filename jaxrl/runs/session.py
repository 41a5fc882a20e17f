"""One process's part of a run: the loop over chunks, and what is written between them."""

import concurrent.futures
import contextlib
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from jaxrl.runs import checkpoints, plan, programs
from jaxrl.runs.best import (
    Best,
    better,
    load_best,
    mean_returns,
    past_returns,
    save_best,
    why_to_end,
)
from jaxrl.runs.divergence import (
    PARAMETERS,
    Beginning,
    Divergence,
    Found,
    diverged_members,
    find,
)
from jaxrl.runs.folder import DIVERGENCES, ExperimentError
from jaxrl.runs.grouping import identities_of
from jaxrl.runs.interruption import EXIT_CODE, Interruption
from jaxrl.runs.learnt import LEARNT_IS_FINITE
from jaxrl.runs.logs import Logs, RowEnds, cut_back
from jaxrl.runs.preparation import Prepared
from jaxrl.runs.progress import Display
from jaxrl.runs.specification import fingerprint
from jaxrl.training import Evaluation, Progress
from jaxrl.transfer import take_learned
from jaxrl.types import State

DIVERGED = 3
# Of each chunk, so that a run of thousands stays readable; divergences.jsonl has them all.
_MOST_SAID = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run, or one part of it, went.

    Attributes:
        folder: of the run.
        finished: the budget is spent; False: it was interrupted and saved.
        steps_before: environment steps of all members when this part began; 0 for a new run.
        steps: environment steps of all members at the end.
        compile_seconds: spent on tracing and compiling.
        run_seconds: spent on training, evaluating and writing; 0 where nothing was left to do.
        interrupted: Ctrl-C was pressed, be it in the last chunk.
        diverged: how many members have parameters that are not finite any more; not counted where
            the run was told to continue all the same.
    """

    folder: Path
    finished: bool
    steps_before: int
    steps: int
    compile_seconds: float
    run_seconds: float
    interrupted: bool = False
    diverged: int = 0

    @classmethod
    def nothing_left(cls, folder: Path, steps: int, diverged: int = 0) -> "Outcome":
        """Of a run that was finished before."""
        return cls(
            folder=folder,
            finished=True,
            steps_before=steps,
            steps=steps,
            compile_seconds=0.0,
            run_seconds=0.0,
            diverged=diverged,
        )

    @property
    def exit_code(self) -> int:
        """0 for a finished run, 3 where a member diverged, 130 for one that Ctrl-C stopped."""
        if self.diverged and not self.interrupted:
            return DIVERGED
        return 0 if self.finished else EXIT_CODE


class Session:
    """A run in memory; its folder is locked by the caller.

    Attributes:
        has_begun: whether this process has trained.
    """

    def __init__(
        self,
        folder: Path,
        prepared: Prepared,
        checkpoint: checkpoints.Checkpoint | None,
        display: Display,
        compiled: programs.Programs | None = None,
        earlier: State | None = None,
    ) -> None:
        """Compiles what is not compiled, and takes the state from the checkpoint or makes it.

        Args:
            folder: of the run.
            prepared: the run.
            checkpoint: where it goes on; None: at the beginning.
            display: of the progress.
            compiled: its programs; None: they are compiled.
            earlier: States of an earlier run, [members], which it begins from.
        """
        self._folder = folder
        self._prepared = prepared
        self._specification = specification = prepared.specification
        self._display = display
        # One of the runs of a sweep goes to its end whatever happens, and costs nothing twice.
        self._may_stop = compiled is None and specification.on_divergence == "stop"
        if compiled is None:
            display.say("compiling ...")
            compiled = programs.Programs(prepared, starts_anew=checkpoint is None)
        self._programs = compiled
        self._algorithm = self._programs.algorithm
        if checkpoint is not None:
            self._state, self._progress = checkpoint.state, checkpoint.progress
        else:
            self._state = self._programs.init()
            if earlier is not None:
                self._state = take_learned(self._state, earlier)
            self._progress = plan.first_progress(specification, self._algorithm)
        self._run = fingerprint(specification)
        cut_back(
            folder,
            checkpoint.file_sizes if checkpoint is not None else {},
            checkpoint.file_digests if checkpoint is not None else {},
        )
        self._diverged = diverged_members(folder, self._num_members())
        self._best = self._best_so_far() if specification.keep_best else None
        # Of a run that goes on to its budget, nobody asks for past returns.
        reached, plateau = specification.stop_at_return, specification.stop_on_plateau
        may_end_early = reached is not None or plateau is not None
        self._returns = past_returns(folder) if may_end_early else []
        self._saved_at = time.monotonic()
        self._saved_steps = self._slowest_steps()
        # What an earlier run was when this one began is not to be found again.
        self._is_saved = checkpoint is not None or earlier is None
        self._has_saved = False
        self.has_begun = False

    def _best_so_far(self) -> Best | None:
        try:
            return load_best(self._folder, self._prepared.state_type)
        except ExperimentError as error:
            # The run itself is whole, and goes on.
            self._display.say(f"{error}: the best is sought anew from here on")
            return None

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> Outcome:
        """Trains to the end, or until Ctrl-C.

        Args:
            should_stop: asked after each chunk, whether this one was the last for another reason.
        """
        began, steps_before = time.perf_counter(), self._all_steps()
        stop = Interruption(
            on_first=lambda: self._display.say(
                "stopping after this chunk; press Ctrl-C again to stop at once"
            ),
            on_second=self._display.close,
        )
        with (
            Logs(
                self._folder, self._specification, first_step=int(np.max(self._progress.steps))
            ) as logs,
            contextlib.closing(self._display),
            # The main thread waits for this one, so that it hears Ctrl-C while a chunk runs.
            concurrent.futures.ThreadPoolExecutor(max_workers=1) as worker,
            stop,
        ):
            self._display.begin(done=steps_before, total=self._budget())
            if not self._is_saved:
                worker.submit(self._save, logs).result()
            while not (self._has_ended() or stop.requested or self._has_failed() or should_stop()):
                worker.submit(self._run_chunk, logs).result()
                if self._is_checkpoint_due():
                    worker.submit(self._save, logs).result()
            # Not in the loop: Ctrl-C may come between its last line and its condition.
            if not self._is_saved:
                worker.submit(self._save, logs).result()
        if not self._is_finished() and self._why_to_end() is not None:
            self._display.say(f"ended early: {self._why_to_end()}")
        return Outcome(
            folder=self._folder,
            finished=self._has_ended(),
            steps_before=steps_before,
            steps=self._all_steps(),
            compile_seconds=self._programs.compile_seconds,
            run_seconds=time.perf_counter() - began,
            interrupted=stop.requested,
            diverged=self._count_diverged(),
        )

    def evaluate(self) -> Outcome:
        """Plays the evaluation at the end of a run in which nothing is left to train."""
        began = time.perf_counter()
        first_step = int(np.max(self._progress.steps))
        with Logs(self._folder, self._specification, first_step=first_step) as logs:
            evaluation = self._programs.evaluate(self._state, self._progress)
            logs.write_evaluation(self._steps_of_members(), evaluation)
            self._save(logs)
        return Outcome(
            folder=self._folder,
            finished=True,
            steps_before=self._all_steps(),
            steps=self._all_steps(),
            compile_seconds=self._programs.compile_seconds,
            run_seconds=time.perf_counter() - began,
            diverged=self._count_diverged(),
        )

    def _run_chunk(self, logs: Logs) -> None:
        before, steps_before, ends = self._progress, self._slowest_steps(), logs.ends()
        self._is_saved, self.has_begun = False, True
        self._state, self._progress, row = self._programs.advance(self._state, before)
        broken = ~row.pop(LEARNT_IS_FINITE)
        advanced = np.asarray(self._progress.iteration > before.iteration)
        logs.write_metrics(row, np.broadcast_to(advanced, (self._num_members(),)))
        if np.any(broken & ~self._diverged):
            self._note_divergence(logs, before, ends, broken)
            if self._has_failed():
                return
        if self._is_evaluation_due(steps_before):
            evaluation = self._programs.evaluate(self._state, self._progress)
            logs.write_evaluation(self._steps_of_members(), evaluation)
            self._judge(evaluation)
        self._display.update(done=self._all_steps(), episode_return=_mean_return(row))

    def _judge(self, evaluation: Evaluation) -> None:
        """Notes what an evaluation came to, and keeps what was best."""
        self._returns.append(float(mean_returns(evaluation).mean()))
        if self._specification.keep_best:
            before = self._best
            self._best = better(before, self._state, self._steps_of_members(), evaluation)
            if before is None or np.any(self._best.returns > before.returns):
                save_best(self._folder, self._best)

    def _note_divergence(
        self, logs: Logs, before: Progress, ends: RowEnds, broken: np.ndarray
    ) -> None:
        """Says who diverged, when and by what; goes back to the last good State, if none is left.

        Args:
            logs: of the run.
            before: the progress before the chunk in which they did.
            ends: of the row files before it.
            broken: bool [members], whose parameters are not finite.
        """
        members, is_first = np.flatnonzero(broken & ~self._diverged), not self._diverged.any()
        self._diverged |= broken
        first, after = plan.steps_of_members(self._specification, before), self._steps_of_members()
        found = None
        # What follows is marked by its chunk alone: the way is long, and is not taken for each.
        if self._may_stop and (is_first or self._has_failed()):
            found = self._find_beginnings(before, [int(x) for x in members[:_MOST_SAID]])
        beginnings = found.beginnings if found is not None else {}
        identities = identities_of(self._specification)
        divergences = []
        for member in map(int, members):
            unknown = Beginning(PARAMETERS, int(first[member]), int(after[member]))
            beginning, steps = beginnings.get(member, (unknown, unknown.steps))
            divergences.append(Divergence(identities[member], beginning, steps))
        logs.write_divergences([divergence.row() for divergence in divergences])
        for divergence in divergences[:_MOST_SAID]:
            self._display.say(str(divergence))
        if len(divergences) > _MOST_SAID:
            self._display.say(f"and {len(divergences) - _MOST_SAID:,} more: {DIVERGENCES}")
        if self._has_failed():
            self._progress, self._is_saved = before, True
            if found is not None:
                self._state = found.state
                self._save(logs, ends)

    def _find_beginnings(self, before: Progress, members: list[int]) -> Found | None:
        """Takes the way again; None where that is not possible."""
        self._display.say("an agent diverged: going back to see what began it")
        after = self._progress
        if self._has_failed():
            # Nobody needs it any more, and there may be no room for two.
            del self._state
        try:
            checkpoint = checkpoints.load_newest(
                self._folder, self._prepared.state_type, run=self._run
            )
            return find(self._prepared, self._programs, checkpoint, before, after, members)
        except (jax.errors.JaxRuntimeError, NotImplementedError, TypeError, ValueError) as error:
            # Not enough memory for it, or a program that cannot be watched.
            self._display.say(f"what began it cannot be told: {' '.join(str(error).split())}")
            return None

    def _save(self, logs: Logs, ends: RowEnds | None = None) -> None:
        # The rows first: a checkpoint promises that those before it are there.
        present = logs.flush()
        sizes, digests = ends or present
        checkpoint = checkpoints.Checkpoint(
            state=self._state, progress=self._progress, file_sizes=sizes, file_digests=digests
        )
        keep = self._specification.keep_checkpoints
        checkpoints.save(
            self._folder,
            checkpoint,
            total_steps=self._all_steps(),
            keep=keep,
            run=self._run,
            read_back=not self._has_saved,
        )
        # The first of a process is read back before it is trusted: later ones take the same way.
        self._has_saved = True
        self._saved_at = time.monotonic()
        self._saved_steps = self._slowest_steps()
        self._is_saved = True

    def _is_evaluation_due(self, steps_before: int) -> bool:
        if not self._specification.evaluation_episodes:
            return False
        interval = self._specification.evaluation_interval
        return self._is_finished() or _passed_multiple(
            steps_before, self._slowest_steps(), interval
        )

    def _is_checkpoint_due(self) -> bool:
        minutes = self._specification.checkpoint_minutes
        late = minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes
        interval = self._specification.checkpoint_interval
        passed = _passed_multiple(self._saved_steps, self._slowest_steps(), interval)
        return self._is_finished() or late or passed

    def _is_finished(self) -> bool:
        return plan.is_finished(self._algorithm, self._progress)

    def _has_ended(self) -> bool:
        """Whether the budget is spent, or less was enough."""
        return self._is_finished() or self._why_to_end() is not None

    def _why_to_end(self) -> str | None:
        run = self._specification
        return why_to_end(
            self._returns, stop_at_return=run.stop_at_return, stop_on_plateau=run.stop_on_plateau
        )

    def _has_failed(self) -> bool:
        return self._may_stop and bool(self._diverged.all())

    def _count_diverged(self) -> int:
        return int(self._diverged.sum()) if self._specification.on_divergence == "stop" else 0

    def _slowest_steps(self) -> int:
        return plan.slowest_steps(self._algorithm, self._progress)

    def _num_members(self) -> int:
        return len(self._specification.members)

    def _steps_of_members(self) -> np.ndarray:
        return plan.steps_of_members(self._specification, self._progress)

    def _all_steps(self) -> int:
        return plan.all_steps(self._specification, self._progress)

    def _budget(self) -> int:
        per_iteration = self._algorithm.steps_per_iteration
        if per_iteration is None:
            return self._num_members() * self._algorithm.total_steps
        steps = self._algorithm.first_steps + self._algorithm.max_iterations * per_iteration
        return self._num_members() * steps


def say_outcome(display: Display, outcome: Outcome) -> None:
    """Tells how a part of a run ended and, if it was stopped, how to go on."""
    if outcome.finished and outcome.steps == outcome.steps_before:
        display.say(f"{outcome.folder} is finished: {outcome.steps:,} steps, nothing left to do")
        return
    steps = outcome.steps - outcome.steps_before
    rate = steps / outcome.run_seconds
    display.say(
        f"{steps:,} steps in {outcome.run_seconds:.1f} s ({rate:,.0f} steps/s), "
        f"after {outcome.compile_seconds:.1f} s of compiling"
    )
    if outcome.diverged and not outcome.finished and not outcome.interrupted:
        display.say(
            f"stopped, as no agent is left; the last good checkpoint is kept: {outcome.folder}"
        )
    elif not outcome.finished:
        display.say(f"saved; go on with: jaxrl resume {outcome.folder}")


def _passed_multiple(before: int, after: int, interval: int | None) -> bool:
    return interval is not None and after // interval > before // interval


def _mean_return(row: dict[str, np.ndarray]) -> float | None:
    returns = np.asarray(row.get("episode_return", np.nan))
    known = returns[np.isfinite(returns)]
    return float(np.mean(known)) if known.size else None

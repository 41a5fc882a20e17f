"""One process's part of a run: the loop over chunks, and what is written between them."""

import concurrent.futures
import contextlib
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxrl.runs import checkpoints, plan, programs
from jaxrl.runs.interruption import EXIT_CODE, Interruption
from jaxrl.runs.logs import Logs, cut_back
from jaxrl.runs.preparation import Prepared
from jaxrl.runs.progress import Display


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
    """

    folder: Path
    finished: bool
    steps_before: int
    steps: int
    compile_seconds: float
    run_seconds: float
    interrupted: bool = False

    @classmethod
    def nothing_left(cls, folder: Path, steps: int) -> "Outcome":
        """Of a run that was finished before."""
        return cls(
            folder=folder,
            finished=True,
            steps_before=steps,
            steps=steps,
            compile_seconds=0.0,
            run_seconds=0.0,
        )

    @property
    def exit_code(self) -> int:
        """0 for a finished run, 130 for one that Ctrl-C stopped."""
        return 0 if self.finished else EXIT_CODE


class Session:
    """A run in memory; its folder is locked by the caller."""

    def __init__(
        self,
        folder: Path,
        prepared: Prepared,
        checkpoint: checkpoints.Checkpoint | None,
        display: Display,
        compiled: programs.Programs | None = None,
    ) -> None:
        """Compiles what is not compiled, and takes the state from the checkpoint or makes it."""
        self._folder = folder
        self._specification = specification = prepared.specification
        self._display = display
        if compiled is None:
            display.say("compiling ...")
            compiled = programs.Programs(prepared, starts_anew=checkpoint is None)
        self._programs = compiled
        self._algorithm = self._programs.algorithm
        if checkpoint is not None:
            self._state, self._progress = checkpoint.state, checkpoint.progress
        else:
            self._state = self._programs.init()
            self._progress = plan.first_progress(specification, self._algorithm)
        cut_back(folder, checkpoint.file_sizes if checkpoint is not None else {})
        self._saved_at = time.monotonic()
        self._saved_steps = self._slowest_steps()
        self._is_saved = True

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
            while not (self._is_finished() or stop.requested or should_stop()):
                worker.submit(self._run_chunk, logs).result()
                if self._is_checkpoint_due():
                    worker.submit(self._save, logs).result()
            # Not in the loop: Ctrl-C may come between its last line and its condition.
            if not self._is_saved:
                worker.submit(self._save, logs).result()
        return Outcome(
            folder=self._folder,
            finished=self._is_finished(),
            steps_before=steps_before,
            steps=self._all_steps(),
            compile_seconds=self._programs.compile_seconds,
            run_seconds=time.perf_counter() - began,
            interrupted=stop.requested,
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
        )

    def _run_chunk(self, logs: Logs) -> None:
        before, steps_before = self._progress, self._slowest_steps()
        self._is_saved = False
        self._state, self._progress, row = self._programs.advance(self._state, before)
        advanced = np.asarray(self._progress.iteration > before.iteration)
        logs.write_metrics(row, np.broadcast_to(advanced, (self._num_members(),)))
        if self._is_evaluation_due(steps_before):
            evaluation = self._programs.evaluate(self._state, self._progress)
            logs.write_evaluation(self._steps_of_members(), evaluation)
        self._display.update(done=self._all_steps(), episode_return=_mean_return(row))

    def _save(self, logs: Logs) -> None:
        # The rows first: a checkpoint promises that those before it are there.
        checkpoint = checkpoints.Checkpoint(
            state=self._state, progress=self._progress, file_sizes=logs.flush()
        )
        keep = self._specification.keep_checkpoints
        checkpoints.save(self._folder, checkpoint, total_steps=self._all_steps(), keep=keep)
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
    if not outcome.finished:
        display.say(f"saved; go on with: jaxrl resume {outcome.folder}")


def _passed_multiple(before: int, after: int, interval: int | None) -> bool:
    return interval is not None and after // interval > before // interval


def _mean_return(row: dict[str, np.ndarray]) -> float | None:
    returns = np.asarray(row.get("episode_return", np.nan))
    known = returns[np.isfinite(returns)]
    return float(np.mean(known)) if known.size else None

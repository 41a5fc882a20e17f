"""A run from its first chunk to its last, however often it is stopped in between."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxrl.runs import batched, checkpoints, plan, programs
from jaxrl.runs.construction import build, constructor
from jaxrl.runs.devices import check_devices
from jaxrl.runs.folder import (
    CONFIG,
    ExperimentError,
    check_new,
    create,
    locked,
    remove,
    write_atomically,
    writing,
)
from jaxrl.runs.grouping import differences_of
from jaxrl.runs.logs import cut_back
from jaxrl.runs.preparation import Prepared, prepare
from jaxrl.runs.progress import Display
from jaxrl.runs.provenance import provenance, warn_of_changes
from jaxrl.runs.session import Outcome, Session, say_outcome
from jaxrl.runs.specification import Specification, read_specification, to_json
from jaxrl.training import Evaluation, Progress
from jaxrl.types import Algorithm, State


class Run(NamedTuple):
    """A run as its newest usable checkpoint holds it.

    Attributes:
        folder: of the run.
        specification: of the run.
        algorithm: of the first member, for what all members share.
        states: the algorithm's State; every leaf has a leading axis [members].
        progress: iterations and steps; shape (), or [members] where an iteration's cost varies.
    """

    folder: Path
    specification: Specification
    algorithm: Algorithm
    states: State
    progress: Progress

    def algorithm_of(self, member: int) -> Algorithm:
        """Builds the algorithm of one member, with its settings and its environment."""
        return build(self.specification, member)

    def state_of(self, member: int) -> State:
        """Returns the State of one member."""
        return jax.tree.map(lambda leaf: leaf[member], self.states)


def start(
    specification: Specification | Prepared, folder: str | Path, *, overwrite: bool = False
) -> Outcome:
    """Trains every member of a specification, and writes all of it to a folder.

    Args:
        specification: the run; or what `prepare` made of it, which saves doing that again.
        folder: new or empty; or an earlier run's, to be replaced.
        overwrite: whether an earlier run may be replaced. Other files are never touched.

    Returns:
        How it went. Ctrl-C ends the run after the running chunk, saved.

    Raises:
        ExperimentError: the folder cannot be used.
        ValueError: the specification is wrong. Nothing was written.
    """
    folder = Path(folder)
    check_new(folder, overwrite=overwrite)
    is_prepared = isinstance(specification, Prepared)
    check_devices(specification.specification if is_prepared else specification)
    prepared = specification if is_prepared else prepare(specification)
    config = to_json(prepared.specification) | provenance()
    with locked(folder):
        check_new(folder, overwrite=overwrite)
        create(folder, config)
        display = Display()
        try:
            session = Session(folder, prepared, None, display)
        except Exception:
            # Nothing happened that could be resumed: the folder is free again.
            remove(folder / CONFIG)
            raise
        outcome = session.run()
    say_outcome(display, outcome)
    return outcome


def resume(folder: str | Path) -> Outcome:
    """Goes on with a run that was stopped in any way, and ends with the same bits as if it had not.

    Args:
        folder: of the run.

    Returns:
        How it went; a finished run is left as it is.

    Raises:
        ExperimentError: the folder holds no run or one that cannot be carried out here, another
            process works on it, or all of its checkpoints are damaged.
    """
    folder = Path(folder)
    specification = read_specification(folder)
    try:
        prepared = prepare(specification)
    except ValueError as error:
        raise ExperimentError(f"{folder} cannot go on: {error}") from error
    display = Display()
    with locked(folder):
        checkpoint = checkpoints.load_newest(folder, prepared.state_type)
        algorithm = prepared.algorithm
        if checkpoint is not None and plan.is_finished(algorithm, checkpoint.progress):
            cut_back(folder, checkpoint.file_sizes)
            steps = plan.all_steps(specification, checkpoint.progress)
            outcome = Outcome.nothing_left(folder, steps)
        else:
            warn_of_changes(folder / CONFIG)
            outcome = Session(folder, prepared, checkpoint, display).run()
    say_outcome(display, outcome)
    return outcome


def carry_out(
    prepared: Prepared,
    folder: Path,
    display: Display,
    *,
    compiled: programs.Programs,
    first: checkpoints.Checkpoint | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Starts a run or goes on with it, as one of several that share compiled programs.

    Args:
        prepared: the run.
        folder: new, or what this run left of itself.
        display: of the progress.
        compiled: its programs.
        first: where it begins, if not at the beginning.
        should_stop: asked after each chunk, whether the run is to end there, saved.

    Returns:
        How it went; a finished run is left as it is.

    Raises:
        ExperimentError: the folder cannot be used, or holds another run.
    """
    config = to_json(prepared.specification)
    with locked(folder):
        if not (folder / CONFIG).exists():
            if first is not None:
                # Before there is a config: a run that may be resumed never begins anew by mistake.
                done = plan.all_steps(prepared.specification, first.progress)
                checkpoints.save(folder, first, total_steps=done, keep=1)
            with writing(folder):
                write_atomically(
                    folder / CONFIG, json.dumps(config | provenance(), indent=2) + "\n"
                )
        elif json.dumps(to_json(read_specification(folder))) != json.dumps(config):
            raise ExperimentError(f"{folder} holds another run: choose another folder")
        checkpoint = checkpoints.load_newest(folder, prepared.state_type)
        if checkpoint is not None and plan.is_finished(prepared.algorithm, checkpoint.progress):
            cut_back(folder, checkpoint.file_sizes)
            if not checkpoint.file_sizes:
                # It began where it ends: only its evaluation is missing.
                return Session(folder, prepared, checkpoint, display, compiled).evaluate()
            steps = plan.all_steps(prepared.specification, checkpoint.progress)
            return Outcome.nothing_left(folder, steps)
        return Session(folder, prepared, checkpoint, display, compiled).run(should_stop)


def load(folder: str | Path) -> Run:
    """Reads the newest usable checkpoint of a run.

    Args:
        folder: of the run, running or ended.

    Returns:
        The run, with the State of every member.

    Raises:
        ExperimentError: the folder holds no run, or no checkpoint that can be used.
        ValueError: the run cannot be built here, as where its algorithm is not registered.
    """
    folder = Path(folder)
    specification = read_specification(folder)
    algorithm = build(specification)
    checkpoint = checkpoints.load_newest(folder, _state_type(specification))
    if checkpoint is None:
        raise ExperimentError(f"{folder} has no checkpoint yet: go on with jaxrl resume {folder}")
    return Run(
        folder=folder,
        specification=specification,
        algorithm=algorithm,
        states=checkpoint.state,
        progress=checkpoint.progress,
    )


def evaluate_run(run: Run, *, num_episodes: int, seed: int = 0) -> Evaluation:
    """Plays whole episodes with the non-exploring policy of every member, in its own environment.

    Args:
        run: as `load` returns it.
        num_episodes: per member.
        seed: of the episodes; the same one gives the same episodes.

    Returns:
        Returns and lengths as numpy arrays, [members, num_episodes].

    Raises:
        ValueError: the environment has no time limit, or there is nothing to play.
    """
    # Folded, so that no episode begins with the keys of a training seed of the same number.
    key = jax.random.fold_in(jax.random.key(seed), 2**31)
    keys = jax.random.split(key, len(run.specification.members))
    return programs.evaluate_states(run.specification, keys, run.states, num_episodes=num_episodes)


def _state_type(specification: Specification) -> Any:
    differences = differences_of(specification)
    return batched.state_type(specification, constructor(specification), differences)

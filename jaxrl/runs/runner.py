"""A run from its first chunk to its last, however often it is stopped in between."""

from pathlib import Path
from typing import NamedTuple

import jax

from jaxrl.runs import checkpoints, plan, programs
from jaxrl.runs.charts import check_wandb_is_installed
from jaxrl.runs.folder import CONFIG, ExperimentError, check_free, create, locked, remove
from jaxrl.runs.logs import cut_back
from jaxrl.runs.progress import Display
from jaxrl.runs.provenance import circumstances, warn_of_changes
from jaxrl.runs.session import Outcome, Session, say_outcome
from jaxrl.runs.specification import Specification, build, read_specification, to_json
from jaxrl.training import Evaluation, Progress
from jaxrl.types import Algorithm, State


class Run(NamedTuple):
    """A run as its newest usable checkpoint holds it.

    Attributes:
        folder: of the run.
        specification: what it is.
        algorithm: built from the specification.
        states: the algorithm's State; every leaf has a leading axis [seeds].
        progress: iterations and steps; shape (), or [seeds] where an iteration's cost varies.
    """

    folder: Path
    specification: Specification
    algorithm: Algorithm
    states: State
    progress: Progress


def start(specification: Specification, folder: str | Path, *, overwrite: bool = False) -> Outcome:
    """Trains every seed of a specification, and writes all of it to a folder.

    Args:
        specification: the run.
        folder: new or empty; or an earlier run's, to be replaced.
        overwrite: whether an earlier run may be replaced. Other files are never touched.

    Returns:
        How it went. Ctrl-C ends the run after the running chunk, saved.

    Raises:
        ExperimentError: the folder cannot be used.
        ValueError: the specification is wrong. Nothing was written.
    """
    folder = Path(folder)
    check_free(folder, overwrite=overwrite)
    algorithm = build(specification)(specification.settings)
    programs.check_can_be_evaluated(specification, algorithm)
    if specification.wandb_project is not None:
        check_wandb_is_installed()
    config = to_json(specification) | circumstances()
    with locked(folder):
        check_free(folder, overwrite=overwrite)
        create(folder, config)
        display = Display()
        try:
            session = Session(folder, specification, None, display)
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
        ExperimentError: the folder holds no run, another process works on it, or all of its
            checkpoints are damaged.
    """
    folder = Path(folder)
    specification = read_specification(folder)
    display = Display()
    with locked(folder):
        algorithm = build(specification)(specification.settings)
        checkpoint = checkpoints.load_newest(folder, programs.state_type(specification, algorithm))
        if checkpoint is not None and plan.is_finished(algorithm, checkpoint.progress):
            cut_back(folder, checkpoint.file_sizes)
            steps = plan.all_steps(specification, checkpoint.progress)
            outcome = Outcome.nothing_left(folder, steps)
        else:
            warn_of_changes(folder / CONFIG)
            outcome = Session(folder, specification, checkpoint, display).run()
    say_outcome(display, outcome)
    return outcome


def load(folder: str | Path) -> Run:
    """Reads the newest usable checkpoint of a run.

    Args:
        folder: of the run, running or ended.

    Raises:
        ExperimentError: the folder holds no run, or no checkpoint that can be used.
    """
    folder = Path(folder)
    specification = read_specification(folder)
    algorithm = build(specification)(specification.settings)
    checkpoint = checkpoints.load_newest(folder, programs.state_type(specification, algorithm))
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
    """Plays whole episodes with the non-exploring policy of every seed of a run.

    Args:
        run: as `load` returns it.
        num_episodes: per seed.
        seed: of the episodes; the same one gives the same episodes.

    Returns:
        Returns and lengths as numpy arrays, [seeds, num_episodes].

    Raises:
        ValueError: the environment has no time limit, or there is nothing to play.
    """
    # Folded, so that no episode begins with the keys of a training seed of the same number.
    key = jax.random.fold_in(jax.random.key(seed), 2**31)
    keys = jax.random.split(key, run.specification.seeds)
    return programs.evaluate_states(run.algorithm, keys, run.states, num_episodes=num_episodes)

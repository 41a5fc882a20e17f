"""The best that each member of a run was worth at an evaluation, and when a run may end early."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrl.runs import checkpoints
from jaxrl.runs._reading import ExperimentError
from jaxrl.runs.folder import BEST, writing
from jaxrl.runs.rows import cut_episodes, mean_over_episodes, read_evaluations
from jaxrl.training import Evaluation, Progress
from jaxrl.transfer import learned_parts, with_learned
from jaxrl.types import State


class Best(NamedTuple):
    """What each member had learnt when its mean evaluation return was highest.

    Attributes:
        returns: float32 [members], the mean return then; minus infinity before there is one.
        steps: int64 [members], environment steps that it had taken.
        learned: the parts of the State, by their paths, leaves [members, ...]; see `take_learned`.
    """

    returns: np.ndarray
    steps: np.ndarray
    learned: dict[str, Any]


def better(best: Best | None, state: State, steps: np.ndarray, evaluation: Evaluation) -> Best:
    """Returns the best so far, after one more evaluation.

    Args:
        best: so far; None: there is none.
        state: of all members.
        steps: int64 [members].
        evaluation: of that State.
    """
    returns = mean_returns(evaluation).astype(np.float32)
    returns = np.where(np.isfinite(returns), returns, -np.inf).astype(np.float32)
    parts = jax.device_get(learned_parts(state))
    if best is None:
        return Best(returns, np.asarray(steps, np.int64), parts)
    is_better = returns > best.returns

    def chosen(new: Any, old: Any) -> Any:
        return np.where(is_better.reshape(-1, *[1] * (np.ndim(new) - 1)), new, old)

    return Best(
        returns=chosen(returns, best.returns),
        steps=chosen(np.asarray(steps, np.int64), best.steps),
        learned=jax.tree.map(chosen, parts, best.learned),
    )


def save_best(folder: Path, best: Best) -> None:
    """Writes the best of a run, in one step.

    Args:
        folder: of the run.
        best: of all members.
    """
    state = {"returns": best.returns, "learned": best.learned}
    # Whole numbers of 64 bits, which JAX has not: they are kept as a progress is.
    progress = Progress(iteration=np.zeros(len(best.steps), np.int32), steps=best.steps)
    checkpoint = checkpoints.Checkpoint(state=state, progress=progress, file_sizes={})
    with writing(folder):
        (folder / BEST).mkdir(exist_ok=True)
    checkpoints.save(folder / BEST, checkpoint, total_steps=0, keep=1)


def load_best(folder: Path, state_type: Any) -> Best | None:
    """Reads the best of a run; None where there is none.

    Args:
        folder: of the run.
        state_type: of all members, as shapes and dtypes.

    Raises:
        ExperimentError: it cannot be used.
    """
    parts = learned_parts(state_type)
    members = jax.tree.leaves(parts)[0].shape[:1]
    written = {"returns": jax.ShapeDtypeStruct(members, np.float32), "learned": parts}
    found = checkpoints.load_newest(folder / BEST, written)
    if found is None:
        return None
    return Best(**jax.device_get(found.state), steps=found.progress.steps)


def states_at_best(folder: Path, states: State, state_type: Any) -> tuple[State, Best]:
    """Returns the States with what the members had learnt at their best.

    Args:
        folder: of the run.
        states: of all members, for what is not learnt.
        state_type: their types.

    Raises:
        ExperimentError: the run kept no best.
    """
    best = load_best(folder, state_type)
    if best is None:
        raise ExperimentError(f"{folder} keeps no best checkpoint: train with --keep-best")
    return with_learned(states, jax.tree.map(jax.numpy.asarray, best.learned)), best


def mean_returns(evaluation: Any) -> np.ndarray:
    """The mean return of each member, [members, ...], over the episodes that were not cut."""
    cut = cut_episodes(evaluation.returns, evaluation.lengths)
    return mean_over_episodes(evaluation.returns, cut)


def past_returns(folder: Path) -> list[float]:
    """The mean over all members at each evaluation that a run has written."""
    try:
        rows = read_evaluations(folder)
    except ExperimentError:
        return []
    return [float(x) for x in mean_returns(rows).mean(axis=0)] if rows.steps.size else []


def why_to_end(
    returns: Sequence[float], *, stop_at_return: float | None, stop_on_plateau: int | None
) -> str | None:
    """Says why a run may end before its budget; None: it may not.

    Args:
        returns: the mean over all members at each evaluation so far.
        stop_at_return: that is enough; None: nothing is.
        stop_on_plateau: so many evaluations without a better one are enough; None: none are.
    """
    known = [value if np.isfinite(value) else -np.inf for value in returns]
    if not known:
        return None
    if stop_at_return is not None and known[-1] >= stop_at_return:
        return f"a mean return of {known[-1]:.5g} was reached"
    since = len(known) - 1 - int(np.argmax(known))
    if stop_on_plateau is not None and since >= stop_on_plateau:
        return f"{since} evaluations brought nothing better than {max(known):.5g}"
    return None

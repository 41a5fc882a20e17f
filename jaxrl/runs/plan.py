"""How a run is cut into chunks, and how far it has come: counting, on the host."""

import math
from typing import Any, NamedTuple

import numpy as np

from jaxrl.runs.specification import Specification
from jaxrl.settings import MAX_STEPS
from jaxrl.training import Progress
from jaxrl.types import Algorithm

_LOGGED_ROWS = 200
# Of one chunk, where an iteration's cost varies and their number per chunk is not known before.
_MOST_ITERATIONS = 4096
# The device counts a chunk's steps in int32.
_MOST_STEPS_OF_A_CHUNK = 2**30


class Chunks(NamedTuple):
    """How a run is cut into chunks; the next cut depends on nothing but the progress.

    Attributes:
        num_iterations: the most iterations of one chunk.
        interval: a chunk also ends at the next multiple of this many environment steps; None where
            an iteration's cost is fixed and `num_iterations` says it all.
    """

    num_iterations: int
    interval: int | None


def plan_chunks(specification: Specification, algorithm: Algorithm) -> Chunks:
    """Decides how many iterations go into a row of metrics."""
    interval = specification.log_interval or math.ceil(algorithm.total_steps / _LOGGED_ROWS)
    interval = min(interval, _MOST_STEPS_OF_A_CHUNK)
    if algorithm.steps_per_iteration is None:
        return Chunks(min(algorithm.max_iterations, _MOST_ITERATIONS), interval)
    iterations = math.ceil(interval / algorithm.steps_per_iteration)
    return Chunks(min(iterations, algorithm.max_iterations), None)


def check_counts(algorithm: Algorithm) -> None:
    """Checks that a run can be counted: its iterations, and the steps of one of them.

    Raises:
        ValueError: they are too many.
    """
    cost = algorithm.steps_per_iteration
    if cost is not None and cost > _MOST_STEPS_OF_A_CHUNK:
        raise ValueError(
            f"an iteration takes {cost} steps, and at most {_MOST_STEPS_OF_A_CHUNK} can be counted"
        )
    if cost is not None and algorithm.max_iterations > MAX_STEPS:
        raise ValueError(
            f"total_steps={algorithm.total_steps} are {algorithm.max_iterations} iterations, and "
            f"at most {MAX_STEPS} can be counted: use more environments or steps per iteration"
        )


def end_of_chunk(chunks: Chunks, algorithm: Algorithm, progress: Progress) -> int:
    """Environment steps per member at which the next chunk ends, if its iterations last so long."""
    if chunks.interval is None:
        return algorithm.total_steps
    next_multiple = (slowest_steps(algorithm, progress) // chunks.interval + 1) * chunks.interval
    return min(next_multiple, algorithm.total_steps)


def first_progress(specification: Specification, algorithm: Algorithm) -> Progress:
    """The progress of a run that has not begun: scalars, or [members] where the cost varies."""
    shape = () if algorithm.steps_per_iteration is not None else (len(specification.members),)
    return Progress(
        iteration=np.zeros(shape, np.int32),
        steps=np.full(shape, algorithm.first_steps, np.int64),
    )


def relative_progress(progress: Progress, base: int) -> Progress:
    """The progress as the device counts it: steps from `base`, in int32."""
    return Progress(iteration=progress.iteration, steps=to_int32(progress.steps - base))


def progress_after(
    algorithm: Algorithm, before: Progress, relative: Progress, base: int
) -> Progress:
    """The progress after a chunk, its steps counted in int64.

    Args:
        algorithm: of the run.
        before: the progress before the chunk.
        relative: what the device counted, from `base`.
        base: what the device counted from.
    """
    iteration = np.asarray(relative.iteration)
    if algorithm.steps_per_iteration is not None:
        iterations = iteration.astype(np.int64)
        steps = algorithm.first_steps + iterations * algorithm.steps_per_iteration
    else:
        advanced = iteration > before.iteration
        steps = np.where(advanced, base + relative.steps.astype(np.int64), before.steps)
    return Progress(iteration=iteration, steps=steps)


def to_int32(steps: Any) -> np.ndarray:
    """Steps in int32; what lies beyond is as far beyond every limit."""
    return np.asarray(np.clip(steps, -MAX_STEPS, MAX_STEPS), np.int32)


def steps_of_members(specification: Specification, progress: Progress) -> np.ndarray:
    """Environment steps taken by each member, int64 [members]."""
    return np.broadcast_to(np.asarray(progress.steps, np.int64), (len(specification.members),))


def all_steps(specification: Specification, progress: Progress) -> int:
    """Environment steps taken by all members together."""
    return int(np.sum(steps_of_members(specification, progress)))


def is_finished(algorithm: Algorithm, progress: Progress) -> bool:
    """Whether every member has spent its budget."""
    return bool(np.all(_finished_members(algorithm, progress)))


def slowest_steps(algorithm: Algorithm, progress: Progress) -> int:
    """Environment steps of the unfinished member that has taken the fewest; else the budget."""
    finished = _finished_members(algorithm, progress)
    return int(np.min(np.where(finished, algorithm.total_steps, progress.steps)))


def _finished_members(algorithm: Algorithm, progress: Progress) -> np.ndarray:
    spent = np.asarray(progress.steps) >= algorithm.total_steps
    return np.asarray(spent | (progress.iteration >= algorithm.max_iterations))

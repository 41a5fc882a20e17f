"""How a run is cut into chunks, and how far it has come: counting, on the host."""

import math
from typing import NamedTuple

import numpy as np

from jaxrl.runs.specification import Specification
from jaxrl.training import Progress
from jaxrl.types import Algorithm

_LOGGED_ROWS = 200
# Of one chunk, where an iteration's cost varies and their number per chunk is not known before.
_MOST_ITERATIONS = 4096


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
    if algorithm.steps_per_iteration is None:
        return Chunks(min(algorithm.max_iterations, _MOST_ITERATIONS), interval)
    iterations = math.ceil(interval / algorithm.steps_per_iteration)
    return Chunks(min(iterations, algorithm.max_iterations), None)


def end_of_chunk(chunks: Chunks, algorithm: Algorithm, progress: Progress) -> int:
    """Environment steps per seed at which the next chunk ends, if its iterations last so long."""
    if chunks.interval is None:
        return algorithm.total_steps
    next_multiple = (slowest_steps(algorithm, progress) // chunks.interval + 1) * chunks.interval
    return min(next_multiple, algorithm.total_steps)


def first_progress(specification: Specification, algorithm: Algorithm) -> Progress:
    """The progress of a run that has not begun: scalars, or [seeds] where the cost varies."""
    shape = () if algorithm.steps_per_iteration is not None else (specification.seeds,)
    return Progress(
        iteration=np.zeros(shape, np.int32),
        steps=np.full(shape, algorithm.first_steps, np.int32),
    )


def steps_by_seed(specification: Specification, progress: Progress) -> np.ndarray:
    """Environment steps taken by each seed, int32 [seeds]."""
    return np.broadcast_to(np.asarray(progress.steps, np.int32), (specification.seeds,))


def all_steps(specification: Specification, progress: Progress) -> int:
    """Environment steps taken by all seeds together."""
    return int(np.sum(steps_by_seed(specification, progress), dtype=np.int64))


def is_finished(algorithm: Algorithm, progress: Progress) -> bool:
    """Whether every seed has spent its budget."""
    return bool(np.all(_finished_seeds(algorithm, progress)))


def slowest_steps(algorithm: Algorithm, progress: Progress) -> int:
    """Environment steps of the unfinished seed that has taken the fewest; else the budget."""
    finished = _finished_seeds(algorithm, progress)
    return int(np.min(np.where(finished, algorithm.total_steps, progress.steps)))


def _finished_seeds(algorithm: Algorithm, progress: Progress) -> np.ndarray:
    spent = np.asarray(progress.steps) >= algorithm.total_steps
    return np.asarray(spent | (progress.iteration >= algorithm.max_iterations))

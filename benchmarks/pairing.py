"""Two programs timed in pairs: one run of each right after one another, in alternating order."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def time_pairs(
    contenders: Mapping[str, Callable[[int], Any]], *, pairs: int
) -> tuple[dict[str, list[float]], np.ndarray]:
    """Times two programs, so that whatever slows the machine slows both of a pair.

    Args:
        contenders: two functions of a seed, by name, that return when their run is over. Seed 0
            comes first and is not timed: it compiles.
        pairs: how many runs of each are timed.

    Returns:
        Seconds of each by name, and the first's seconds over the second's, [pairs].
    """
    one, other = contenders
    seconds: dict[str, list[float]] = {one: [], other: []}
    for run in contenders.values():
        run(0)
    for seed in range(1, pairs + 1):
        for name in (one, other)[:: 1 if seed % 2 else -1]:
            start = time.perf_counter()
            contenders[name](seed)
            seconds[name].append(time.perf_counter() - start)
    return seconds, np.array(seconds[one]) / np.array(seconds[other])


def summary_of_pairs(
    seconds: Mapping[str, list[float]], ratios: np.ndarray, *, steps: int
) -> dict[str, Any]:
    """What a result records: the pairs' ratios, their median, and the median speeds."""
    return {
        "ratio": float(np.median(ratios)),
        "ratios": ratios.tolist(),
        "steps_per_second": {
            name: float(steps / np.median(times)) for name, times in seconds.items()
        },
    }

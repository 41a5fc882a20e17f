"""A run's need of memory, from below: what it lets pass may be too large, but not absurd.

XLA ends the process when it is given arrays that are far beyond any machine.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr


def check_memory(needed: int, advice: str) -> None:
    """Checks a lower bound of what a run needs against what the device has.

    Args:
        needed: in bytes.
        advice: how to need less.

    Raises:
        ValueError: the device has less.
    """
    present = device_memory()
    if needed > present:
        raise ValueError(
            f"the run needs at least {needed / 2**30:,.1f} GiB of memory, and the device has "
            f"{present / 2**30:,.1f} GiB: {advice}"
        )


def device_memory() -> int:
    """Returns the bytes of the first device, or of the machine where that does not say."""
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "bytes_limit" in statistics:
        return statistics["bytes_limit"]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_memory() -> int:
    """Returns the bytes of the first device, or of the machine, that nobody uses now."""
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "bytes_limit" in statistics:
        return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
    try:
        # What the system counts as free leaves out what it would give back from its caches.
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return device_memory() // 2


def num_bytes(tree: Any) -> int:
    """Returns the bytes of all arrays of a pytree, which may be their types alone."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)


def largest_array(program: Jaxpr) -> int:
    """Returns the bytes of the largest array that a program makes, in the bodies of loops too."""
    largest = 0
    for equation in program.eqns:
        largest = max([largest, *(num_bytes(variable.aval) for variable in equation.outvars)])
        for inner in _programs_within(equation.params):
            largest = max(largest, largest_array(inner))
    return largest


def _programs_within(value: Any) -> Iterator[Jaxpr]:
    if isinstance(value, ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, Jaxpr):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _programs_within(item)

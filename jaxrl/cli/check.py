"""Judges a run before anything is written: builds it, traces it, and weighs its memory."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

from jaxrl import runs
from jaxrl.runs.charts import check_wandb_is_installed
from jaxrl.runs.folder import check_free
from jaxrl.runs.programs import check_can_be_evaluated
from jaxrl.runs.specification import to_json


def check_run(specification: runs.Specification, folder: Path, *, overwrite: bool) -> None:
    """Raises ValueError if the run cannot be carried out; writes nothing."""
    _check_folder(folder)
    check_free(folder, overwrite=overwrite)
    to_json(specification)
    if specification.wandb_project is not None:
        check_wandb_is_installed()
    algorithm = runs.build(specification)(specification.settings)
    check_can_be_evaluated(specification, algorithm)

    def first_iteration(key: Any) -> Any:
        key_init, key_step = jax.random.split(key)
        state = algorithm.init(key_init)
        return state, algorithm.step(key_step, state)

    key = jax.random.key(0)
    program, (state, _) = jax.make_jaxpr(first_iteration, return_shape=True)(key)
    _, observation = jax.eval_shape(algorithm.environment.reset, key)
    _check_memory(
        specification.seeds * max(_num_bytes(state), _largest_array(program.jaxpr)),
        "use fewer seeds, environments, steps per iteration or hidden units",
    )
    _check_memory(
        specification.seeds * specification.evaluation_episodes * _num_bytes(observation),
        "use fewer evaluation_episodes",
    )


def _check_folder(folder: Path) -> None:
    """Sees whether the folder could be made, without making it."""
    present = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not present.is_dir():
        raise ValueError(f"{folder} cannot be a run folder: {present} is a file")
    if not os.access(present, os.W_OK | os.X_OK):
        raise ValueError(f"cannot write to {folder}: no permission in {present}")


def _check_memory(needed: int, advice: str) -> None:
    """A lower bound is enough: what it lets pass may still be too large, but not absurd.

    XLA ends the process when it is given arrays that are far beyond any machine.
    """
    present = _device_memory()
    if needed > present:
        raise ValueError(
            f"the run needs at least {needed / 2**30:,.1f} GiB of memory, and the device has "
            f"{present / 2**30:,.1f} GiB: {advice}"
        )


def _device_memory() -> int:
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "bytes_limit" in statistics:
        return statistics["bytes_limit"]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _largest_array(program: Jaxpr) -> int:
    """Bytes of the largest array that a program makes, in the bodies of its loops too."""
    largest = 0
    for equation in program.eqns:
        largest = max([largest, *(_num_bytes(variable.aval) for variable in equation.outvars)])
        for inner in _programs_within(equation.params):
            largest = max(largest, _largest_array(inner))
    return largest


def _programs_within(value: Any) -> Iterator[Jaxpr]:
    if isinstance(value, ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, Jaxpr):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _programs_within(item)


def _num_bytes(tree: Any) -> int:
    leaves = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)

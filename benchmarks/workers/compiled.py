"""Times the stages of a jitted program; shared by the workers whose training is one program."""

import time
from collections.abc import Callable
from typing import Any

import jax
from costs import iteration_cost, iteration_operations
from kernels import launched
from protocol import Program


def compiled_program(
    train: Callable[[Any], Any], *, num_seeds: int, steps: int, keys: str | None = None
) -> Program:
    """A training function of a key, vmapped over seeds, as a program that can be timed.

    Args:
        train: (key) -> anything; the whole run.
        num_seeds: runs side by side; 1 means no vmap at all.
        steps: environment steps of all seeds together.
        keys: JAX's name of their implementation; None: its default.
    """
    batched = train if num_seeds == 1 else jax.vmap(train)
    executable: Any = None
    traced: Any = None
    # The device is started before anything is timed.
    jax.block_until_ready(keys_of(0, num_seeds, keys))

    def compile_stages() -> dict[str, float]:
        nonlocal executable, traced
        jax.clear_caches()
        example = keys_of(0, num_seeds, keys)
        start = time.perf_counter()
        # A new function object, for jit remembers the traces of one that it has seen.
        traced = jax.jit(lambda keys: batched(keys)).trace(example)
        lowered = traced.lower()
        middle = time.perf_counter()
        executable = lowered.compile()
        return {"trace": middle - start, "compile": time.perf_counter() - middle}

    def run(index: int) -> None:
        jax.block_until_ready(executable(keys_of(index, num_seeds, keys)))

    def costs() -> dict[str, Any]:
        iteration = iteration_cost(executable.as_text())
        return {
            "memory": memory_of(executable),
            "bytes_per_iteration": iteration.bytes if iteration.is_whole else None,
            "operations_per_iteration": iteration_operations(traced.jaxpr.jaxpr),
            "launches_per_iteration": iteration.launches if iteration.is_whole else None,
            "loops_of_iteration": iteration.loops,
        }

    def profile() -> dict[str, Any]:
        return launched(lambda: run(0))

    device = jax.devices()[0]
    name = f"{device.platform}: {device.device_kind}"
    return Program(compile_stages, run, steps, name, costs, profile)


def memory_of(executable: Any) -> dict[str, int | None]:
    """Bytes that a program needs by the compiler's word, and the most that the process has held."""
    needs = executable.memory_analysis()
    held = jax.devices()[0].memory_stats() or {}
    program = needs.argument_size_in_bytes + needs.output_size_in_bytes - needs.alias_size_in_bytes
    return {
        "program": program + needs.temp_size_in_bytes,
        "peak": held.get("peak_bytes_in_use"),
    }


def keys_of(index: int, num_seeds: int, implementation: str | None) -> jax.Array:
    """Fresh keys for each timed run: a scalar key for one seed."""
    key = jax.random.key(index, impl=implementation)
    return key if num_seeds == 1 else jax.random.split(key, num_seeds)

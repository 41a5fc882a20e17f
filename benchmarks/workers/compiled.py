"""Times the stages of a jitted program; shared by the workers whose training is one program."""

import time
from collections.abc import Callable
from typing import Any

import jax
from protocol import Program


def compiled_program(train: Callable[[Any], Any], *, num_seeds: int, steps: int) -> Program:
    """A training function of a key, vmapped over seeds, as a program that can be timed.

    Args:
        train: (key) -> anything; the whole run.
        num_seeds: runs side by side; 1 means no vmap at all.
        steps: environment steps of all seeds together.
    """
    batched = train if num_seeds == 1 else jax.vmap(train)
    executable: Any = None
    # The device is started before anything is timed.
    jax.block_until_ready(keys_of(0, num_seeds))

    def compile_stages() -> dict[str, float]:
        nonlocal executable
        jax.clear_caches()
        keys = keys_of(0, num_seeds)
        start = time.perf_counter()
        # A new function object, for jit remembers the traces of one that it has seen.
        lowered = jax.jit(lambda keys: batched(keys)).lower(keys)
        traced = time.perf_counter()
        executable = lowered.compile()
        return {"trace": traced - start, "compile": time.perf_counter() - traced}

    def run(index: int) -> None:
        jax.block_until_ready(executable(keys_of(index, num_seeds)))

    device = jax.devices()[0]
    return Program(compile_stages, run, steps, f"{device.platform}: {device.device_kind}")


def keys_of(index: int, num_seeds: int) -> jax.Array:
    """Fresh keys for each timed run: a scalar key for one seed."""
    key = jax.random.key(index)
    return key if num_seeds == 1 else jax.random.split(key, num_seeds)

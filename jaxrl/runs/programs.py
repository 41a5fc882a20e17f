"""The compiled programs of a run: initialise, advance by one chunk, evaluate."""

import concurrent.futures
import copy
import time
from typing import Any

import jax
import numpy as np

from jaxrl import training
from jaxrl.ops.missing import with_nan
from jaxrl.runs import batched
from jaxrl.runs.construction import constructor
from jaxrl.runs.devices import num_devices
from jaxrl.runs.grouping import differences_of
from jaxrl.runs.memory import num_bytes
from jaxrl.runs.plan import (
    end_of_chunk,
    progress_after,
    relative_progress,
    slowest_steps,
    steps_of_members,
    to_int32,
)
from jaxrl.runs.preparation import Prepared
from jaxrl.runs.specification import Specification
from jaxrl.types import Key, State

_MOST_EPISODES_AT_ONCE = 2**15


class Programs:
    """A prepared run, compiled.

    Attributes:
        algorithm: of the first member.
        keys: of every member.
        chunks: how the run is cut.
        state_type: shapes and dtypes of the State of all members.
        compile_seconds: spent on tracing and compiling.
    """

    def __init__(self, prepared: Prepared, *, starts_anew: bool) -> None:
        """Compiles what the run needs, side by side.

        Args:
            prepared: the run.
            starts_anew: whether `init` will be called.
        """
        self._specification = prepared.specification
        self._floats = (prepared.settings, prepared.differences)
        self.algorithm = prepared.algorithm
        self.chunks = prepared.chunks
        self.state_type = prepared.state_type
        began = time.perf_counter()
        self.keys = batched.make_keys(self._specification)
        with concurrent.futures.ThreadPoolExecutor() as compilers:

            def compiled(traced: Any) -> Any:
                lowered = traced.lower()
                return compilers.submit(lowered.compile)

            advance = compiled(prepared.advance)
            init = compiled(prepared.init) if starts_anew else None
            evaluate = compiled(prepared.evaluate) if prepared.evaluate is not None else None
        self._advance = advance.result()
        self._init = init.result() if init is not None else None
        self._evaluate = evaluate.result() if evaluate is not None else None
        self.compile_seconds = prepared.trace_seconds + time.perf_counter() - began

    def of(self, prepared: Prepared) -> "Programs":
        """Returns the same compiled programs for other members.

        Args:
            prepared: by `with_members`, from the run that these were compiled for.
        """
        others = copy.copy(self)
        others._specification = prepared.specification
        others._floats = (prepared.settings, prepared.differences)
        others.keys = batched.make_keys(prepared.specification)
        others.compile_seconds = 0.0
        return others

    @property
    def memory(self) -> int:
        """Bytes of one device that the largest program needs, arguments and results among them.

        The State counts once more: a checkpoint is a copy of it. Devices that are threads of one
        host share its memory, and count together. 0 where the compiler does not say.
        """
        present = [x for x in (self._init, self._advance, self._evaluate) if x is not None]
        needs = [_memory_of(program) for program in present]
        if not all(needs):
            return 0
        devices = num_devices(len(self._specification.members))
        if self._specification.shard == "envs":
            devices = len(jax.local_devices())
        if jax.local_devices()[0].platform == "cpu":
            return max(needs) * devices + num_bytes(self.state_type)
        return max(needs) + num_bytes(self.state_type) // devices

    def init(self) -> State:
        """Makes the State of all members at the start of a run."""
        if self._init is None:
            raise ValueError("compiled for a run that does not start anew")
        return self._init(*self._floats, self.keys.init)

    def advance(
        self, state: State, progress: training.Progress
    ) -> tuple[State, training.Progress, dict[str, np.ndarray]]:
        """Runs one chunk; the given State is donated. Waits for the result.

        Returns:
            The State; the progress and one row of metrics, by name [members], as numpy arrays.
        """
        # The device counts from here in int32; the run's own steps may be more.
        base = slowest_steps(self.algorithm, progress)
        until = end_of_chunk(self.chunks, self.algorithm, progress) - base
        state, after, row = self._advance(
            *self._floats,
            self.keys.steps,
            state,
            relative_progress(progress, base),
            np.int64(base).astype(np.int32),
            to_int32(until),
        )
        after, row = jax.device_get((after, row))
        row = with_nan(row)
        row["steps"] = base + row["steps"].astype(np.int64)
        return state, progress_after(self.algorithm, progress, after, base), row

    def evaluate(self, state: State, progress: training.Progress) -> training.Evaluation:
        """Plays the specification's evaluation episodes: numpy arrays [members, episodes]."""
        if self._evaluate is None:
            raise ValueError("evaluation_episodes=0: there is no evaluation")
        if self._specification.shard == "envs":
            # Played on one device: who acts is whole on each of them.
            state = jax.device_put(state, jax.local_devices()[0])
        steps = steps_of_members(self._specification, progress).astype(np.uint32)
        played = self._evaluate(*self._floats, self.keys.evaluation, state, steps)
        return with_nan(jax.device_get(played))


def _memory_of(program: Any) -> int:
    analysis = program.memory_analysis()
    if analysis is None:
        return 0
    whole = analysis.argument_size_in_bytes + analysis.output_size_in_bytes
    # Donated arguments hold results.
    return whole + analysis.temp_size_in_bytes - analysis.alias_size_in_bytes


def evaluate_states(
    specification: Specification,
    keys: Key,
    states: State,
    *,
    num_episodes: int,
    explores: bool = False,
) -> training.Evaluation:
    """Plays whole episodes with the policy of every member, in its own environment.

    Args:
        specification: the run.
        keys: [members], consumed.
        states: of all members.
        num_episodes: per member.
        explores: whether it is the policy that explores.

    Returns:
        Returns and lengths as numpy arrays, [members, num_episodes].
    """
    settings, differences = batched.shared_settings(specification), differences_of(specification)
    # Side by side as many as there is room for; then the next.
    most = max(1, _MOST_EPISODES_AT_ONCE // len(specification.members))
    num_parts = -(-num_episodes // most)
    size = -(-num_episodes // num_parts)
    construct = constructor(specification)
    program = jax.jit(batched.evaluate_of(construct, size, explores=explores))
    parts = [
        # Each part draws from its number, as an evaluation within a run does from the steps.
        jax.device_get(
            program(settings, differences, keys, states, np.full(keys.shape, part, np.uint32))
        )
        for part in range(num_parts)
    ]
    joined = jax.tree.map(lambda *x: np.concatenate(x, axis=1)[:, :num_episodes], *parts)
    return with_nan(joined)

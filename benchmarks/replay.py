"""Replay beside flashbax's: additions and samples per second, and bytes; many agents' memory.

    python benchmarks/replay.py

A cycle adds one transition of Breakout-MinAtar's shape to a full buffer and samples 128. Ours keeps
its observations as bits, once; flashbax's item buffer keeps float32 ones, and the successors beside
them. Both run a thousand cycles in one compiled program whose state is donated, in one process, in
turns; a ratio is taken within a turn. The agents train in a process of their own, whose peak is
what the system says when it ends. The result goes into `benchmarks/results/replay.json`.
"""

import argparse
import importlib.metadata
import json
import math
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import flashbax
import jax
import jax.numpy as jnp
import numpy as np
from machine import describe_machine

import jaxrl
from jaxrl.replay import prioritized_replay, ring_storage, uniform_replay
from jaxrl.types import Box, Discrete, Transition

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "replay.json"
PIXELS = (10, 10, 4)
BATCH_SIZE = 128
CYCLES = 1000
# A state, and a function of a key and a state that runs the cycles.
Contender = tuple[Any, Callable[[jax.Array, Any], tuple[Any, jax.Array]]]


def frame_at(time: jax.Array) -> jax.Array:
    """Some truth values that differ from time to time."""
    return ((time * 7919 + jnp.arange(math.prod(PIXELS))) % 13 == 0).reshape(PIXELS)


def make_contender(init: Any, add: Any, sample: Any, learn: Any, capacity: int) -> Contender:
    """A full buffer, and its cycles; `learn` gives new priorities to what was sampled."""

    def fill(state: Any) -> Any:
        return jax.lax.fori_loop(0, capacity, lambda i, state: add(state, i), state)

    def cycles(key: jax.Array, state: Any) -> tuple[Any, jax.Array]:
        def cycle(state: Any, inputs: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
            i, key = inputs
            batch, index = sample(key, state := add(state, i))
            # Every number that is sampled is read.
            sums = [jnp.sum(x, dtype=jnp.float32) for x in jax.tree.leaves(batch)]
            return learn(state, index, key), sum(sums, start=jnp.float32(0))

        return jax.lax.scan(cycle, state, (jnp.arange(CYCLES), jax.random.split(key, CYCLES)))

    state = jax.jit(fill, donate_argnums=0)(init())
    return state, jax.jit(cycles, donate_argnums=1)


def ours(capacity: int, *, prioritized: bool = False, dtype: Any = jnp.bool_) -> Contender:
    """Our replay of steps of one environment."""
    space = Box(0, 1, PIXELS, dtype)
    storage = ring_storage(space, Discrete(3), capacity=capacity, num_envs=1)
    make = prioritized_replay if prioritized else uniform_replay
    replay = make(storage, batch_size=BATCH_SIZE)

    def add(state: Any, i: jax.Array) -> Any:
        ended = (i % 50 == 49)[None, None]
        step = Transition(
            observation=frame_at(i).astype(dtype)[None, None],
            action=(i % 3)[None, None],
            reward=jnp.ones((1, 1)),
            terminated=ended,
            truncated=jnp.zeros_like(ended),
            next_observation=frame_at(i + 1).astype(dtype)[None, None],
            extras=(),
        )
        return replay.add(state, step)

    def sample(key: jax.Array, state: Any) -> tuple[Any, jax.Array]:
        batch = replay.sample(key, state)
        return batch._replace(index=jnp.int32(0)), batch.index

    def learn(state: Any, index: jax.Array, key: jax.Array) -> Any:
        return replay.prioritize(state, index, jax.random.uniform(key, (BATCH_SIZE,)))

    return make_contender(replay.init, add, sample, learn, capacity)


def flashbax_item(i: jax.Array, *, with_successor: bool = True) -> dict[str, jax.Array]:
    """What a learner with flashbax's item buffer adds."""
    item = {
        "observation": frame_at(i).astype(jnp.float32),
        "action": i % 3,
        "reward": jnp.float32(1),
        "terminated": i % 50 == 49,
    }
    if with_successor:
        item["next_observation"] = frame_at(i + 1).astype(jnp.float32)
    return item


def theirs(capacity: int, *, prioritized: bool = False) -> Contender:
    """Flashbax's item buffer, or its prioritised one of successive steps."""

    def learn(state: Any, index: jax.Array, key: jax.Array) -> Any:
        if not prioritized:
            return state
        return buffer.set_priorities(state, index, jax.random.uniform(key, (BATCH_SIZE,)))

    def sample(key: jax.Array, state: Any) -> tuple[Any, jax.Array]:
        batch = buffer.sample(state, key)
        return batch.experience, batch.indices if prioritized else jnp.int32(0)

    make = flashbax.make_prioritised_flat_buffer if prioritized else flashbax.make_item_buffer
    buffer: Any = make(capacity, BATCH_SIZE, BATCH_SIZE)
    item_at = lambda i: flashbax_item(i, with_successor=not prioritized)  # noqa: E731

    def init() -> Any:
        return jax.jit(lambda: buffer.init(item_at(jnp.int32(0))))()

    return make_contender(
        init, lambda state, i: buffer.add(state, item_at(i)), sample, learn, capacity
    )


def bytes_of(state: Any) -> int:
    """Of all arrays of a state, abstract ones too."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state))


def compare(capacity: int, *, prioritized: bool, pairs: int) -> dict[str, Any]:
    """Cycles per second of both, in turns, and the median of the turns' ratios."""
    sides = {
        "ours": ours(capacity, prioritized=prioritized),
        "theirs": theirs(capacity, prioritized=prioritized),
    }
    states = {side: state for side, (state, _) in sides.items()}
    sizes = {f"{side}_bytes": bytes_of(state) / capacity for side, state in states.items()}
    speeds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for turn in range(-1, pairs + 1):
        for side in ("ours", "theirs")[:: 1 if turn % 2 else -1]:
            start = time.perf_counter()
            states[side], total = sides[side][1](jax.random.key(turn + 1), states[side])
            jax.block_until_ready(total)
            # The first turns compile: flashbax's state changes its types at the first.
            if turn > 0:
                speeds[side].append(CYCLES / (time.perf_counter() - start))
    ratios = [a / b for a, b in zip(speeds["ours"], speeds["theirs"], strict=True)]
    medians = {f"{side}_cycles_per_second": float(np.median(x)) for side, x in speeds.items()}
    return (
        {"capacity": capacity, "prioritized": prioritized}
        | sizes
        | medians
        | {
            "ratio": float(np.median(ratios)),
            "ratios": ratios,
        }
    )


def train_agents(num_agents: int, buffer_size: int, num_iterations: int) -> dict[str, Any]:
    """Trains DQN agents side by side, and says what the compiled program takes."""
    config = jaxrl.DQNConfig(buffer_size=buffer_size, random_steps=1000, total_steps=1_000_000)
    algorithm = jaxrl.dqn(jaxrl.make_env("Breakout-MinAtar"), config)

    def run(state: Any, keys: jax.Array) -> tuple[Any, jax.Array]:
        def iterate(state: Any, key: jax.Array) -> tuple[Any, jax.Array]:
            state, metrics = algorithm.step(key, state)
            return state, metrics["value_loss"]

        return jax.lax.scan(iterate, state, keys)

    keys = jax.random.split(jax.random.key(0), num_agents)
    state = jax.jit(jax.vmap(algorithm.init))(keys)
    steps = jax.vmap(lambda key: jax.random.split(key, num_iterations))(keys)
    program = jax.jit(jax.vmap(run), donate_argnums=0).lower(state, steps).compile()
    memory: Any = program.memory_analysis()
    replay_bytes = bytes_of(state.replay)
    state, losses = jax.block_until_ready(program(state, steps))
    assert np.isfinite(losses).all()
    return {
        "agents": num_agents,
        "buffer_size": buffer_size,
        "steps": int(state.steps[0]),
        "replay_mebibytes": replay_bytes / 2**20,
        "temporary_mebibytes": memory.temp_size_in_bytes / 2**20,
    }


def measure_agents(*arguments: int) -> dict[str, Any]:
    """`train_agents` in a child process, and that process's largest resident set."""
    command = [sys.executable, __file__, "--agents", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    answer = process.stdout.read()
    # `wait4` reports this one child; `getrusage` would report the largest of all so far.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return json.loads(answer) | {"peak_mebibytes": usage.ru_maxrss * unit / 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capacities", nargs="+", type=int, default=[5_000, 50_000, 500_000])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    parser.add_argument(
        "--agents",
        nargs=3,
        type=int,
        metavar=("AGENTS", "BUFFER_SIZE", "ITERATIONS"),
        help="only train these, and print what the program takes",
    )
    arguments = parser.parse_args()
    if arguments.agents:
        print(json.dumps(train_agents(*arguments.agents)))
        return
    # Before anything large is here: a child's peak counts what its parent had when it was started.
    agents = [measure_agents(32, 100_000, 50)]
    print(json.dumps(agents), flush=True)
    rows = []
    for prioritized in (False, True):
        for capacity in arguments.capacities:
            rows.append(compare(capacity, prioritized=prioritized, pairs=arguments.pairs))
            print(json.dumps(rows[-1]), flush=True)
    content = {
        "machine": describe_machine(),
        "versions": {"jax": jax.__version__, "flashbax": importlib.metadata.version("flashbax")},
        "results": rows,
        "agents": agents,
    }
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

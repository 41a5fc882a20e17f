"""A sweep of thousands of agents under a limit of memory: programs, memory, speed by width, truth.

    python benchmarks/sweep_members.py
    python benchmarks/sweep_members.py --parts speeds --widths 4 16 64 256
    python benchmarks/sweep_members.py --rates 8 --seeds 2 --steps 1024 --memory 512

PPO on CartPole: learning rates x three lengths of rollouts x four gravities x seeds, 6,144 agents
as it stands. Reported are the compilations; the peak of resident memory over that of the idle
process with the first program compiled; how many steps a second blocks of other widths come to;
and how far agents drawn at random end from runs of their own.
"""

import argparse
import json
import pathlib
import tempfile
import threading
import time
from typing import Any

import jax
import numpy as np
from machine import describe_machine

import jaxrl
from jaxrl import runs, sweeps
from jaxrl.runs import plan
from jaxrl.sweeps import compiled_groups, execution

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "sweep_members.json"
MEBIBYTE = 2**20


def resident() -> int:
    """Bytes of this process that are in memory now."""
    pages = int(pathlib.Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


class Peak(threading.Thread):
    """Looks at the resident memory every five milliseconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = resident()
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.005):
            self.most = max(self.most, resident())

    def end(self) -> int:
        self._ended.set()
        self.join()
        return self.most


def make(arguments: argparse.Namespace) -> sweeps.Sweep:
    base = runs.Specification(
        algorithm="ppo",
        environment="CartPole-v1",
        settings=jaxrl.PPOConfig(total_steps=arguments.steps, num_envs=4),
        members=runs.make_members(range(arguments.seeds)),
        evaluation_episodes=arguments.episodes,
        keep_checkpoints=1,
    )
    space = {
        "learning_rate": np.geomspace(1e-4, 1e-2, arguments.rates).tolist(),
        "num_steps": [16, 32, 64],
        "env.gravity": [5.0, 8.0, 11.0, 14.0],
    }
    limit = arguments.memory * MEBIBYTE
    return sweeps.make_sweep(base, space, sampler="grid", memory=limit)


def carried_out(sweep: sweeps.Sweep, folder: pathlib.Path) -> dict[str, Any]:
    """Runs the sweep; memory is measured from the moment that the first program is compiled."""
    fit, fitted, idle, peaks = compiled_groups.fit, [], [], []

    def measured(group: Any, *given: Any, **options: Any) -> Any:
        found = fit(group, *given, **options)
        fitted.append(found)
        if not idle:
            idle.append(resident())
            peaks.append(Peak())
            peaks[0].start()
        return found

    execution.fit = measured
    try:
        outcome = sweeps.start(sweep, folder)
    finally:
        execution.fit = fit
    peak = peaks[0].end()
    sizes = [[len(block) for block in found.blocks] for found in fitted]
    return {
        "agents": len(sweep.trials) * len(sweep.seeds),
        "groups": len(fitted),
        "widths": [sorted(set(own)) for own in sizes],
        "blocks": [len(own) for own in sizes],
        "compile_seconds": outcome.compile_seconds,
        "run_seconds": outcome.run_seconds,
        "idle_mebibytes": idle[0] / MEBIBYTE,
        "peak_over_idle_mebibytes": (peak - idle[0]) / MEBIBYTE,
        "statuses": sorted({row["status"] for row in outcome.trials}),
    }


def distances(sweep: sweeps.Sweep, folder: pathlib.Path, count: int) -> list[dict[str, Any]]:
    """How far agents of the sweep lie from runs of their own, in the largest parameter."""
    drawn = np.random.default_rng(0).choice(len(sweep.trials) * len(sweep.seeds), count, False)
    groups = sweeps.plan(sweep)
    blocks = sweeps.collect(folder)
    found, loaded = [], {}
    for agent in sorted(map(int, drawn)):
        trial, place = divmod(agent, len(sweep.seeds))
        group = next(group for group in groups if trial in group.trials)
        name = next(name for name, block in blocks.items() if trial in block.trials)
        if name not in loaded:
            loaded = {name: runs.load(folder / "blocks" / name)}
        member = blocks[name].trials.index(trial) * len(sweep.seeds) + place
        alone = group.run_of([trial], [sweep.seeds[place]], None)
        with tempfile.TemporaryDirectory() as own:
            runs.start(alone, pathlib.Path(own) / "run")
            state = runs.load(pathlib.Path(own) / "run").state_of(0)
        pairs = zip(
            jax.tree.leaves(loaded[name].state_of(member).agent.params),
            jax.tree.leaves(state.agent.params),
            strict=True,
        )
        apart = max(float(np.max(np.abs(np.subtract(*pair)))) for pair in pairs)
        found.append({"trial": trial, "seed": sweep.seeds[place], "largest_difference": apart})
        print(found[-1], flush=True)
    return found


def speeds(sweep: sweeps.Sweep, widths: list[int]) -> dict[int, float]:
    """Environment steps a second of the whole budget, by the number of trials side by side."""
    group = sweeps.plan(sweep)[-1]
    programs = compiled_groups.GroupPrograms(group, sweep.seeds, None)
    found = {}
    for width in widths:
        _, compiled = programs.of(group.trials[:width])
        # The second time, so that nothing is done for the first time.
        for _ in range(2):
            state = compiled.init()
            began = time.perf_counter()
            progress = plan.first_progress(
                group.run_of(group.trials[:width], sweep.seeds, None), compiled.algorithm
            )
            steps = 0
            while not plan.is_finished(compiled.algorithm, progress):
                state, progress, _ = compiled.advance(state, progress)
            jax.block_until_ready(state)
            steps = int(np.max(progress.steps)) * width * len(sweep.seeds)
            found[width] = steps / (time.perf_counter() - began)
        print(f"{width * len(sweep.seeds)} agents: {found[width]:,.0f} steps/s", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=1_024)
    parser.add_argument("--episodes", type=int, default=4)
    parser.add_argument("--memory", type=int, default=1024, help="MiB")
    parser.add_argument("--drawn", type=int, default=20)
    parser.add_argument("--widths", nargs="*", type=int, default=[8, 32, 64, 128, 256])
    parser.add_argument("--parts", nargs="+", default=["sweep", "speeds"])
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS, help="parts are added to it")
    arguments = parser.parse_args()
    sweep = make(arguments)
    present = arguments.out.exists()
    content: dict[str, Any] = json.loads(arguments.out.read_text()) if present else {}
    if "sweep" in arguments.parts:
        with tempfile.TemporaryDirectory() as parent:
            folder = pathlib.Path(parent) / "sweep"
            content |= {"memory_mebibytes": arguments.memory} | carried_out(sweep, folder)
            print(content, flush=True)
            content["distances"] = distances(sweep, folder, arguments.drawn)
    if "speeds" in arguments.parts:
        content["steps_per_second"] = speeds(sweep, arguments.widths)
        content["steps_of_speeds"] = arguments.steps
    content["versions"] = {"jaxrl": jaxrl.__version__, "jax": jax.__version__}
    content["machine"] = describe_machine()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

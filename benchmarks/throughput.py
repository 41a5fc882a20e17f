"""Steps per second and compile time beside the peers', on whatever device is there.

    python benchmarks/throughput.py
    python benchmarks/throughput.py --configurations 64x128x1 64x128x16 --peers rejax --pairs 9
    python benchmarks/throughput.py --algorithm a2c

A configuration is environments x steps x seeds. Each contender has its own process; for each pair,
ours and a peer train once right after one another, the order alternating, so that whatever slows
the machine slows both. Results go to `benchmarks/results/`.
"""

import argparse
import contextlib
import json
import pathlib
import re
import statistics
from typing import Any, NamedTuple

from machine import describe_machine
from worker_process import CONTENDERS, Worker, is_available

HERE = pathlib.Path(__file__).resolve().parent


class Suite(NamedTuple):
    """How one algorithm is measured.

    Attributes:
        settings: of every configuration.
        configurations: measured by default.
        peers: who have the algorithm.
        program_steps: environment steps of a timed run of a compiled program, one seed, by the
            nearest number of environments: about a second each on two cores.
        loop_steps: the same of a Python loop, which takes as long per step however long it runs.
    """

    settings: dict[str, Any]
    configurations: tuple[str, ...]
    peers: tuple[str, ...]
    program_steps: dict[int, int]
    loop_steps: dict[int, int]


SUITES = {
    "ppo": Suite(
        settings={
            "algorithm": "ppo",
            "environment": "CartPole-v1",
            "hidden_sizes": [64, 64],
            "num_epochs": 4,
            "num_minibatches": 4,
            "learning_rate": 2.5e-4,
            "discount": 0.99,
            "gae_lambda": 0.95,
            "clip_epsilon": 0.2,
            "value_coefficient": 0.5,
            "entropy_coefficient": 0.01,
            "max_gradient_norm": 0.5,
        },
        configurations=("4x128x1", "64x128x1", "1024x32x1", "4x128x16", "64x128x8"),
        peers=("plain", "rejax", "stable_baselines3", "sbx"),
        program_steps={4: 256 * 4 * 128, 64: 96 * 64 * 128, 1024: 24 * 1024 * 32},
        loop_steps={4: 16 * 4 * 128, 64: 3 * 64 * 128, 1024: 1024 * 32},
    ),
    "a2c": Suite(
        settings={
            "algorithm": "a2c",
            "environment": "CartPole-v1",
            "hidden_sizes": [64, 64],
            "learning_rate": 7e-4,
            "discount": 0.99,
            "gae_lambda": 1.0,
            "value_coefficient": 0.5,
            "entropy_coefficient": 0.0,
            "max_gradient_norm": 0.5,
            "rmsprop_epsilon": 1e-5,
        },
        configurations=("16x5x1",),
        peers=("stable_baselines3",),
        program_steps={16: 5_000 * 16 * 5},
        loop_steps={16: 150 * 16 * 5},
    ),
}
COMPILATIONS = 3
# Many seeds share a run's length between them, but each takes enough iterations to count.
LEAST_ITERATIONS = 16


class Configuration(NamedTuple):
    """One size of PPO."""

    num_envs: int
    num_steps: int
    num_seeds: int

    @classmethod
    def parse(cls, text: str) -> "Configuration":
        """Reads 64x128x1."""
        if not re.fullmatch(r"[1-9]\d*x[1-9]\d*x[1-9]\d*", text):
            raise ValueError(f"{text!r} is not ENVIRONMENTSxSTEPSxSEEDS, such as 64x128x1")
        return cls(*map(int, text.split("x")))

    def settings(self, suite: Suite, name: str) -> dict[str, Any]:
        """What a contender is asked to train."""
        steps = suite.program_steps if CONTENDERS[name].one_program else suite.loop_steps
        nearest = min(steps, key=lambda num_envs: abs(num_envs - self.num_envs))
        batch = self.num_envs * self.num_steps
        iterations = max(1, steps[nearest] // batch)
        count = max(iterations // self.num_seeds, min(iterations, LEAST_ITERATIONS))
        return suite.settings | self._asdict() | {"total_steps": count * batch}


def measure(
    suite: Suite, configuration: Configuration, peers: list[str], pairs: int
) -> list[dict[str, Any]]:
    """Times ours and each peer in pairs; one row per contender."""
    names = ["ours", *peers]
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(name)) for name in names}
        facts = {
            name: worker.ask("prepare", settings=configuration.settings(suite, name))
            for name, worker in workers.items()
        }
        compilations: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for _ in range(COMPILATIONS):
            for name, worker in workers.items():
                compilations[name].append(worker.ask("compile"))
        for worker in workers.values():
            worker.ask("run")

        def steps_per_second(name: str) -> float:
            return facts[name]["steps"] / workers[name].ask("run")["seconds"]

        rows = []
        for peer in peers:
            speeds: dict[str, list[float]] = {"ours": [], peer: []}
            for pair in range(pairs):
                order = ("ours", peer) if pair % 2 == 0 else (peer, "ours")
                for name in order:
                    speeds[name].append(steps_per_second(name))
            rows.append(summarise(peer, speeds, compilations, facts))
            print_row(configuration, rows[-1])
    return rows


def summarise(
    peer: str,
    speeds: dict[str, list[float]],
    compilations: dict[str, list[dict[str, float]]],
    facts: dict[str, Any],
) -> dict[str, Any]:
    """Medians over the pairs, and every pair's ratio."""
    ratios = [ours / theirs for ours, theirs in zip(speeds["ours"], speeds[peer], strict=True)]
    row: dict[str, Any] = {
        "peer": peer,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }
    for side, name in (("ours", "ours"), ("theirs", peer)):
        stages = [timing for timing in compilations[name] if timing]
        row[side] = {
            "steps_per_second": statistics.median(speeds[name]),
            "all_steps_per_second": speeds[name],
            "steps_per_run": facts[name]["steps"],
            "trace_seconds": statistics.median(t["trace"] for t in stages) if stages else None,
            "compile_seconds": statistics.median(t["compile"] for t in stages) if stages else None,
            "first_build_seconds": sum(stages[0].values()) if stages else None,
            "device": facts[name]["device"],
            "versions": facts[name]["versions"],
        }
    return row


def print_row(configuration: Configuration, row: dict[str, Any]) -> None:
    """One line for whoever waits."""
    size = "x".join(map(str, configuration))
    ours, theirs = row["ours"], row["theirs"]
    line = (
        f"{size:>12}  ours {ours['steps_per_second']:>12,.0f} steps/s"
        f"  {row['peer']} {theirs['steps_per_second']:>12,.0f} steps/s"
        f"  ratio {row['ratio']:.2f} ({min(row['ratios']):.2f} to {max(row['ratios']):.2f})"
    )
    if theirs["trace_seconds"] is not None:
        build = [side["trace_seconds"] + side["compile_seconds"] for side in (ours, theirs)]
        line += f"  trace + compile {build[0]:.2f} s, theirs {build[1]:.2f} s"
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algorithm", default="ppo", choices=list(SUITES))
    parser.add_argument("--configurations", nargs="+", metavar="ExTxS")
    parser.add_argument("--peers", nargs="+", choices=[x for x in CONTENDERS if x != "ours"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, help="default: results/throughput-*.json")
    arguments = parser.parse_args()
    suite = SUITES[arguments.algorithm]
    try:
        texts = arguments.configurations or suite.configurations
        configurations = [Configuration.parse(text) for text in texts]
    except ValueError as error:
        parser.error(str(error))
    if arguments.pairs < 1:
        parser.error(f"--pairs {arguments.pairs} must be at least 1")
    peers = arguments.peers or suite.peers
    for peer in sorted(set(peers) - set(suite.peers)):
        parser.error(f"{peer} has no {arguments.algorithm}")
    available = [peer for peer in peers if is_available(peer)]
    for peer in sorted(set(peers) - set(available)):
        print(f"{peer} is left out: python benchmarks/make_environments.py {peer} makes it")
    results = []
    for configuration in configurations:
        alone = configuration.num_seeds == 1
        chosen = [peer for peer in available if alone or CONTENDERS[peer].one_program]
        rows = measure(suite, configuration, chosen, arguments.pairs)
        results += [configuration._asdict() | row for row in rows]
    if not results:
        parser.error("there is nobody to compare with: make the peers' environments first")
    device = results[0]["ours"]["device"]
    slug = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    out = arguments.out or HERE / "results" / f"throughput-{arguments.algorithm}-{slug}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": describe_machine(), "settings": suite.settings, "results": results}
    out.write_text(json.dumps(content, indent=1) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()

"""Steps per second and compile time beside the peers', on whatever device is there.

    python benchmarks/throughput.py
    python benchmarks/throughput.py --configurations 64x128x1 64x128x16 --peers rejax --pairs 9
    python benchmarks/throughput.py --suite a2c
    python benchmarks/throughput.py --suite sac dqn

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
from collections.abc import Sequence
from typing import Any, NamedTuple

from machine import describe_machine, device_slug
from suites import SUITES, Suite
from worker_process import CONTENDERS, Worker, is_available

HERE = pathlib.Path(__file__).resolve().parent


COMPILATIONS = 3
# Many seeds share a run's length between them, but each takes enough iterations to count.
LEAST_ITERATIONS = 16


class Configuration(NamedTuple):
    """One size of a run."""

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
    parser.add_argument("--suite", nargs="+", default=["ppo"], choices=list(SUITES))
    parser.add_argument("--configurations", nargs="+", metavar="ExTxS")
    parser.add_argument("--peers", nargs="+", choices=[x for x in CONTENDERS if x != "ours"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "results", help="a folder")
    arguments = parser.parse_args()
    if arguments.pairs < 1:
        parser.error(f"--pairs {arguments.pairs} must be at least 1")
    for name in arguments.suite:
        suite = SUITES[name]
        try:
            texts = arguments.configurations or suite.configurations
            configurations = [Configuration.parse(text) for text in texts]
        except ValueError as error:
            parser.error(str(error))
        peers = arguments.peers or suite.peers
        for peer in sorted(set(peers) - set(suite.peers)):
            parser.error(f"{peer} is not in the suite {name}")
        results = measure_all(suite, configurations, peers, arguments.pairs)
        if not results:
            parser.error("there is nobody to compare with: make the peers' environments first")
        write(name, suite, results, arguments.out)


def measure_all(
    suite: Suite, configurations: list[Configuration], peers: Sequence[str], pairs: int
) -> list[dict[str, Any]]:
    """Rows of all configurations, beside the peers that are there and can do them."""
    available = [peer for peer in peers if is_available(peer)]
    for peer in sorted(set(peers) - set(available)):
        print(f"{peer} is left out: python benchmarks/make_environments.py {peer} makes it")
    results = []
    for configuration in configurations:
        alone = configuration.num_seeds == 1
        chosen = [peer for peer in available if alone or CONTENDERS[peer].one_program]
        rows = measure(suite, configuration, chosen, pairs)
        results += [configuration._asdict() | row for row in rows]
    return results


def write(name: str, suite: Suite, results: list[dict[str, Any]], folder: pathlib.Path) -> None:
    """One file for each suite and device."""
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"throughput-{name}-{device_slug(results[0]['ours']['device'])}.json"
    content = {"machine": describe_machine(), "settings": suite.settings, "results": results}
    out.write_text(json.dumps(content, indent=1) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()

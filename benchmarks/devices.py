"""What several devices and several processes are worth on one host, whose cores they share.

    python benchmarks/devices.py
    python benchmarks/devices.py --rates 4 --seeds 2 --steps 4096 --pairs 1

Three questions about PPO on CartPole. Does a sweep over four host devices train as fast as on one?
How much faster do two processes share it, joined by `jax.distributed` over the loopback, than one
process runs it alone? And what does it cost to share the environments of one agent out over four
devices (`--shard envs`)? Every run is a process of its own, or two; a pair of runs follow right
after one another, in alternating order. Seconds are those of training, evaluating and writing, of
the slower of two processes; `wall` has starting and compiling as well. Ratios above 1: the new way
is faster.
"""

import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any

import jax
import numpy as np
from machine import describe_machine

import jaxrl
from jaxrl import runs, sweeps

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "devices.json"
DEVICES = 4
# Of each question: what it asks of a run, first the way that it is compared with.
QUESTIONS = {
    "devices": ({"devices": 1}, {"devices": DEVICES}),
    "processes": ({"processes": 1}, {"processes": 2}),
    "environments": ({"task": "agent"}, {"task": "agent", "devices": DEVICES, "shard": "envs"}),
}


def train_sweep(
    arguments: argparse.Namespace, processes: sweeps.Processes | None
) -> dict[str, float]:
    """Runs a sweep, or this process's share of it."""
    base = runs.Specification(
        algorithm="ppo",
        environment="CartPole-v1",
        settings=jaxrl.PPOConfig(total_steps=arguments.steps, num_envs=4, num_steps=128),
        members=runs.make_members(range(arguments.seeds)),
        keep_checkpoints=1,
    )
    rates = np.geomspace(1e-4, 1e-2, arguments.rates).tolist()
    sweep = sweeps.make_sweep(base, {"learning_rate": rates}, sampler="grid")
    outcome = sweeps.start(sweep, arguments.work, processes=processes)
    return {"run": outcome.run_seconds, "compile": outcome.compile_seconds}


def train_agent(arguments: argparse.Namespace) -> dict[str, float]:
    """Trains one agent of many environments."""
    settings = jaxrl.PPOConfig(
        total_steps=arguments.agent_steps, num_envs=arguments.num_envs, num_steps=32
    )
    run = runs.Specification(
        algorithm="ppo",
        environment="CartPole-v1",
        settings=settings,
        shard=arguments.shard,
        evaluation_episodes=0,
    )
    outcome = runs.start(run, arguments.work)
    return {"run": outcome.run_seconds, "compile": outcome.compile_seconds}


def work(arguments: argparse.Namespace) -> None:
    """Does one process's part of one run, and prints its seconds."""
    if arguments.task == "agent":
        seconds = train_agent(arguments)
    elif arguments.coordinator is None:
        seconds = train_sweep(arguments, None)
    else:
        with sweeps.joined(
            arguments.work,
            coordinator=arguments.coordinator,
            num_processes=arguments.processes,
            process_id=arguments.process_id,
        ) as processes:
            seconds = train_sweep(arguments, processes)
    print(json.dumps(seconds), flush=True)


def start_process(given: list[str], devices: int) -> "subprocess.Popen[str]":
    """Starts one process that sees so many host devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, __file__, *given],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"XLA_FLAGS": flags.strip()},
    )


def run_once(
    sizes: list[str], *, task: str = "sweep", devices: int = 1, processes: int = 1, shard: str = ""
) -> dict[str, float]:
    """Returns the seconds of one run: of the slower process where there are two."""
    with tempfile.TemporaryDirectory() as parent, socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
        free.close()
        given = [*sizes, "--work", f"{parent}/run", "--task", task]
        given += ["--shard", shard] if shard else []
        if processes > 1:
            given += ["--coordinator", address, "--processes", str(processes)]
        began = time.perf_counter()
        started = [
            start_process([*given, "--process-id", str(index)], devices)
            for index in range(processes)
        ]
        answers = [process.communicate()[0] for process in started]
        wall = time.perf_counter() - began
    if any(process.returncode for process in started):
        raise RuntimeError(f"a process of {given} failed")
    seconds = [json.loads(answer.splitlines()[-1]) for answer in answers]
    return {name: max(x[name] for x in seconds) for name in seconds[0]} | {"wall": wall}


def answer(question: str, sizes: list[str], pairs: int) -> dict[str, Any]:
    """Times the two ways of a question in pairs."""
    ways: tuple[dict[str, Any], dict[str, Any]] = QUESTIONS[question]
    seconds: tuple[list[dict[str, float]], list[dict[str, float]]] = ([], [])
    for pair in range(pairs):
        for place in (0, 1)[:: -1 if pair % 2 else 1]:
            seconds[place].append(run_once(sizes, **ways[place]))
    found: dict[str, Any] = {"ways": ways, "seconds": seconds}
    for name in ("run", "wall"):
        before, after = (np.array([one[name] for one in way]) for way in seconds)
        ratios = before / after
        found[name] = {"ratio": float(np.median(ratios)), "ratios": ratios.tolist()}
        print(
            f"{question}, {name}: {np.median(ratios):.3f} "
            f"({ratios.min():.3f} to {ratios.max():.3f} of {pairs} pairs)",
            flush=True,
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes = {"rates": 16, "seeds": 4, "steps": 100_000, "num_envs": 1024, "agent_steps": 1_000_000}
    for name, default in sizes.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--questions", nargs="+", choices=list(QUESTIONS), default=list(QUESTIONS))
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS, help="a file")
    # What this script asks of the processes that it starts.
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--task", default="sweep", help=argparse.SUPPRESS)
    parser.add_argument("--shard", default="members", help=argparse.SUPPRESS)
    parser.add_argument("--coordinator", help=argparse.SUPPRESS)
    parser.add_argument("--processes", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--process-id", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work is not None:
        work(arguments)
        return
    given = {name: getattr(arguments, name) for name in sizes}
    words = [x for name, n in given.items() for x in (f"--{name.replace('_', '-')}", str(n))]
    content: dict[str, Any] = dict(given)
    for question in arguments.questions:
        content[question] = answer(question, words, arguments.pairs)
    content["versions"] = {"jaxrl": jaxrl.__version__, "jax": jax.__version__}
    content["machine"] = describe_machine()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

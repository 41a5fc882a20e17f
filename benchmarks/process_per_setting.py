"""A sweep beside a process per setting: wall time of 64 learning rates of PPO on CartPole.

    python benchmarks/make_environments.py rejax
    python benchmarks/process_per_setting.py
    python benchmarks/process_per_setting.py --rates 4 --steps 8192 --out /tmp/x.json

A process per setting is how most frameworks search: each process imports its libraries, compiles
its program and trains one agent. rejax stands in the processes' place, compiled with `jit` and
without evaluations. They run one after another, or as many at once as is asked for. The sweep is
one `jaxrl sweep` of the command line, from its start to its end, that compiles from scratch too and
plays 100 episodes with every agent, writes its logs, checkpoints and table. Ratios above 1: the
sweep is faster.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from machine import describe_machine
from suites import SUITES
from worker_process import CONTENDERS, Worker, is_available

import jaxrl

RESULT = pathlib.Path(__file__).resolve().parent / "results" / "process-per-setting.json"
NUM_ENVS, NUM_STEPS = 4, 128


def settings_of(rate: float, steps: int) -> dict[str, Any]:
    """What one process trains."""
    numbers = {"total_steps": steps, "num_envs": NUM_ENVS, "num_steps": NUM_STEPS, "num_seeds": 1}
    return SUITES["ppo"].settings | numbers | {"learning_rate": rate}


def one_process(contender: str, rate: float, steps: int) -> None:
    """Starts a process, compiles, trains once and ends it."""
    with Worker(contender) as worker:
        worker.ask("prepare", settings=settings_of(rate, steps))
        worker.ask("compile")
        worker.ask("run")


def seconds_of_processes(contender: str, rates: list[float], steps: int, at_once: int) -> float:
    """Wall time of a process for each rate, so many of them at once."""
    start = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda rate: one_process(contender, rate, steps), rates))
    return time.perf_counter() - start


def seconds_of_sweep(rates: list[float], steps: int) -> float:
    """Wall time of one sweep from the command line, with an empty compilation cache."""
    settings = {
        "total_steps": steps,
        "num_envs": NUM_ENVS,
        "num_steps": NUM_STEPS,
        "learning_rate": ",".join(map(repr, rates)),
    }
    flags = [
        word
        for name, value in settings.items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "jaxrl", "sweep", "ppo", "CartPole-v1", "--no-preset"]
        command += ["--sampler", "grid", "--seeds", "1", "--out", f"{folder}/sweep"]
        start = time.perf_counter()
        subprocess.run(
            [*command, *flags],
            env=os.environ | {"JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=int, default=64)
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1])
    parser.add_argument("--contender", choices=sorted(CONTENDERS), default="rejax")
    parser.add_argument("--out", type=pathlib.Path, default=RESULT)
    arguments = parser.parse_args()
    if not is_available(arguments.contender):
        parser.error(f"make its environment first: make_environments.py {arguments.contender}")
    steps = arguments.steps // (NUM_ENVS * NUM_STEPS) * NUM_ENVS * NUM_STEPS
    rates = np.geomspace(1e-4, 1e-2, arguments.rates).tolist()
    seconds = {"sweep": [seconds_of_sweep(rates, steps)]}
    for at_once in arguments.at_once:
        way = f"{at_once} at once"
        seconds[way] = [seconds_of_processes(arguments.contender, rates, steps, at_once)]
        print(f"{arguments.contender}, {way}: {seconds[way][0]:.1f} s", flush=True)
    # Before and after, since the machine's speed may have changed between.
    seconds["sweep"].append(seconds_of_sweep(rates, steps))
    sweep = float(np.mean(seconds["sweep"]))
    ratios = {way: own[0] / sweep for way, own in seconds.items() if way != "sweep"}
    print(f"sweep {seconds['sweep']} s; ratios {ratios}", flush=True)
    content = {
        "contender": arguments.contender,
        "rates": arguments.rates,
        "steps": steps,
        "seconds": seconds,
        "ratios": ratios,
        "device": jax.devices()[0].device_kind,
        "versions": {"jaxrl": jaxrl.__version__, "jax": jax.__version__},
        "machine": describe_machine(),
    }
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

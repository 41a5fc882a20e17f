"""Peak memory of a whole `jaxrl train` against its number of steps: it should stay flat.

    python benchmarks/memory.py
    python benchmarks/memory.py --environment Breakout-MinAtar --steps 1000000 10000000

Each run is a process of its own, and its peak is what the system says when it ends.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from machine import describe_machine

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "memory.json"


def peak_mebibytes(algorithm: str, environment: str, total_steps: int) -> float:
    """Trains in a child process and returns its largest resident set."""
    with tempfile.TemporaryDirectory() as folder:
        jaxrl = pathlib.Path(sys.executable).with_name("jaxrl")
        command = [str(jaxrl), "train", algorithm, environment]
        command += ["--total-steps", str(total_steps), "--out", f"{folder}/run"]
        # Every run compiles: a program from the cache would leave out the compiler's own memory.
        environment_variables = os.environ | {"JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"}
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment_variables)
        # `wait4` reports this one child; `getrusage` would report the largest of all so far.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algorithm", default="ppo")
    parser.add_argument("--environment", default="Breakout-MinAtar")
    parser.add_argument("--steps", nargs="+", type=int, default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    rows = []
    for total_steps in arguments.steps:
        peak = peak_mebibytes(arguments.algorithm, arguments.environment, total_steps)
        print(f"{total_steps:>12,} steps: {peak:,.0f} MiB", flush=True)
        rows.append(
            {
                "algorithm": arguments.algorithm,
                "environment": arguments.environment,
                "total_steps": total_steps,
                "peak_mebibytes": peak,
            }
        )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": describe_machine(), "results": rows}
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

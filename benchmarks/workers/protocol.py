"""How a worker talks to `throughput.py`: one JSON object per line, in and out.

Requests: {"request": "prepare", "settings": {...}}, {"request": "compile"}, {"request": "run"}, and
of a compiled program {"request": "costs"} and {"request": "profile"}. A worker stays alive between
requests, so that runs of several workers can take turns.
Only the standard library is used here: each worker runs in its own environment.
"""

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Program(NamedTuple):
    """A training run that is ready to be timed.

    Attributes:
        compile: () -> {"trace": seconds, "compile": seconds}, from scratch; None: nothing compiles.
        run: (index) -> None; trains once and waits until it is done.
        steps: environment steps that one `run` takes, all seeds together.
        device: what it runs on.
        costs: () -> what the compiled program needs, by name; None: nothing is compiled.
        profile: () -> what one run launches, by name; None: nothing is compiled.
    """

    compile: Callable[[], dict[str, float]] | None
    run: Callable[[int], None]
    steps: int
    device: str
    costs: Callable[[], dict[str, Any]] | None = None
    profile: Callable[[], dict[str, Any]] | None = None


def serve(prepare: Callable[[dict[str, Any]], Program], packages: tuple[str, ...]) -> None:
    """Answers requests until standard input ends."""
    # Whatever a library prints goes to standard error; the answers keep the real standard output.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    program: Program | None = None
    runs = 0
    for line in sys.stdin:
        request = json.loads(line)
        if request["request"] == "prepare":
            program = prepare(request["settings"])
            versions = {name: importlib.metadata.version(name) for name in packages}
            answer: dict[str, Any] = {
                "steps": program.steps,
                "device": program.device,
                "versions": versions,
            }
        elif program is None:
            raise RuntimeError("the first request must be prepare")
        elif request["request"] == "compile":
            answer = program.compile() if program.compile else {}
        elif request["request"] == "costs":
            answer = program.costs() if program.costs else {}
        elif request["request"] == "profile":
            answer = program.profile() if program.profile else {}
        else:
            start = time.perf_counter()
            program.run(runs)
            answer = {"seconds": time.perf_counter() - start}
            runs += 1
        print(json.dumps(answer), file=answers, flush=True)

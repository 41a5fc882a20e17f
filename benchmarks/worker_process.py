"""Starts a worker in its own environment and asks it for timings."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
from typing import Any, NamedTuple

from make_environments import is_ready, python_of

WORKERS = pathlib.Path(__file__).resolve().parent / "workers"


class Contender(NamedTuple):
    """Something that trains, or does a part of it.

    Attributes:
        script: the worker's file, with its arguments.
        environment: the peer whose environment it runs in; None: this one.
        one_program: it compiles a run into one program and vmaps seeds; otherwise it is a Python
            loop, whose steps per second do not depend on how long it runs, so that it runs less.
    """

    script: tuple[str, ...]
    environment: str | None
    one_program: bool


CONTENDERS = {
    "ours": Contender(("ours.py",), None, one_program=True),
    "plain": Contender(("ours.py", "--plain-shuffle"), None, one_program=True),
    "products": Contender(("products.py",), None, one_program=True),
    "rejax": Contender(("peer_rejax.py",), "rejax", one_program=True),
    "stable_baselines3": Contender(
        ("peer_stable_baselines3.py",), "stable_baselines3", one_program=False
    ),
    "sbx": Contender(("peer_sbx.py",), "sbx", one_program=False),
}


def is_available(name: str) -> bool:
    """Whether the environment that a contender runs in has been made."""
    environment = CONTENDERS[name].environment
    return environment is None or is_ready(environment)


class Worker:
    """A contender's process; a context manager that ends it.

    Args:
        name: of the contender.
        source: a folder whose `jaxrl` is imported instead of the installed one.
    """

    def __init__(self, name: str, *, source: pathlib.Path | None = None) -> None:
        contender = CONTENDERS[name]
        python = python_of(contender.environment) if contender.environment else sys.executable
        # Compile times must be those of a compilation.
        hidden = {"JAX_COMPILATION_CACHE_DIR", "PYTHONPATH"}
        variables = {name: value for name, value in os.environ.items() if name not in hidden}
        if source is not None:
            variables["PYTHONPATH"] = str(source)
        self.name = name
        self.process = subprocess.Popen(
            [str(python), str(WORKERS / contender.script[0]), *contender.script[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=variables,
        )

    def ask(self, request: str, **content: Any) -> Any:
        """Sends one request and waits for its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps({"request": request, **content}) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker {self.name} ended with {self.process.wait()}")
        return json.loads(answer)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *unused: object) -> None:
        del unused
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        # One that died has said why.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

"""Starts a worker in its own environment and asks it for timings."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Sequence
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
    "ceilings": Contender(("ceilings.py",), None, one_program=True),
    "forms": Contender(("forms.py",), None, one_program=True),
    "plain_forms": Contender(("forms.py", "--plain"), None, one_program=True),
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
        paths: folders whose packages are imported before the installed ones.
        in_this_environment: run in this environment, though the contender may have its own.
    """

    def __init__(
        self,
        name: str,
        *,
        paths: Sequence[pathlib.Path] = (),
        in_this_environment: bool = False,
    ) -> None:
        contender = CONTENDERS[name]
        own = contender.environment is not None and not in_this_environment
        python = python_of(contender.environment or "") if own else sys.executable
        # Compile times must be those of a compilation.
        hidden = {"JAX_COMPILATION_CACHE_DIR", "PYTHONPATH"}
        variables = {name: value for name, value in os.environ.items() if name not in hidden}
        if paths:
            variables["PYTHONPATH"] = os.pathsep.join(map(str, paths))
        self.name = name
        self.process = subprocess.Popen(
            [str(python), str(WORKERS / contender.script[0]), *contender.script[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=variables,
        )

    def ask(self, request: str, *, seconds: float | None = None, **content: Any) -> Any:
        """Sends one request and waits for its answer.

        Args:
            request: what is asked for.
            seconds: to wait at most; the worker is ended where it takes longer. None: for ever.
            **content: of the request.

        Raises:
            RuntimeError: the worker has ended, or was ended.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        answer = ""
        guard = threading.Timer(seconds or 0, self.process.kill)
        if seconds is not None:
            guard.start()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps({"request": request, **content}) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        guard.cancel()
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

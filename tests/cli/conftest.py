"""Runs the command line in this process, with an algorithm that compiles in no time."""

import pathlib
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from jaxrl import environments, registry
from jaxrl.cli import main

IMPORT = ("--import", "quick_algorithm")


class Answer(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it, and the modules that do so are imported anew."""
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    for entries in ("_own", "_suites"):
        present = dict(getattr(environments.registry, entries))
        monkeypatch.setattr(environments.registry, entries, present)
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parent)
    for module in ("quick_algorithm", "toy_suite"):
        monkeypatch.delitem(sys.modules, module, raising=False)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    def run(*arguments: str) -> Answer:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A finished run of three seeds; tests copy it before they change it."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
        monkeypatch.syspath_prepend(pathlib.Path(__file__).parent)
        monkeypatch.delitem(sys.modules, "quick_algorithm", raising=False)
        flags = ["--seeds", "3", "--evaluation-episodes", "4", "--env.max-steps-in-episode", "30"]
        assert main(["train", *IMPORT, "quick", "CartPole-v1", *flags, "--out", str(folder)]) == 0
    return folder

"""What the system may do to a command: closed streams, broken pipes, narrow terminals, no home."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import warnings

import pytest
from rich.console import Console
from tiers import leading

from jaxrl.cli import command_line, streams
from jaxrl.runs import compilation_cache
from jaxrl.runs.progress import Display

HERE = pathlib.Path(__file__).parent


def shell(line, folder, **changes):
    """Runs a line of the shell, in which `jaxrl` is ours."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]), **changes}
    script = f'jaxrl() {{ "{sys.executable}" -m jaxrl "$@"; }}\nset -o pipefail\n{line}'
    return subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        cwd=folder,
        env={name: value for name, value in environment.items() if value is not None},
        check=False,
    )


STREAMS = [
    ("jaxrl list > /dev/full", 2, "jaxrl: error: No space left on device\n"),
    ("jaxrl list >&-", 0, ""),
    ("jaxrl list 2>&-", 0, ""),
    ("jaxrl fly 2> /dev/full", 2, ""),
    (
        "jaxrl train ppo CartPole-v1 --help > /dev/full",
        2,
        "jaxrl: error: No space left on device\n",
    ),
    ("jaxrl list | true", 141, ""),
    ("jaxrl train ppo CartPole-v1 --help | true", 141, ""),
]


@pytest.mark.full
@pytest.mark.parametrize(("line", "code", "errors"), STREAMS, ids=[line for line, *_ in STREAMS])
def test_streams(line, code, errors, tmp_path):
    answer = shell(line, tmp_path)
    assert (answer.returncode, answer.stderr) == (code, errors)


@pytest.mark.full
@pytest.mark.parametrize("redirect", ["2>&-", "2> /dev/full", ">&-"])
def test_a_run_goes_on_where_nobody_hears_of_it(redirect, tmp_path):
    flags = "--import quick_algorithm --evaluation-episodes 2 --env.max-steps-in-episode 5"
    answer = shell(f"jaxrl train quick CartPole-v1 {flags} --out run {redirect}", tmp_path)
    assert answer.returncode == 0, answer.stderr
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(rows) == 20
    assert all(isinstance(json.loads(row), dict) for row in rows)


@pytest.mark.full
def test_without_a_home_or_a_users_name(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs the right to become nobody")
    line = f'setpriv --reuid 54321 --clear-groups "{sys.executable}" -m jaxrl list algorithms'
    answer = shell(line, tmp_path, HOME=None, USER=None, LOGNAME=None, XDG_CACHE_HOME=None)
    assert answer.returncode == 0, answer.stderr


def test_no_home_means_no_cache(monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(compilation_cache.Path, "home", nobody)
    # Whatever tests before it have configured.
    monkeypatch.setattr(
        compilation_cache.jax, "config", type("Config", (), {"jax_compilation_cache_dir": None})
    )
    assert compilation_cache.enable_compilation_cache() is None


@pytest.mark.parametrize(("given", "expected"), [("1", "40"), ("39", "40"), ("40", "40")])
def test_the_width_of_a_terminal_has_a_floor(given, expected, monkeypatch):
    monkeypatch.setenv("COLUMNS", given)
    streams.prepare_streams()
    assert os.environ["COLUMNS"] == expected


def test_the_width_of_a_terminal_has_a_ceiling(monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000000")
    streams.prepare_streams()
    assert os.environ["COLUMNS"] == "500"


def raising(error):
    def run(*_, **__):
        raise error

    return run


def test_a_refusal_of_the_system_is_one_line(monkeypatch, capsys):
    error = PermissionError(13, "Permission denied", "secret/run")
    monkeypatch.setattr(command_line, "_run", raising(error))
    assert command_line.main(["list"]) == 2
    assert capsys.readouterr().err == "jaxrl: error: secret/run: Permission denied\n"


def test_a_pipe_that_rich_finds_broken_is_one_like_any_other(monkeypatch):
    def run(_):
        try:
            raise BrokenPipeError
        except BrokenPipeError:
            # As `Console.on_broken_pipe` does.
            raise SystemExit(1)  # noqa: B904

    assert "SystemExit(1)" in __import__("inspect").getsource(Console.on_broken_pipe)
    monkeypatch.setattr(command_line, "_run", run)
    assert command_line.main(["list"]) == 141


def test_warnings_are_one_line_without_a_path(monkeypatch, capsys):
    def run(_):
        warnings.warn("rows were lost\nand more", stacklevel=1)
        return 0

    monkeypatch.setattr(command_line, "_run", run)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert command_line.main(["list"]) == 0
    assert capsys.readouterr().err == "jaxrl: warning: rows were lost and more\n"


def test_names_in_a_folder_do_not_command_the_terminal(capsys):
    streams.say("error: \x1b[2J\u202e is no name")
    assert capsys.readouterr().err == "jaxrl: error: \\x1b[2J\\u202e is no name\n"


def test_the_display_is_silent_where_nothing_can_be_written(monkeypatch):
    class Full:
        def write(self, text):
            raise OSError(28, "No space left on device")

        flush = isatty = lambda self: False

    monkeypatch.setattr(sys, "stderr", Full())
    display = Display()
    display.begin(done=0, total=10)
    display.say("compiling ...")
    display.close()


@pytest.fixture
def damaged(finished_run, tmp_path):
    """A run whose newest checkpoint cannot be used."""
    folder = shutil.copytree(finished_run, tmp_path / "run")
    names = sorted((folder / "checkpoints").iterdir())
    older = shutil.copytree(names[-1], folder / "checkpoints" / "000000000300")
    manifest = json.loads((older / "manifest.json").read_text())
    from jaxrl.runs.checkpoints import _content_digest

    content = manifest["content"] | {"total_steps": 300}
    text = json.dumps({"content": content, "sha256": _content_digest(content)})
    (older / "manifest.json").write_text(text)
    (names[-1] / "manifest.json").write_text("{")
    return folder


def test_evaluate_says_that_it_takes_an_older_checkpoint(damaged, command):
    flags = ["--import", "quick_algorithm", "--episodes", "2"]
    with warnings.catch_warnings():
        # As outside of the tests, where one is no error.
        warnings.simplefilter("always")
        answer = command("evaluate", str(damaged), *flags, "--json")
    data = json.loads(answer.out)
    assert len(data["left_out"]) == 1
    assert "its manifest.json is damaged" in data["left_out"][0]
    assert data["checkpoint"] == 600
    assert answer.err.startswith("jaxrl: warning: checkpoint ")
    assert answer.err.count("\n") == 1
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        answer = command("evaluate", str(damaged), *flags)
    assert "newer checkpoints cannot be used" in " ".join(answer.out.split())


@pytest.mark.parametrize("name", ["metrics.jsonl", "evaluations.jsonl"])
@pytest.mark.parametrize("text", ["", "null\n", '{"member": 0, "seed": 0}\n'])
def test_rows_that_are_damaged_do_not_spoil_what_was_trained(
    finished_run, tmp_path, command, name, text
):
    folder = shutil.copytree(finished_run, tmp_path / "run")
    (folder / name).write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = command("resume", str(folder), "--import", "quick_algorithm")
    assert answer.code == 0
    assert f"run folder: {folder}" in answer.out


@pytest.mark.parametrize(("line", "n"), leading([("list algorithms", 1), ("list presets", 1)]))
def test_a_command_leaves_its_output_whole(command, line, n):
    answer = command(*line.split())
    assert answer.code == 0
    assert answer.out.count("\n") > n

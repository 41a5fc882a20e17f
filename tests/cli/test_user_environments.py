"""Environments of the user's own and of a suite, from the command line alone."""

import contextlib
import json
import pathlib
import shutil
import sys

import pytest
from PIL import Image

from jaxrl import environments, registry, runs
from jaxrl.cli import main

IMPORTS = ("--import", "quick_algorithm", "--import", "toy_suite")
SMALL = ("--num-envs", "4", "--num-steps", "6", "--num-minibatches", "1", "--hidden-sizes", "4")
PARAMETERS = ("--env.length", "5", "--env.icy", "--env.wind", "1")


@pytest.fixture(scope="module", params=[("quick", "walk", ()), ("ppo", "toy/right", SMALL)])
def finished(request, tmp_path_factory):
    """A run of several iterations, of which the command line made all."""
    algorithm, environment, flags = request.param
    folder = tmp_path_factory.mktemp("runs") / "run"
    flags = ["--total-steps", "120", "--evaluation-episodes", "3", *flags]
    flags += [*PARAMETERS, "--checkpoint-interval", "24", "--out", str(folder)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(pathlib.Path(__file__).parent)
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
        for entries in ("_own", "_suites"):
            present = dict(getattr(environments.registry, entries))
            monkeypatch.setattr(environments.registry, entries, present)
        for module in ("quick_algorithm", "toy_suite"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        assert main(["train", algorithm, environment, *IMPORTS, *flags]) == 0
    return folder


@pytest.fixture
def trained(finished, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(finished, tmp_path / "run")


def test_they_train_evaluate_and_render_without_a_second_import(command, trained, tmp_path):
    config = json.loads((trained / "config.json").read_text())
    assert config["imports"] == ["quick_algorithm", "toy_suite"]
    assert config["environment_parameters"] == {"length": 5, "icy": True, "wind": 1.0}
    # The wind is stronger than the steps: every way is the right one.
    answer = command("evaluate", str(trained), "--trust", "--episodes", "2", "--json")
    assert json.loads(answer.out)["returns"] == [[5.0, 5.0]]
    film, curve = tmp_path / "film.gif", tmp_path / "curve.png"
    assert command("render", str(trained), "--trust", "--out", str(film)).code == 0
    assert command("plot", str(trained), "--trust", "--out", str(curve)).code == 0
    with Image.open(film) as picture:
        assert picture.n_frames == 6


def test_they_are_resumed_to_the_same_end(command, trained, tmp_path):
    """The newest checkpoints are taken away, so that the second half is trained again."""
    again = tmp_path / "again"
    shutil.copytree(trained, again)
    checkpoints = sorted((again / "checkpoints").iterdir(), key=lambda path: path.stat().st_mtime)
    assert len(checkpoints) > 1
    for newer in checkpoints[1:]:
        shutil.rmtree(newer)
    answer = command("resume", str(again), "--trust")
    assert answer.code == 0, answer.err
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        rows = [
            [json.loads(line) for line in (folder / name).read_text().splitlines()]
            for folder in (trained, again)
        ]
        for row in (row for part in rows for row in part):
            for clock in ("seconds", "steps_per_second", "time"):
                row.pop(clock, None)
        assert rows[0] == rows[1]


def test_a_module_that_is_gone_is_named(command, trained):
    config = trained / "config.json"
    config.write_text(config.read_text().replace("toy_suite", "moved_suite"))
    for words in ("resume", "evaluate", "plot", "compare", "render"):
        answer = command(words, str(trained), "--trust")
        assert answer.code == 2
        assert "--import moved_suite, and there is no such module here" in answer.err
        assert answer.err.count("\n") == 1


def test_python_imports_nothing_that_a_run_names(trained):
    config = trained / "config.json"
    config.write_text(config.read_text().replace('"algorithm": "quick"', '"algorithm": "ppo"'))
    with contextlib.suppress(runs.ExperimentError):
        # The settings of another algorithm are refused, after what could have been imported.
        assert runs.read_specification(trained).imports == ("quick_algorithm", "toy_suite")
    assert not {"quick_algorithm", "toy_suite"} & set(sys.modules)


def test_they_are_listed(command):
    lines = command("list", "environments", *IMPORTS).out.splitlines()
    assert lines[0] == "CartPole-v1"
    assert {"walk", "toy/left", "toy/right"} <= set(lines)


def test_their_parameters_are_flags(command):
    text = " ".join(command("train", "ppo", "walk", *IMPORTS, "--help").out.split())
    assert "--env.length INT" in text
    assert "--env.wind FLOAT" in text
    assert "--env.direction NAME" in text
    assert "--env.icy" in text
    text = command("train", "ppo", "toy/left", *IMPORTS, "--help").out
    assert "--env.length" in text
    assert "--env.direction" not in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("walc", "unknown environment 'walc': did you mean walk?"),
        ("toy/lefd", "unknown environment 'toy/lefd': did you mean toy/left?"),
        ("tony/left", "no suite is called 'tony'; did you mean toy/left?"),
        ("walk --env.lenght 3", "unknown flag --env.lenght: did you mean --env.length?"),
        ("walk --env.length 2.5", "--env.length: '2.5' is not a whole number"),
        ("toy/left --env.wind nan", "parameter wind=nan must be finite"),
        ("walk --env.length 0", "max_steps=0 must be a whole number, at least 1"),
    ],
)
def test_mistakes_are_one_line(command, words, expected):
    answer = command("train", "ppo", *words.split(), *IMPORTS)
    assert (answer.code, answer.out) == (2, "")
    assert expected in answer.err
    assert answer.err.count("\n") == 1


def test_the_prefix_of_gymnax_is_not_needed(command, tmp_path):
    folder = tmp_path / "run"
    flags = ["--total-steps", "20", "--evaluation-episodes", "0", "--out", str(folder)]
    answer = command("train", "quick", "gymnax/CartPole-v1", *IMPORTS, *flags)
    assert "quick on CartPole-v1, 1 agent; settings: no preset" in answer.out
    assert json.loads((folder / "config.json").read_text())["environment"] == "CartPole-v1"
    text = command("train", "ppo", "gymnax/CartPole-v1", "--help").out
    assert "preset ppo/CartPole-v1" in " ".join(text.replace("│", " ").split())

"""Tuned settings as a file: what `jaxrl show preset` prints, `--config` reads."""

import json

import pytest

from jaxrl.presets import preset_settings, preset_text, presets, settings_from_file

IMPORT = ("--import", "quick_algorithm")


@pytest.mark.parametrize(("algorithm", "environment"), presets())
def test_a_preset_that_is_written_and_read_is_the_same(tmp_path, algorithm, environment):
    path = tmp_path / "own.toml"
    settings = preset_settings(algorithm, environment)
    path.write_text(preset_text(environment, settings))
    assert settings_from_file(path, algorithm, environment) == settings


def test_what_is_printed_is_the_preset(command, tmp_path):
    answer = command("show", "preset", "dqn", "CartPole-v1")
    assert answer.code == 0
    path = tmp_path / "own.toml"
    path.write_text(answer.out)
    assert settings_from_file(path, "dqn", "CartPole-v1") == preset_settings("dqn", "CartPole-v1")


def test_config_is_another_word_for_preset_file(command, tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('["CartPole-v1"]\ntotal_steps = 40\nlearning_rate = 0.5\n')
    flags = ("--config", str(path), "--evaluation-episodes", "0", "--out", str(tmp_path / "run"))
    assert command("train", "quick", "CartPole-v1", *IMPORT, *flags).code == 0
    found = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (found["settings"]["total_steps"], found["settings"]["learning_rate"]) == (40, 0.5)
    assert found["preset"] == str(path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("dqn",), "ENVIRONMENT is missing"),
        (("dqm", "CartPole-v1"), "did you mean dqn?"),
        (("dqn", "Pendulum-v1"), "there is no preset dqn/Pendulum-v1: dqn has Acrobot-v1"),
        (("dqn", "CartPole-v1", "more"), "unexpected argument: more"),
        (("reinforce", "Nowhere"), "there is no preset reinforce/Nowhere"),
    ],
)
def test_presets_that_are_none(command, words, message):
    answer = command("show", "preset", *words)
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1
    assert message in answer.err

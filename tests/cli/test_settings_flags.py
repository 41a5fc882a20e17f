"""Flags made from settings classes and environments."""

import re
from collections.abc import Callable

import pytest

from jaxrl import registry
from jaxrl.cli.arguments import flags, parse
from jaxrl.cli.run_flags import _with_own_names, given_parameters
from jaxrl.cli.settings_flags import (
    GROUPS,
    OWN_GROUP,
    field_meanings,
    parameter_arguments,
    settings_arguments,
    settings_of,
)
from jaxrl.environments import Parameter
from jaxrl.settings import number, settings, static


@settings
class Config:
    """For the tests."""

    total_steps: int = static(10)
    """Budget."""
    rate: float | None = number(None, optional=True)
    """Speed; two
    lines."""
    schedule: str | Callable[[float], float] = static("flat", choices=("flat", "steep"))
    """Shape."""
    shape: tuple[int, ...] | Callable[[float], float] = static((1,))


def fields_of(name):
    return registry.get(name).settings.__dataclass_fields__


@pytest.mark.parametrize("name", registry.names())
def test_every_setting_of_every_algorithm_is_a_flag_with_a_meaning(name):
    config = registry.get(name).settings
    names = {field.replace("_", "-") for field in config.__dataclass_fields__}
    assert names <= set(flags(settings_arguments(config, config())))
    meanings = field_meanings(config)
    assert set(meanings) == set(config.__dataclass_fields__)
    assert all(meanings.values())


def test_the_help_shows_flags_in_groups(capsys):
    config = registry.get("sac").settings
    with pytest.raises(SystemExit):
        parse(settings_arguments(config, config()), ["--help"], prog="test", description="")
    text = capsys.readouterr().out
    found = re.findall(r"^\W*(\w+) options\b|^\W*(--[a-z-]+)", text, re.MULTILINE)
    shown, group = {}, ""
    for title, flag in found:
        group = title or group
        shown[flag] = group
    assert {*GROUPS, OWN_GROUP} <= set(shown.values())
    assert shown["--batch-size"] == "memory"
    assert shown["--tau"] == OWN_GROUP
    assert shown["--max-gradient-norm"] == "optimiser"


def test_what_is_grouped_is_a_setting_and_has_one_group():
    grouped = [name for names in GROUPS.values() for name in names]
    settings = {field for name in registry.names() for field in fields_of(name)}
    assert len(grouped) == len(set(grouped))
    assert set(grouped) <= settings


def test_functions_cannot_be_typed_but_the_rest_can():
    arguments = settings_arguments(Config, Config(rate=2.0))
    words = ["--schedule", "steep", "--shape", "3", "4"]
    values = settings_of(parse(arguments, words, prog="test", description=""))
    assert values == {"total_steps": 10, "rate": 2.0, "schedule": "steep", "shape": (3, 4)}


def test_meanings_follow_their_fields():
    assert field_meanings(Config)["rate"] == "Speed; two\nlines."
    assert "shape" not in field_meanings(Config)


def test_a_class_without_source_has_no_meanings():
    assert field_meanings(settings(type("Typed", (), {}))) == {}


def test_parameters_of_plain_kinds_can_be_typed():
    known = {
        "gravity": Parameter(float, 9),
        "name": Parameter(str, None),
        "torques": Parameter(None, (1.0, 2.0)),
        "table": Parameter(None, ((1.0, 2.0),)),
    }
    words = ["--gravity", "3", "--name", "slow", "--torques", "3", "4.5", "6"]
    values = parse(parameter_arguments(known), words, prog="test", description="")
    assert vars(values) == {"gravity": 3.0, "name": "slow", "torques": (3.0, 4.5, 6.0)}
    words = ["--name", "none"]
    values = parse(parameter_arguments(known), words, prog="test", description="")
    assert vars(values) == {"gravity": 9, "name": None, "torques": (1.0, 2.0)}


def test_files_are_kept_with_their_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prices.csv").write_text("day,a\n1,2\n")
    (tmp_path / "log").write_text("no parameter means this file")
    values = {"prices": "prices.csv", "reward": "log", "window": 3, "limit": 2}
    given = {"env.prices", "env.reward", "env.window"}
    assert given_parameters(values, given) == {
        "prices": str(tmp_path / "prices.csv"),
        "reward": "log",
        "window": 3,
    }


def test_flags_of_other_libraries_are_ours():
    words = ["ppo", "CartPole-v1", "--lr", "1e-3", "--n_envs=4", "--gamma", "0.9", "--seeds", "lr"]
    assert _with_own_names(words, {"seeds": int}) == [
        *("ppo", "CartPole-v1", "--learning-rate", "1e-3", "--num-envs=4"),
        *("--discount", "0.9", "--seeds", "lr"),
    ]
    # An algorithm of the user's own may have a setting of that name.
    assert _with_own_names(["--lr", "1"], {"lr": float}) == ["--lr", "1"]

"""Tuned settings as data."""

import dataclasses

import jax
import pytest

from jaxrl import make_env, registry
from jaxrl.presets import preset, preset_settings, presets
from jaxrl.settings import validate

FIRST = {algorithm: (algorithm, environment) for algorithm, environment in reversed(presets())}


@pytest.mark.parametrize(
    ("algorithm", "environment"),
    [
        # One of each algorithm by default.
        pytest.param(*preset, marks=() if preset == FIRST[preset[0]] else pytest.mark.full)
        for preset in presets()
    ],
)
def test_every_preset_fits_its_algorithm_and_environment(algorithm, environment):
    entry = registry.get(algorithm)
    table = preset(algorithm, environment)
    known = {field.name for field in dataclasses.fields(entry.settings)}
    assert set(table) <= known
    config = preset_settings(algorithm, environment)
    validate(config)
    built = entry.build(make_env(environment), config)
    jax.eval_shape(built.init, jax.random.key(0))
    for name, value in table.items():
        assert getattr(config, name) == value


def test_the_environments_of_the_reference_have_presets():
    names = ["Acrobot-v1", "Breakout-MinAtar", "CartPole-v1", "MountainCarContinuous-v0"]
    assert {("ppo", name) for name in [*names, "Pendulum-v1"]} <= set(presets())
    for algorithm in ("a2c", "a3c", "impala", "trpo"):
        tuned = {name for method, name in presets() if method == algorithm}
        assert {"Acrobot-v1", "CartPole-v1", "Pendulum-v1"} <= tuned
    assert presets() == sorted(presets())


def test_no_preset_is_none_and_leaves_the_defaults():
    assert preset("ppo", "FourRooms-misc") is None
    assert preset("unheard-of", "CartPole-v1") is None
    assert preset_settings("ppo", "FourRooms-misc") == registry.get("ppo").settings()


def test_changes_win_over_the_preset():
    config = preset_settings("ppo", "CartPole-v1", total_steps=77, learning_rate=1)
    assert config.total_steps == 77
    assert config.learning_rate == 1.0
    assert isinstance(config.learning_rate, float)
    assert config.gae_lambda == preset("ppo", "CartPole-v1")["gae_lambda"]


def test_unknown_settings_are_named():
    with pytest.raises(ValueError, match="ppo has no setting 'learning_speed'"):
        preset_settings("ppo", "CartPole-v1", learning_speed=1.0)


def test_a_preset_cannot_be_changed_through_what_is_returned():
    preset("ppo", "CartPole-v1")["gae_lambda"] = 0.0
    assert preset("ppo", "CartPole-v1")["gae_lambda"] > 0.5

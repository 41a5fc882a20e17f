"""Names of algorithms."""

import dataclasses

import pytest

import jaxrl
from jaxrl import registry
from jaxrl.settings import number, settings, static


@settings
class Config:
    """For the tests."""

    total_steps: int = static(10)
    rate: float = number(0.1)


@pytest.fixture(autouse=True)
def own_entries(monkeypatch):
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))


def build(environment, config):
    """Builds nothing.

    At all.
    """


def test_ppo_is_there():
    entry = registry.get("ppo")
    assert entry.settings is jaxrl.PPOConfig
    assert entry.build is jaxrl.ppo
    assert "ppo" in registry.names()


def test_a_new_algorithm_is_found_and_described():
    jaxrl.register_algorithm("mine", Config, build)
    entry = registry.get("mine")
    assert (entry.settings, entry.build, entry.description) == (Config, build, "Builds nothing.")
    assert registry.names() == sorted(registry.names())
    assert registry.register("mine", Config, build, description="Again.").description == "Again."


def test_unknown_names_get_the_nearest():
    with pytest.raises(ValueError, match="unknown algorithm 'PPO2': did you mean ppo"):
        registry.get("PPO2")
    with pytest.raises(ValueError, match=r"unknown algorithm 'xyzzy': known: .*ppo"):
        registry.get("xyzzy")


@dataclasses.dataclass
class Plain:
    total_steps: int = 10


@settings
class Endless:
    rate: float = number(0.1)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("Mine", Config, "'Mine' must be lower-case"),
        ("../mine", Config, "must be lower-case"),
        ("-mine", Config, "beginning with a letter"),
        ("", Config, "must be lower-case"),
        ("ppo", Config, "choose another name"),
        ("mine", dict, "must be a class made with jaxrl.settings.settings"),
        ("mine", Endless, "lack the field total_steps"),
        ("mine", Plain, "total_steps of 'mine' must be declared"),
    ],
)
def test_what_cannot_be_registered(name, config, message):
    before = registry.names()
    with pytest.raises(ValueError, match=message):
        registry.register(name, config, build)
    assert registry.names() == before

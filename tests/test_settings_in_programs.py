"""Every setting that is part of the program changes the program: none is accepted and forgotten.

What JAX traces of a whole run, its evaluation included, is compared as text. A setting of an
algorithm that is registered later is covered without a line of its own.
"""

import functools
import re

import forgetful
import jax
import pytest
from setting_changes import (
    ENVIRONMENTS,
    advice,
    build,
    candidates,
    fields,
    make,
    registry,
)
from small_runs import NAMES

from jaxrl import train


@functools.lru_cache(maxsize=64)
def program(name, environment, config):
    """The traced program as text; None where the settings do not suit the environment."""
    algorithm = build(name, environment, config)
    if algorithm is None:
        return None

    def run(key):
        result = train(key, algorithm, num_evaluations=1, evaluation_episodes=2)
        return result.state, result.evaluations

    text = str(jax.make_jaxpr(run)(jax.random.key(0)))
    # Functions within it are printed with their addresses.
    return re.sub(r"0x[0-9a-f]+", "", text)


def programs(name, environment, field):
    """Of all values of a field that the settings and the environment allow."""
    configs = [make(name, field, value) for value in candidates(name, field)]
    texts = (program(name, environment, config) for config in configs if config is not None)
    return [text for text in texts if text is not None]


def statics(names):
    return [(name, f.name) for name in names for f in fields(name) if f.metadata["static"]]


def check(name, field):
    """In some environment all values make programs that differ, at least two of them."""
    for environment in ENVIRONMENTS:
        texts = programs(name, environment, field)
        if len(texts) > 1 and len(set(texts)) == len(texts):
            return
    pytest.fail(advice(name, field))


@pytest.mark.parametrize(("name", "field"), statics(["cem"]))
def test_settings_of_a_search(name, field):
    check(name, field)


@pytest.mark.parametrize("field", ["double", "loss", "optimizer", "target_period"])
def test_some_settings_of_dqn(field):
    check("dqn", field)


@pytest.mark.full
@pytest.mark.parametrize(("name", "field"), statics([n for n in NAMES if n != "cem"]))
def test_settings_of_every_algorithm(name, field):
    if name == "evosax":
        pytest.importorskip("evosax")
    check(name, field)


def test_a_setting_that_is_forgotten_is_noticed(monkeypatch):
    monkeypatch.setattr(registry, "get", lambda name: forgetful.ENTRY)
    check("forgetful", "size")
    with pytest.raises(pytest.fail.Exception, match="unused_size of forgetful changes nothing"):
        check("forgetful", "unused_size")

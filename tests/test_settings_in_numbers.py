"""Every setting that is a number changes what is learnt: none is accepted and forgotten.

Numbers are arguments of the program. So all values of all numbers of an algorithm run side by side
in one program, and what each leaves behind is compared with what its own base leaves behind. A
setting of an algorithm that is registered later is covered without a line of its own.
"""

import functools

import forgetful
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from setting_changes import (
    VALUES,
    advice,
    build,
    candidates,
    field_of,
    fields,
    learnt,
    look_up,
    make,
    registry,
)
from small_runs import NAMES

from jaxrl import train


def numbers(name):
    return [f.name for f in fields(name) if not f.metadata["static"]]


def values(name, field):
    """Two values; in the place of None, which is another program, there are two numbers."""
    value, other = candidates(name, field)[:2]
    declared = field_of(name, field)
    lower, upper = declared.metadata["minimum"], declared.metadata["maximum"]
    return value, float(np.clip(other, lower, upper))


def settings_of(name, field, value):
    """The settings with one number changed, and a number wherever there might be None."""
    config = make(name, field, value)
    assert config is not None, f"{field}={value} of {name} is not allowed: see VALUES"
    optional = {
        f: look_up(VALUES, name, f, (0.1, 0.2))[0]
        for f in numbers(name)
        if getattr(config, f) is None and (name, f) != ("evosax", "learning_rate")
    }
    config = registry.get(name).settings(
        **{f.name: getattr(config, f.name) for f in fields(name)} | optional
    )
    return jax.tree.map(jnp.float32, config)


def run_together(name, environment, configs):
    """What each leaves behind, of settings that differ in numbers only; None where none suits."""

    @jax.jit
    @jax.vmap
    def run(config):
        state = train(jax.random.key(0), build(name, environment, config)).state
        return jax.tree.map(lambda x: jax.random.key_data(x) if is_key(x) else x, state)

    def is_key(x):
        return jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)

    if build(name, environment, jax.tree.map(float, configs[0])) is None:
        return None
    # The first one stands at the end again: were rows rounded differently, it would show.
    states = run(jax.tree.map(lambda *rows: jnp.stack(rows), *configs, configs[0]))
    rows = [[x[i] for x in learnt_of_rows(states)] for i in range(len(configs) + 1)]
    assert not differ(rows[0], rows[-1])
    return rows


def learnt_of_rows(states):
    """As `learnt`, where every leaf has one axis more."""
    return [x for x in learnt(states) if x.ndim > 1]


def differ(one, other):
    return any(np.asarray(x).tobytes() != np.asarray(y).tobytes() for x, y in zip(one, other))


@functools.cache
def changing(name, environment, structure):
    """The numbers that change something, of those whose settings share a structure: a program."""
    pairs = {f: [settings_of(name, f, value) for value in values(name, f)] for f in numbers(name)}
    group = {f: pair for f, pair in pairs.items() if jax.tree.structure(pair[0]) == structure}
    rows = run_together(name, environment, [config for pair in group.values() for config in pair])
    if rows is None:
        return set()
    return {f for i, f in enumerate(group) if differ(rows[2 * i], rows[2 * i + 1])}


def check(name, field):
    structure = jax.tree.structure(settings_of(name, field, values(name, field)[0]))
    for environment in ("discrete", "continuous"):
        if field in changing(name, environment, structure):
            return
    pytest.fail(advice(name, field))


@pytest.mark.parametrize("field", ["elite_fraction", "noise_scale", "min_noise_scale"])
def test_some_numbers_of_a_search(field):
    check("cem", field)


@pytest.mark.full
@pytest.mark.parametrize(("name", "field"), [(name, f) for name in NAMES for f in numbers(name)])
def test_numbers_of_every_algorithm(name, field):
    if name == "evosax":
        pytest.importorskip("evosax")
    check(name, field)


def test_a_number_that_is_forgotten_is_noticed(monkeypatch):
    monkeypatch.setattr(registry, "get", lambda name: forgetful.ENTRY)
    check("forgetful", "rate")
    with pytest.raises(pytest.fail.Exception, match="unused_rate of forgetful changes nothing"):
        check("forgetful", "unused_rate")

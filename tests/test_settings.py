import dataclasses
import inspect
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
import jaxrl.types
from jaxrl import registry
from jaxrl.settings import ALIASES, number, settings, static, validate


@settings
class Example:
    rate: float = number(0.5, minimum=0, maximum=1, open_minimum=True)
    limit: float | None = number(None, minimum=0, optional=True)
    count: int = static(3, minimum=1, maximum=10)
    flag: bool = static(False)
    kind: str = static("plain", choices=("plain", "fancy"))
    schedule: str | Callable = static("constant", choices=("constant", "linear"))
    sizes: tuple[int, ...] = static((4, 4), minimum=1)


@settings
class WithInfiniteDefault:
    bound: float = number(math.inf, minimum=0)


def test_numbers_are_leaves_and_the_rest_is_structure():
    assert jax.tree.leaves(Example()) == [0.5]
    assert jax.tree.leaves(Example(limit=2.0)) == [0.5, 2.0]
    assert jax.tree.structure(Example()) != jax.tree.structure(Example(count=4))
    assert jax.tree.structure(Example(rate=0.1)) == jax.tree.structure(Example())


def test_settings_pass_through_jit_and_vmap():
    traces = []

    @jax.jit
    def run(config):
        validate(config)
        traces.append(1)
        return config.rate * config.count

    assert float(run(Example(rate=0.5))) == 1.5
    assert float(run(Example(rate=0.25))) == 0.75
    assert len(traces) == 1
    batch = jax.vmap(run)(Example(rate=jnp.array([0.1, 0.2])))
    np.testing.assert_allclose(batch, [0.3, 0.6], rtol=1e-6)


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Example().rate = 1.0


@pytest.mark.parametrize(
    "config",
    [
        Example(),
        Example(rate=1),
        Example(rate=np.float32(0.1), count=np.int64(4)),
        Example(rate=jnp.array([0.1, 0.9])),
        Example(schedule="linear"),
        Example(schedule=len),
        Example(sizes=()),
        Example(sizes=(np.int64(4),)),
        WithInfiniteDefault(),
        WithInfiniteDefault(bound=2.0),
        Example(limit=0.0),
    ],
)
def test_right_settings_pass(config):
    validate(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 0.0}, "rate=0.0 must be greater than 0"),
        ({"rate": 2.0}, "rate=2.0 must be at most 1"),
        ({"rate": None}, "rate=None is not a number"),
        ({"rate": "x"}, "rate='x' is not a number"),
        ({"rate": float("nan")}, "rate=nan is not a number"),
        ({"rate": np.array([0.1, -0.1])}, "must be greater than 0"),
        ({"rate": "0.5"}, "rate='0.5' is not a number"),
        ({"limit": math.inf}, "limit=inf must be finite"),
        ({"limit": np.array([1.0, math.inf])}, "must be finite"),
        ({"rate": math.inf}, "rate=inf must be finite"),
        ({"limit": -1.0}, "limit=-1.0 must be at least 0"),
        ({"count": 0}, "count=0 must be at least 1"),
        ({"count": 11}, "count=11 must be at most 10"),
        ({"count": 2.0}, "count=2.0 is not a whole number of type int: write 2"),
        ({"count": 2.5}, "count=2.5 is not a whole number$"),
        ({"count": True}, "count=True is not a whole number"),
        ({"flag": 1}, "flag=1 is not True or False"),
        ({"kind": "odd"}, "kind='odd' is not one of plain, fancy"),
        ({"kind": len}, "kind=<built-in function len> is not one of plain, fancy"),
        ({"schedule": "odd"}, "schedule='odd' is not one of constant, linear"),
        ({"sizes": (4, True)}, r"sizes=\(4, True\) is not a tuple of whole numbers"),
        ({"sizes": [4, 4]}, r"sizes=\[4, 4\] is not a tuple of whole numbers"),
        ({"sizes": (4, 0)}, r"sizes=\(4, 0\) must be at least 1"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        validate(Example(**changes))


def test_two_import_lines_give_all_that_an_algorithm_or_environment_is_made_of():
    assert inspect.ismodule(jaxrl.settings)
    assert {"settings", "number", "static"} <= set(jaxrl.settings.__all__)
    seams = {"Algorithm", "Agent", "Environment", "TimeStep", "Network", "Policy", "Strategy"}
    assert seams <= set(jaxrl.types.__all__)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lr", "PPOConfig has no setting 'lr': did you mean learning_rate?"),
        ("gamma", "did you mean discount?"),
        ("n_envs", "did you mean num_envs?"),
        ("ent_coef", "did you mean entropy_coefficient?"),
        ("clip_epsilom", "did you mean clip_epsilon?"),
        ("zzz", "has no setting 'zzz': it has total_steps, "),
    ],
)
def test_other_names_of_a_setting_are_answered_with_ours(name, message):
    with pytest.raises(TypeError) as error:
        jaxrl.PPOConfig(**{name: 1})
    assert message in str(error.value)
    with pytest.raises(TypeError, match="has no setting"):
        dataclasses.replace(jaxrl.PPOConfig(), **{name: 1})


def test_every_alias_is_of_a_setting_that_there_is():
    fields = {
        field.name
        for name in registry.names()
        for field in dataclasses.fields(registry.get(name).settings)
    }
    assert set(ALIASES.values()) <= fields
    assert not set(ALIASES) & fields

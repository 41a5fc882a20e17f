"""Names of environments: the user's own, suites, and what is known of their parameters."""

import dataclasses
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments import (
    Parameter,
    available_environments,
    canonical_name,
    make_env,
    parameters_of,
    register_environment,
    register_suite,
    registry,
    signature_parameters,
)
from jaxrl.presets import preset, preset_settings
from jaxrl.types import Discrete


@pytest.fixture(autouse=True)
def own_entries(monkeypatch):
    monkeypatch.setattr(registry, "_own", dict(registry._own))
    monkeypatch.setattr(registry, "_suites", dict(registry._suites))


def choice(num_actions: int = 3, gain: float = 1, label=None, kind="plain", *, far: bool = False):
    made = make_env("gymnax/CartPole-v1", gravity=gain)
    return made._replace(action_space=Discrete(num_actions), max_episode_steps=(label, kind, far))


def refused(message, function, *arguments, **parameters):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        function(*arguments, **parameters)
    assert "\n" not in str(caught.value)


def test_an_environment_of_ones_own_is_made_by_name():
    jaxrl.register_environment("choice", choice)
    assert make_env("choice").action_space == Discrete(3)
    made = jaxrl.make_env("choice", num_actions=4.0, label="a", far=True)
    assert made.action_space == Discrete(4)
    assert made.max_episode_steps == ("a", "plain", True)
    assert "choice" in jaxrl.available_environments()


def test_the_parameters_are_those_of_the_builder():
    register_environment("choice", choice)
    assert parameters_of("choice") == {
        "num_actions": Parameter(int, 3),
        "gain": Parameter(float, 1),
        "label": Parameter(None, None),
        "kind": Parameter(str, "plain"),
        "far": Parameter(bool, False),
    }


def test_the_kinds_of_annotations():
    def build(a: int | None = None, b: "float" = 0, c: int | str = 3, d=(1, 2), **rest): ...

    assert signature_parameters(build) == {
        "a": Parameter(int, None),
        "b": Parameter(float, 0),
        "c": Parameter(int, 3),
        "d": Parameter(None, (1, 2)),
    }

    class Built:
        def __init__(self, x: float = 2): ...

    assert signature_parameters(Built) == {"x": Parameter(float, 2)}

    def unknown(x: "NotImported" = 3): ...

    assert signature_parameters(unknown) == {"x": Parameter(int, 3)}


def test_a_parameter_may_be_traced():
    register_environment("choice", choice)

    def fall(gain):
        environment = make_env("choice", gain=gain)
        state, _ = environment.reset(jax.random.key(0))
        return environment.step(jax.random.key(1), state, jnp.int32(1))[1].observation

    batched = jax.jit(jax.vmap(fall))(jnp.array([1.0, 20.0]))
    np.testing.assert_allclose(batched[1], fall(20), rtol=1e-5)
    assert not np.allclose(batched[0], batched[1])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"gian": 1.0}, "choice has no parameter 'gian'; did you mean gain? (it has num_actions"),
        ({"gain": "much"}, "gain='much' is not a number"),
        ({"gain": [1.0, 2.0]}, "gain has shape (2,), expected ()"),
        ({"num_actions": 2.5}, "num_actions=2.5 is not a whole number"),
        ({"num_actions": None}, "num_actions=None is not a number"),
        ({"kind": 3}, "kind=3 is not a name in quotes"),
        ({"far": 2}, "far=2 is not True or False"),
    ],
)
def test_wrong_parameters(parameters, message):
    register_environment("choice", choice)
    refused(message, make_env, "choice", **parameters)
    register_suite(
        "mine",
        names=lambda: ["choice"],
        make=lambda name, **given: choice(**given),
        parameters_of=lambda name: signature_parameters(choice),
    )
    refused(message, make_env, "mine/choice", **parameters)


def test_what_cannot_be_registered():
    refused("environment name 'a b' must be letters", register_environment, "a b", choice)
    refused("environment name 'a/b/c' must be", register_environment, "a/b/c", choice)
    refused(
        "'gymnax/mine' would be of the suite gymnax", register_environment, "gymnax/mine", choice
    )
    refused("the parameter 'size' of build needs a default", register_environment, "x", build)
    suite = {"names": list, "make": choice, "parameters_of": parameters_of}
    refused("suite name 'a/b' must be letters", register_suite, "a/b", **suite)
    refused("'gymnax' is the prefix of other environments", register_suite, "gymnax", **suite)
    register_environment("mine/choice", choice)
    refused("'mine' is the prefix of other environments", register_suite, "mine", **suite)


def build(size):
    raise AssertionError


def test_what_makes_no_environment():
    register_environment("nothing", lambda: 3)
    refused("registered as 'nothing' makes a int, but it must make a jaxrl", make_env, "nothing")


def test_a_builders_own_complaint_stays():
    def strict(size: int = 2):
        raise ValueError(f"size={size} is odd")

    register_environment("strict", strict)
    refused("size=3 is odd", make_env, "strict", size=3)


def test_registering_again_replaces():
    register_environment("choice", lambda: None)
    register_environment("choice", choice)
    assert make_env("choice").action_space == Discrete(3)
    assert available_environments().count("choice") == 1


def test_a_suite_is_asked_only_when_it_is_used():
    asked = []

    def names():
        asked.append("names")
        return ["one", "two"]

    def known(name):
        asked.append(f"parameters of {name}")
        return {"gain": Parameter(float, 2.0)}

    def make(name, **parameters):
        asked.append((name, parameters))
        return choice(**parameters)

    register_suite("lazy", names=names, make=make, parameters_of=known)
    make_env("CartPole-v1")
    refused("did you mean CartPole-v1?", make_env, "CartPole")
    assert asked == []
    make_env("lazy/two", gain=3)
    assert asked == ["names", "parameters of two", ("two", {"gain": 3.0})]
    assert available_environments()[-2:] == ["lazy/one", "lazy/two"]
    assert parameters_of("lazy/one") == {"gain": Parameter(float, 2.0)}
    refused("unknown environment 'lazy/qqq': there are lazy/one, lazy/two", make_env, "lazy/qqq")
    refused("did you mean lazy/two?", make_env, "lazy/Tow")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gymnax/CartPole-v2", "did you mean CartPole-v1?"),
        ("gimnax/CartPole-v1", "no suite is called 'gimnax'; did you mean gymnax/CartPole-v1?"),
        ("brax/ant", "no suite is called 'brax'; there are finance, gymnax, mine"),
        ("mine/chioce", "did you mean mine/choice?"),
        ("mine/qqq", "there are mine/choice"),
        ("chioce", "did you mean mine/choice?"),
        ("gymnax/", "there are CartPole-v1"),
    ],
)
def test_unknown_names(name, hint):
    register_environment("mine/choice", choice)
    for function in (make_env, parameters_of):
        refused(f"unknown environment {name!r}: ", function, name)
        refused(hint, function, name)


def test_gymnax_is_the_suite_of_names_without_a_prefix():
    assert make_env("gymnax/CartPole-v1").name == "CartPole-v1"
    assert canonical_name("gymnax/CartPole-v1") == canonical_name("CartPole-v1") == "CartPole-v1"
    assert canonical_name("toy/left") == "toy/left"
    assert preset("ppo", "gymnax/CartPole-v1") == preset("ppo", "CartPole-v1") is not None
    assert preset_settings("ppo", "gymnax/CartPole-v1") == preset_settings("ppo", "CartPole-v1")
    assert parameters_of("gymnax/CartPole-v1") == parameters_of("CartPole-v1")


def test_a_name_of_gymnaxs_can_be_taken_over():
    register_environment("CartPole-v1", choice)
    assert make_env("CartPole-v1", num_actions=7).action_space == Discrete(7)
    assert make_env("gymnax/CartPole-v1").action_space.num_categories == 2
    assert canonical_name("gymnax/CartPole-v1") == "gymnax/CartPole-v1"
    assert available_environments()[0] == "gymnax/CartPole-v1"
    assert "CartPole-v1" in available_environments()


def test_the_parameters_of_gymnax():
    cart_pole = parameters_of("CartPole-v1")
    assert cart_pole["gravity"] == Parameter(float, 9.8)
    assert cart_pole["max_steps_in_episode"] == Parameter(int, 500)
    assert parameters_of("Catch-bsuite")["rows"] == Parameter(int, 10)
    assert parameters_of("FrozenLake-misc")["map_name"] == Parameter(str, "4x4")
    # A field of the parameters, and an argument of the constructor.
    assert {"max_steps_in_episode", "size"} <= set(parameters_of("DeepSea-bsuite"))
    assert parameters_of("Acrobot-v1")["available_torque"].kind is None


def test_registering_and_making_ones_own_imports_no_suite():
    program = (
        "import sys, jaxrl\n"
        "from jaxrl.types import Box, Discrete, Environment\n"
        "space = Box(0.0, 1.0, (1,))\n"
        "def build(): return Environment('x', space, Discrete(2), None, None)\n"
        "jaxrl.register_environment('x', build)\n"
        "assert jaxrl.make_env('x').name == 'x'\n"
        "assert 'gymnax' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_parameter_is_a_pair():
    assert dataclasses.is_dataclass(registry.Suite)
    kind, default = Parameter.with_default(True)
    assert (kind, default) == (bool, True)

"""Networks by name: registered, found by settings, and said to be missing."""

import doctest
import functools
import re

import flax.linen as nn
import jax
import pytest
from probe_environments import continuous_target, only_one_door
from small_runs import corridor
from tiers import named

import jaxrl
from jaxrl import networks, registry
from jaxrl.environments import mask_actions
from jaxrl.networks import (
    actor_critic,
    available_networks,
    named_network,
    recurrent_actor_critic,
    register_network,
)
from jaxrl.types import Box, Discrete

KEY = jax.random.key(0)
NETWORK_REGISTRY = networks.registry


@pytest.fixture(autouse=True)
def own_names(monkeypatch):
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(NETWORK_REGISTRY, "_networks", {})


def narrow(observation_space, action_space):
    return actor_critic(observation_space, action_space, hidden_sizes=(5,))


def test_a_setting_takes_the_place_of_the_argument():
    """The whole run is the same program, and another one than with the default network."""
    env = corridor()
    register_network("narrow", narrow)
    small = {"num_envs": 2, "num_steps": 8, "num_minibatches": 2, "total_steps": 64}

    def program(given=None, **settings):
        algorithm = jaxrl.ppo(env, jaxrl.PPOConfig(**small, **settings), network=given)
        text = str(jax.make_jaxpr(lambda key: jaxrl.train(key, algorithm).state)(KEY))
        # Functions within it are printed with their addresses.
        return re.sub(r"0x[0-9a-f]+", "", text)

    given = program(narrow(env.observation_space, env.action_space))
    assert program(network="narrow") == given
    assert program() != given


@pytest.mark.parametrize(
    "name",
    named([n for n in registry.names() if n not in ("toy", "evosax", "pbt")], "a2c", "td3", "cem"),
)
def test_every_algorithm_asks_for_the_names_of_its_networks(name):
    entry = registry.get(name)
    env = continuous_target() if name in ("ddpg", "td3") else corridor()
    fields = entry.settings.__dataclass_fields__
    arguments = [x for x in ("network", "policy", "critic") if x in fields]
    assert arguments == (["policy", "critic"] if name in ("ddpg", "td3", "sac") else ["network"])

    def build(*spaces):
        assert spaces == (env.observation_space, env.action_space)
        raise LookupError("asked")

    register_network("own", build)
    for argument in arguments:
        with pytest.raises(LookupError, match="asked"):
            entry.build(env, entry.settings(**{argument: "own"}))


def test_a_builder_gets_the_spaces_that_the_network_sees():
    """Without masks; and actions as the policy chooses them: vectors, scaled where asked for."""
    seen = []

    def build(observation_space, action_space):
        seen.append((observation_space, action_space))
        return actor_critic(observation_space, action_space)

    register_network("own", build)
    masked = mask_actions(only_one_door())
    jaxrl.ppo(masked, jaxrl.PPOConfig(network="own"))
    assert seen[-1] == (masked.observation_space.space, Discrete(6))
    jaxrl.a2c(continuous_target(shape=(2, 2)), jaxrl.A2CConfig(network="own", rescale_actions=True))
    assert seen[-1][1] == Box(-1.0, 1.0, (4,))


def test_a_network_with_memory_by_name():
    register_network("lstm", functools.partial(recurrent_actor_critic, core="lstm", core_size=3))
    config = jaxrl.PPOConfig(network="lstm", num_envs=4, num_steps=8, sequence_length=4)
    state = jax.eval_shape(jaxrl.ppo(corridor(), config).init, KEY)
    assert [x.shape for x in jax.tree.leaves(state.worlds.carry.memory)] == [(4, 3)] * 2


def test_names_can_be_registered_again():
    spaces = Box(0.0, 1.0, (1,)), Discrete(2)
    first, second = narrow(*spaces), narrow(*spaces)
    register_network("mine", lambda *spaces: first)
    register_network("mine", lambda *spaces: second)
    register_network("A.b-c_1", narrow)
    assert available_networks() == ["default", "A.b-c_1", "mine"]
    assert named_network("mine", None, *spaces) is second
    assert named_network("default", None, *spaces) is None
    assert named_network("default", first, *spaces) is first


@pytest.mark.parametrize(
    ("name", "build", "message"),
    [
        ("a b", narrow, "network name 'a b' must be letters, digits"),
        ("", narrow, "network name '' must be letters"),
        ("default", narrow, "'default' is the name of the algorithms' own networks"),
    ],
)
def test_names_that_cannot_be_are_refused(name, build, message):
    with pytest.raises(ValueError, match=message):
        register_network(name, build)
    assert available_networks() == ["default"]


def test_a_builder_of_something_else_is_named():
    register_network("dense", lambda *spaces: nn.Dense(3))
    with pytest.raises(ValueError, match=r"registered as 'dense' makes a Dense, .*from_flax\(mod"):
        jaxrl.ppo(corridor(), jaxrl.PPOConfig(network="dense"))
    register_network("nothing", lambda *spaces: None)
    with pytest.raises(ValueError, match="registered as 'nothing' makes a NoneType"):
        jaxrl.cem(corridor(), jaxrl.CEMConfig(network="nothing"))


def test_unknown_names_say_what_to_import():
    register_network("residual", narrow)
    env = corridor()
    with pytest.raises(
        ValueError, match=r"unknown network network='residul': did you mean residual\?.*--import MO"
    ):
        jaxrl.ppo(env, jaxrl.PPOConfig(network="residul"))
    with pytest.raises(ValueError, match="network='xyz': there are default, residual; one of your"):
        jaxrl.dqn(env, jaxrl.DQNConfig(network="xyz"))
    with pytest.raises(ValueError, match="unknown network critic='xyz'"):
        jaxrl.td3(continuous_target(), jaxrl.TD3Config(critic="xyz"))
    with pytest.raises(ValueError, match="network=3 is not a name"):
        jaxrl.ppo(env, jaxrl.PPOConfig(network=3))


def test_settings_without_use_are_refused():
    register_network("narrow", narrow)
    env = corridor()
    given = narrow(env.observation_space, env.action_space)
    with pytest.raises(ValueError, match="network='narrow' among the settings would do nothing: a"):
        jaxrl.ppo(env, jaxrl.PPOConfig(network="narrow"), network=given)
    with pytest.raises(
        ValueError, match=r"hidden_sizes=\(7,\) needs the default network, but another is given as"
    ):
        jaxrl.ppo(env, jaxrl.PPOConfig(network="narrow", hidden_sizes=(7,)))
    with pytest.raises(ValueError, match="core='lstm' needs the default network"):
        jaxrl.ppo(env, jaxrl.PPOConfig(network="narrow", core="lstm"))


def test_the_example_is_true():
    (found,) = doctest.DocTestFinder(recurse=False).find(register_network)
    assert doctest.DocTestRunner().run(found).failed == 0
    assert found.examples


def test_one_network_of_two_by_name():
    """The critic by a name, the policy the default one with the sizes of the settings."""
    register_network(
        "wide", lambda seen, actions: networks.critic(seen, actions, hidden_sizes=(9, 9))
    )
    config = jaxrl.TD3Config(critic="wide", hidden_sizes=(4,))
    state = jax.eval_shape(jaxrl.td3(continuous_target(), config).init, KEY)
    shapes = [x.shape for x in jax.tree.leaves(state.agent.networks)]
    assert (9, 9) in shapes
    assert (1, 4) in shapes

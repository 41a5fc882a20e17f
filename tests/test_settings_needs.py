"""No setting is accepted and ignored: each declared need is refused where it is not met.

The cases come from the declarations. That a setting acts where its needs are met is tested by
`test_settings_in_numbers.py` and `test_settings_in_programs.py`, which set what meets them.
"""

import dataclasses
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_environments import continuous_target
from setting_changes import build, candidates
from setting_needs import TABLE, meeting, met_and_unmet, needs_of
from small_runs import NAMES, SMALL, TOTAL_STEPS, corridor

import jaxrl
from jaxrl import registry
from jaxrl.cli.settings_flags import settings_arguments
from jaxrl.networks import recurrent_actor_critic
from jaxrl.settings import (
    BOX_ACTIONS,
    Need,
    check_use,
    default_network,
    describe_needs,
    number,
    settings,
    static,
    unless,
    validate,
)
from jaxrl.types import Box, Discrete, Network

DECLARED = [
    (name, field.name, need)
    for name in NAMES
    for field in dataclasses.fields(registry.get(name).settings)
    for need in needs_of(name, field.name)
]
DECIDED = [case for case in DECLARED if met_and_unmet(case[2])[1] is not None]
SPACE = Box(-1.0, 1.0, (2,))


def identify(case):
    return f"{case[0]}-{case[1]}-{case[2].text}"


def settings_of(name, field, changes):
    """Small settings with another value of a field than its default, and changes."""
    declared = registry.get(name).settings
    default = getattr(declared(), field)
    value = next(x for x in candidates(name, field) if x != default)
    small = SMALL.get(name, {}) | meeting(name, field) | changes
    return declared(**{"total_steps": TOTAL_STEPS} | small | {field: value}), value


def test_there_are_needs():
    assert {need.text for *_, need in DECLARED} >= TABLE.keys()
    assert len(DECIDED) > 100


@pytest.mark.parametrize("case", DECIDED, ids=identify)
def test_what_would_do_nothing_is_refused(case):
    name, field, need = case
    config, value = settings_of(name, field, {})
    validate(config)
    unmet = met_and_unmet(need)[1]
    config, value = settings_of(name, field, {k: v for k, v in unmet.items() if k != field})
    with pytest.raises(ValueError, match=r"it would do nothing$") as error:
        validate(config)
    assert str(error.value).startswith(f"{field}={value!r} needs {need.text}, but ")
    others = [getattr(config, other) for other in need.fields]
    for other, found in zip(need.fields, others, strict=True):
        assert f"{other}={found!r}" in str(error.value)
    # The default is no demand.
    validate(dataclasses.replace(config, **{field: getattr(type(config)(), field)}))


@pytest.mark.parametrize("case", DECLARED, ids=identify)
def test_needs_are_of_settings_that_there_are(case):
    name, _, need = case
    assert set(need.fields) <= {f.name for f in dataclasses.fields(registry.get(name).settings)}


def networks_of(name):
    parameters = inspect.signature(registry.get(name).build).parameters
    return [x for x in ("network", "policy", "critic") if x in parameters]


# Without those that act together with another setting of the default network.
OF_DEFAULT = [
    case
    for case in DECLARED
    if case[2].text == "the default network" and "hidden_sizes" not in meeting(*case[:2])
]


def with_own(config, field):
    """The settings without the small networks."""
    sizes = type(config)().hidden_sizes
    return config if field == "hidden_sizes" else dataclasses.replace(config, hidden_sizes=sizes)


@pytest.mark.parametrize("case", OF_DEFAULT, ids=identify)
def test_what_a_network_of_ones_own_ignores_is_refused(case):
    name, field, _ = case
    config, value = settings_of(name, field, {})
    config, names = with_own(config, field), networks_of(name)
    check_use(config, SPACE, SPACE, **dict.fromkeys(names))
    with pytest.raises(ValueError, match=re.escape(f"{field}={value!r} needs the default network")):
        check_use(config, SPACE, SPACE, **dict.fromkeys(names, object()))


@pytest.mark.parametrize("name", NAMES)
def test_every_algorithm_looks_at_its_networks(name):
    if name == "evosax":
        pytest.importorskip("evosax")
    env = continuous_target() if name in ("ddpg", "td3") else corridor()
    network = Network(init=lambda key, *inputs: {}, apply=lambda params, *inputs: inputs[0])
    config, _ = settings_of(name, "hidden_sizes", {})
    with pytest.raises(ValueError, match=r"hidden_sizes=.* needs the default network"):
        registry.get(name).build(env, config, **dict.fromkeys(networks_of(name), network))


@pytest.mark.parametrize("name", ["sac", "td3"])
def test_one_default_network_of_two_uses_the_settings(name):
    config, _ = settings_of(name, "hidden_sizes", {})
    check_use(config, SPACE, SPACE, policy=object(), critic=None)
    check_use(config, SPACE, SPACE, policy=None, critic=object())
    layer = registry.get(name).settings(action_layer=1)
    check_use(layer, SPACE, SPACE, policy=object(), critic=None)
    with pytest.raises(
        ValueError, match="action_layer=1 needs the default network, but another is"
    ):
        check_use(layer, SPACE, SPACE, policy=None, critic=object())


OF_BOXES = [case for case in DECLARED if case[2] is BOX_ACTIONS]


@pytest.mark.parametrize("case", OF_BOXES, ids=identify)
def test_what_only_box_actions_have_is_refused_with_others(case):
    name, field, _ = case
    config, _ = settings_of(name, field, {})
    networks = dict.fromkeys(networks_of(name))
    check_use(config, SPACE, SPACE, **networks)
    with pytest.raises(ValueError, match=r"needs Box actions, but the actions are Discrete\("):
        check_use(config, SPACE, Discrete(2), **networks)


@pytest.mark.parametrize("name", ["ppo", "a2c", "a3c", "impala", "trpo", "reinforce", "cem"])
def test_deviations_of_discrete_actions_are_refused(name):
    together = {"stochastic_policy": True} if name == "cem" else {}
    config = registry.get(name).settings(initial_log_std=-1.0, **together)
    with pytest.raises(ValueError, match=r"initial_log_std=-1.0 needs Box actions"):
        registry.get(name).build(corridor(), config)


@pytest.mark.parametrize("name", ["ppo", "a2c", "a3c", "impala"])
def test_sequences_need_a_memory(name):
    env = corridor()
    config, value = settings_of(name, "sequence_length", {"core": "none"})
    config = with_own(config, "sequence_length")
    build = registry.get(name).build
    with pytest.raises(ValueError, match=f"sequence_length={value} needs core='gru' or core="):
        build(env, config)
    own = recurrent_actor_critic(env.observation_space, env.action_space)
    build(env, config, network=own)
    empty = own._replace(start=lambda: ())
    with pytest.raises(ValueError, match=f"sequence_length={value} needs core='gru' or core="):
        build(env, config, network=empty)


def test_auto_is_a_network_without_layers_where_nothing_is_an_image():
    config = jaxrl.PPOConfig(hidden_sizes=(), activation="relu")
    validate(config)
    image = Box(0.0, 1.0, (3, 3, 1))
    check_use(config, image, Discrete(2), network=None)
    message = (
        r"activation='relu' needs hidden_sizes or a convolution, but hidden_sizes=\(\), torso="
    )
    with pytest.raises(ValueError, match=message):
        check_use(config, SPACE, Discrete(2), network=None)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            jaxrl.PPOConfig(core_size=32),
            "core_size=32 needs core='gru' or core='lstm', but core='none': it",
        ),
        (
            jaxrl.DQNConfig(priority_exponent=0.5),
            "=0.5 needs prioritized=True, but prioritized=Fal",
        ),
        (
            jaxrl.SACConfig(initial_log_std=-1.0),
            "initial_log_std=-1.0 needs state_dependent_exploration=True, but state_dependent_exp",
        ),
        (
            jaxrl.TD3Config(noise_time_step=0.1),
            "noise_time_step=0.1 needs noise='ornstein-uhlenbeck', but noise='gaussian': it would",
        ),
        (
            jaxrl.SACConfig(target_entropy=-2.0, learn_temperature=False),
            "target_entropy=-2.0 needs learn_temperature=True, but learn_temperature=False",
        ),
        (
            jaxrl.ReinforceConfig(num_value_steps=3, baseline="none"),
            "num_value_steps=3 needs baseline='value', but baseline='none'",
        ),
        (
            jaxrl.PPOConfig(target_kl=0.1, num_epochs=1, num_minibatches=1),
            "target_kl=0.1 needs more than one gradient step per rollout, but num_epochs=1, num_m",
        ),
    ],
)
def test_messages_name_both_settings(config, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        validate(config)


def test_settings_are_changed_together():
    config = dataclasses.replace(jaxrl.PPOConfig(), core="gru", core_size=32)
    validate(config)
    validate(dataclasses.replace(config, core="none", core_size=64))


def test_a_value_in_single_precision_is_still_the_default():
    validate(jaxrl.DQNConfig(priority_exponent=float(np.float32(0.6))))
    validate(jaxrl.DQNConfig(priority_exponent=jnp.float32(0.6), importance_exponent=0.4))


def test_traced_values_pass_on_either_side():
    """A number that is traced may be the default, and may meet the needs of others."""

    def build(numbers):
        validate(jaxrl.DQNConfig(priority_exponent=numbers[0]))
        validate(jaxrl.TD3Config(target_noise=numbers[1], target_noise_clip=0.1))
        validate(jaxrl.PQNConfig(epsilon_start=numbers[1], epsilon_fraction=0.5))
        return numbers

    jax.jit(build)(jnp.zeros(2))
    jax.jit(jax.vmap(build))(jnp.zeros((3, 2)))


def test_a_batch_meets_a_need_by_one_of_its_members():
    def batch(*noise):
        return jaxrl.TD3Config(target_noise=np.array(noise), target_noise_clip=np.array([0.5, 0.1]))

    validate(batch(0.0, 0.2))
    with pytest.raises(ValueError, match=r"target_noise_clip=\[0.5 0.1\] needs target_noise other"):
        validate(batch(0.0, 0.0))


@settings
class Base:
    flag: bool = static(False)
    size: int = static(1, needs=("flag", True))
    rate: float = number(0.1, needs=(("flag", True), unless("size", 1)))


@settings
class Derived(Base):
    """Fields of other defaults."""

    size: int = static(2)
    rate: float = number(0.2, needs=())


def test_a_field_that_takes_anothers_place_needs_the_same():
    with pytest.raises(ValueError, match="size=1 needs flag=True, but flag=False"):
        validate(Derived(size=1))
    validate(Derived())
    validate(Derived(rate=0.5))
    with pytest.raises(ValueError, match=r"rate=0.5 needs size other than 1, but size=1"):
        validate(Base(rate=0.5, flag=True))


def test_needs_in_words():
    fields = {f.name: f for f in dataclasses.fields(Base)}
    assert describe_needs(fields["flag"]) == ""
    assert describe_needs(fields["size"]) == "Needs flag=True."
    assert describe_needs(fields["rate"]) == "Needs flag=True and size other than 1."

    @settings
    class Others:
        size: int = static(1, needs=default_network())
        width: int = static(1, needs=(default_network(), Need("luck", lambda *_: True)))

    texts = [describe_needs(f) for f in dataclasses.fields(Others)]
    assert texts == ["", "Needs luck."]


def test_flags_say_what_they_need():
    arguments = settings_arguments(jaxrl.PPOConfig, jaxrl.PPOConfig())
    flags = [f for group in vars(arguments()).values() for f in dataclasses.fields(group)]
    help_of = {f.name: f.type.__metadata__[0].help for f in flags}
    assert help_of["core_size"] == "Width of the memory. Needs core='gru' or core='lstm'."
    assert help_of["discount"].endswith("step later.")


def test_small_runs_of_what_is_needed_can_be_built():
    """The table's settings are those of the environments that the other tests use."""
    assert build("ppo", "continuous", settings_of("ppo", "noise_interval", {})[0]) is not None

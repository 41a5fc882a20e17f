"""What users of Python get wrong: one clear line each, before anything is compiled.

Every case runs over all registered algorithms where it can; they fail before tracing, or in it, so
that they are cheap.
"""

import dataclasses
import functools
import importlib
import re

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from probe_environments import constant_reward, continuous_target
from tiers import named

import jaxrl
from jaxrl import registry
from jaxrl.distributions import Categorical, DiagonalGaussian, TanhGaussian
from jaxrl.environments import mask_actions
from jaxrl.keys import typed_key
from jaxrl.training import Progress
from jaxrl.types import (
    Box,
    Discrete,
    MaskedObservation,
    MultiDiscrete,
    Network,
    Policy,
    TimeStep,
)


@pytest.fixture(autouse=True)
def as_users_run_it(monkeypatch):
    """Without the checks of annotations that all other tests run under: users have none."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


NAMES = [name for name in registry.names() if name not in ("toy", "quick")]
CONTINUOUS = ("ddpg", "td3")
VALUES = ("dqn", "pqn")
GRADIENT = ("a2c", "a3c", "impala", "ppo", "reinforce", "trpo")
SEARCH = ("ars", "cem", "hill_climbing", "openes", "simulated_annealing", "steepest_ascent")
SMALL = {
    "total_steps": 64,
    "num_envs": 2,
    "num_steps": 4,
    "num_minibatches": 2,
    "random_steps": 8,
    "batch_size": 4,
    "buffer_size": 32,
    "hidden_sizes": (4,),
    "population_size": 4,
    "num_directions": 2,
    "num_workers": 2,
    "interval": 1,
    "member_settings": ("num_envs=2", "num_steps=4", "num_minibatches=2", "hidden_sizes=4"),
}


def small(name, *, own=False):
    """Small settings; those for networks of one's own leave the default networks alone."""
    fields = registry.get(name).settings.__dataclass_fields__.keys()
    fields -= {"hidden_sizes"} if own else set()
    return {field: value for field, value in SMALL.items() if field in fields}


def task(name):
    return continuous_target() if name in CONTINUOUS else constant_reward()


def build(name, environment=None, **changes):
    if name == "evosax":
        pytest.importorskip("evosax")
    entry = registry.get(name)
    environment = task(name) if environment is None else environment
    return entry.build(environment, entry.settings(**(small(name) | changes)))


def refused(message):
    return pytest.raises(ValueError, match=message)


class TestKeys:
    def test_old_keys_are_taken(self):
        algorithm = build("ppo")
        old, new = jax.random.PRNGKey(3), jax.random.key(3)
        run = jax.jit(lambda key: jaxrl.train(key, algorithm, num_evaluations=1).metrics)
        jax.tree.map(np.testing.assert_array_equal, run(old), run(new))
        many = [jax.vmap(typed_key)(jax.random.split(key, 2)) for key in (old, new)]
        np.testing.assert_array_equal(*map(jax.random.key_data, many))

    @pytest.mark.parametrize("name", named(NAMES, "ppo", "dqn", "cem"))
    def test_old_keys_are_taken_by_every_algorithm(self, name):
        algorithm = build(name)

        def start(key):
            state = algorithm.init(key)
            return algorithm.step(key, state)

        old = jax.eval_shape(start, jax.random.PRNGKey(0))
        new = jax.eval_shape(start, jax.random.key(0))
        assert jax.tree.leaves(old) == jax.tree.leaves(new)

    @pytest.mark.parametrize(
        ("key", "message"),
        [
            (0, r"a random key is needed, not 0: give jax.random.key\(0\)"),
            (np.int64(7), r"give jax.random.key\(7\)"),
            (None, "not NoneType"),
            (True, "not bool"),
            (0.5, "not float"),
            (jnp.int32(0), r"not an array int32\[\]"),
            (jnp.zeros(2), r"not an array float32\[2\]"),
            (jnp.zeros(3, jnp.uint32), r"not an array uint32\[3\]"),
            (jax.random.split(jax.random.key(0), 5), r"not \(5,\) of them.*vmap"),
            (jax.random.split(jax.random.PRNGKey(0), 5), r"not \(5,\) of them.*vmap"),
        ],
    )
    def test_what_is_no_key_is_named(self, key, message):
        algorithm, environment = build("ppo"), constant_reward()
        state, progress = algorithm.init(jax.random.key(0)), Progress(jnp.int32(0), jnp.int32(0))
        policy = algorithm.policy(state)
        strategy = importlib.import_module("jaxrl.search.cem").cem_strategy(jaxrl.CEMConfig())
        for call in (
            lambda: jaxrl.train(key, algorithm),
            lambda: jaxrl.advance(key, algorithm, state, progress, num_rows=1, until_steps=1),
            lambda: jaxrl.evaluate(key, environment, policy, num_episodes=1),
            lambda: jaxrl.maximize(key, strategy, jnp.sum, jnp.zeros(2), num_iterations=1),
            lambda: algorithm.init(key),
            lambda: algorithm.step(key, state),
        ):
            with refused(message):
                call()


class TestArguments:
    def test_train(self):
        key, environment, algorithm = jax.random.key(0), constant_reward(), build("ppo")
        with refused("the key comes first: train"):
            jaxrl.train(algorithm, key)
        with refused("an algorithm is needed, such as .*, not Environment"):
            jaxrl.train(key, environment)
        with refused("not PPOConfig"):
            jaxrl.train(key, jaxrl.PPOConfig())
        with refused("not ppo"):
            jaxrl.train(key, jaxrl.ppo)
        with refused("not str"):
            jaxrl.train(key, "ppo")
        for value in (1.5, True, None, "2"):
            with refused(f"num_evaluations={value!r} is not a whole number"):
                jaxrl.train(key, algorithm, num_evaluations=value)
        with refused("evaluation_episodes=0 must be at least 1"):
            jaxrl.train(key, algorithm, num_evaluations=1, evaluation_episodes=0)
        with refused("num_evaluations changes the program and cannot be traced"):
            jax.jit(lambda n: jaxrl.train(key, algorithm, num_evaluations=n))(2)

    def test_advance(self):
        key, algorithm = jax.random.key(0), build("ppo")
        progress = Progress(jnp.int32(0), jnp.int32(0))
        state = algorithm.init(key)
        run = functools.partial(jaxrl.advance, until_steps=8)
        with refused("progress is a jaxrl.Progress"):
            run(key, algorithm, state, 0, num_rows=1)
        with refused("num_rows=0 must be at least 1"):
            run(key, algorithm, state, progress, num_rows=0)
        with refused("an algorithm is needed"):
            run(key, state, algorithm, progress, num_rows=1)

    def test_evaluate(self):
        key, environment, algorithm = jax.random.key(0), constant_reward(), build("ppo")
        policy = Policy(lambda key: (), lambda key, carry, x: (carry, jnp.int32(0)))
        with refused(r"a jaxrl Policy is needed, not Algorithm: algorithm.policy\(state\)"):
            jaxrl.evaluate(key, environment, algorithm, num_episodes=1)
        with refused("an algorithm needs a jaxrl Environment, not Policy"):
            jaxrl.evaluate(key, policy, environment, num_episodes=1)
        with refused("num_episodes=1.0 is not a whole number"):
            jaxrl.evaluate(key, environment, policy, num_episodes=1.0)

    def test_maximize(self):
        with refused("a strategy is needed.*not CEMConfig"):
            jaxrl.maximize(
                jax.random.key(0), jaxrl.CEMConfig(), jnp.sum, jnp.zeros(2), num_iterations=1
            )


@dataclasses.dataclass(frozen=True)
class Lookalike:
    total_steps: int = 10


class TestSettings:
    @pytest.mark.parametrize("name", NAMES)
    def test_another_class_is_refused(self, name):
        if name == "evosax":
            pytest.importorskip("evosax")
        entry = registry.get(name)
        own = entry.settings
        others = {registry.get(other).settings for other in NAMES} - {own}
        for config in [
            *(other() for other in others),
            None,
            {},
            {"total_steps": 9},
            3,
            Lookalike(),
        ]:
            given = type(config).__name__
            with refused(f"settings of class {own.__name__} are needed here, not {given}"):
                entry.build(task(name), config)
        with refused(rf"not {own.__name__}: use {own.__name__}\(\)"):
            entry.build(task(name), own)
        with refused(rf"use {own.__name__}\(\*\*settings\)"):
            entry.build(task(name), {})
        with pytest.raises(ValueError, match=r"[Ee]nvironment"):
            entry.build(own(), task(name))

    def test_a_subclass_is_taken(self):
        from jaxrl.settings import number, settings

        @settings
        class MineConfig(jaxrl.PPOConfig):
            """Settings of a change of one's own."""

            extra: float = number(1.0)

        jaxrl.ppo(constant_reward(), MineConfig())

    @pytest.mark.parametrize("name", NAMES)
    def test_what_changes_the_program_cannot_be_traced(self, name):
        fields = dataclasses.fields(registry.get(name).settings)
        static = [field for field in fields if field.metadata["static"]]
        build(name)
        for field in static:

            def run(value, field=field):
                given = (value,) if isinstance(field.default, tuple) else value
                build(name, **{field.name: given})
                return value

            with refused(f"{field.name} changes the program and cannot be traced: build one"):
                jax.eval_shape(run, jnp.int32(1))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"num_envs": jnp.int32(4)}, "num_envs=.* is not a whole number of type int: write 4"),
            ({"num_envs": np.array(4)}, "of type int: write 4"),
            ({"num_envs": np.array([4])}, r"num_envs=array\(\[4\]\) is not a whole number$"),
            ({"num_envs": "4"}, "num_envs='4' is not a whole number$"),
            ({"num_envs": None}, "num_envs=None is not a whole number"),
            ({"optimizer": ["adam"]}, r"optimizer=\['adam'\] is not one of adam"),
            ({"optimizer": jnp.int32(0)}, "optimizer=.* is not one of adam"),
            ({"optimizer": None}, "optimizer=None is not one of adam"),
            ({"learning_rate": True}, "learning_rate=True is not a number"),
            ({"learning_rate": {}}, r"learning_rate=\{\} is not a number"),
            ({"learning_rate": 1j}, "learning_rate=1j is not a number"),
            ({"normalize_advantages": jnp.bool_(True)}, "is not True or False"),
            ({"hidden_sizes": 64}, "hidden_sizes=64 is not a tuple"),
            ({"hidden_sizes": jnp.array([4, 4])}, "is not a tuple"),
            ({"hidden_sizes": (4.0,)}, "is not a tuple"),
        ],
    )
    def test_values_of_a_wrong_kind(self, changes, message):
        with refused(message):
            build("ppo", **changes)

    def test_numpy_numbers_that_can_be_hashed_are_taken(self):
        build("ppo", num_envs=np.int64(4), learning_rate=np.float32(1e-3))
        build("ppo", learning_rate=jnp.float32(1e-3))

    @pytest.mark.parametrize(
        ("module", "function"),
        [
            ("jaxrl.search.cem", "cem_strategy"),
            ("jaxrl.search.ars", "ars_strategy"),
            ("jaxrl.search.openes", "openes_strategy"),
            ("jaxrl.search.hill_climbing", "hill_climbing_strategy"),
            ("jaxrl.search.steepest_ascent", "steepest_ascent_strategy"),
            ("jaxrl.search.simulated_annealing", "simulated_annealing_strategy"),
            ("jaxrl.search.evosax_search", "evosax_strategy"),
        ],
    )
    @pytest.mark.parametrize("config", [None, {}, jaxrl.PPOConfig(), jaxrl.CEMConfig])
    def test_strategies_refuse_them_too(self, module, function, config):
        with refused("settings of class .*Config are needed here"):
            getattr(importlib.import_module(module), function)(config)

    def test_agents_refuse_them_too(self):
        from jaxrl.q_learning.dqn import dqn_agent
        from jaxrl.q_learning.pqn import pqn_agent

        environment = constant_reward()
        for call, name in (
            (lambda: pqn_agent(environment, jaxrl.DQNConfig()), "PQNConfig"),
            (lambda: dqn_agent(environment, jaxrl.PQNConfig()), "DQNConfig"),
        ):
            with refused(f"settings of class {name} are needed"):
                call()


def changed(name, **changes):
    """The algorithm's task, of whose steps some fields are others."""
    environment = task(name)

    def step(key, state, action):
        state, time_step = environment.step(key, state, action)
        values = {k: v(time_step) if callable(v) else v for k, v in changes.items()}
        return state, time_step._replace(**values)

    return environment._replace(step=step)


def with_step(name, change):
    """The algorithm's task, with another answer to the same actions."""
    environment = task(name)
    return environment._replace(step=lambda *inputs: change(*environment.step(*inputs)))


def with_start(name, change):
    environment = task(name)
    return environment._replace(reset=lambda key: change(*environment.reset(key)))


WRONG = {
    "a reward of a shape": (
        lambda name: changed(name, reward=jnp.ones(1)),
        r"the reward of .* is float32\[1\], but it must be a real number of shape \(\)",
    ),
    "a reward for every environment": (
        lambda name: changed(name, reward=jnp.ones((4, 2))),
        r"the reward of .* is float32\[4, 2\]",
    ),
    "a complex reward": (
        lambda name: changed(name, reward=jnp.complex64(1)),
        r"the reward of .* is complex64\[\], but it must be a real number",
    ),
    "no reward": (
        lambda name: changed(name, reward=None),
        "the reward of .* is None, but it must be a real number",
    ),
    "an end that is a float": (
        lambda name: changed(name, terminated=jnp.float32(0)),
        r"the terminated of .* is float32\[\], but it must be a bool",
    ),
    "an end of a shape": (
        lambda name: changed(name, truncated=jnp.zeros(1, bool)),
        r"the truncated of .* is bool\[1\], but it must be a bool of shape",
    ),
    "no observation of the step": (
        lambda name: changed(name, observation=None),
        "the observation of the step of .* is missing: give what its space declares",
    ),
    "an empty observation of the step": (
        lambda name: changed(name, observation=()),
        "the observation of the step of .* is missing",
    ),
    "an observation of another size": (
        lambda name: changed(name, observation=jnp.zeros(3)),
        r"the observation of the step of .* is float32\[3\], but its space has shape \(1,\)",
    ),
    "an observation of another shape": (
        lambda name: changed(name, observation=jnp.zeros((1, 1))),
        r"the observation of the step of .* is float32\[1, 1\], but its space has shape \(1,\)",
    ),
    "a first observation of another shape": (
        lambda name: with_start(name, lambda state, seen: (state, jnp.zeros(2))),
        r"the observation of the reset of .* is float32\[2\], but its space has shape \(1,\)",
    ),
    "an observation of another type": (
        lambda name: with_start(name, lambda state, seen: (state, jnp.zeros(1, jnp.int32))),
        r"the observation of the reset of .* is int32\[1\], but its space is of float32: declare",
    ),
    "a space of another type": (
        lambda name: task(name)._replace(observation_space=Box(0, 1, (1,), jnp.int32)),
        r"is float32\[1\], but its space is of int32: declare dtype=jnp.float32",
    ),
    "observations of parts": (
        lambda name: with_start(name, lambda state, seen: (state, {"a": seen, "b": seen})),
        r"the observation of the reset of .* is dict .*: one array of that shape is needed",
    ),
    "a space of parts": (
        lambda name: task(name)._replace(observation_space={"a": Box(-1.0, 1.0, (1,))}),
        r"the observation of the reset of .* is nested otherwise: dict with \['a'\]",
    ),
    "a space that is a tuple": (
        lambda name: task(name)._replace(observation_space=(Box(-1.0, 1.0, (1,)), Discrete(2))),
        r"the observation of the reset of .* is nested otherwise: tuple with \[0\], \[1\]",
    ),
    "an action space that is none": (
        lambda name: task(name)._replace(action_space=4),
        "the action space of .* is 4, but it must be",
    ),
    "nothing to see": (
        lambda name: task(name)._replace(observation_space=Box(-1.0, 1.0, (0,))),
        r"the observation space of .* has shape \(0,\), which holds no number",
    ),
    "nothing to do": (
        lambda name: task(name)._replace(action_space=Box(-1.0, 1.0, (3, 0))),
        r"the action space of .* has shape \(3, 0\), which holds no number",
    ),
    "no factors": (
        lambda name: task(name)._replace(action_space=MultiDiscrete(())),
        r"the action space of .* has shape \(0,\)",
    ),
    "no category": (
        lambda name: task(name)._replace(action_space=Discrete(0)),
        "the action space of .*: it needs categories",
    ),
    "a state of another type after a step": (
        lambda name: with_step(name, lambda state, step: (jnp.int32(0), step)),
        r"the state of .* must keep its form from reset to step, but changes from",
    ),
    "a state of another shape after a step": (
        lambda name: with_step(
            name, lambda state, step: (jax.tree.map(lambda x: x[None], state), step)
        ),
        "the state of .* must keep its form",
    ),
    "a step that returns a plain tuple": (
        lambda name: with_step(name, lambda state, step: (state, tuple(step))),
        r"the step of .* returns \(state, tuple\), but it must return \(state, jaxrl.types.TimeSt",
    ),
    "a step as in gymnasium": (
        lambda name: with_step(
            name, lambda state, step: (step.observation, step.reward, True, False, {})
        ),
        r"the step of .* returns 5 values, but it must return \(state, TimeStep\)",
    ),
    "a reset that returns the observation alone": (
        lambda name: task(name)._replace(reset=lambda key: jnp.zeros(1)),
        r"the reset of .* returns .*, but it must return \(state, observation\)",
    ),
    "an info that is none": (
        lambda name: changed(name, info=None),
        "the info of .* is None, but it must be a dict",
    ),
    **{
        f"a limit of {limit!r}": (
            lambda name, limit=limit: task(name)._replace(max_episode_steps=limit),
            f"max_episode_steps={re.escape(repr(limit))} of .* must be a whole number, at least 1",
        )
        for limit in (0, -1, 2.5, "5", float("inf"), float("nan"), (3,))
    },
}


class TestEnvironments:
    @pytest.mark.parametrize("kind", WRONG)
    @pytest.mark.parametrize("name", ["ppo", "td3", "cem"])
    def test_what_does_not_keep_its_word_is_named(self, name, kind):
        environment, message = WRONG[kind]
        with refused(message):
            build(name, environment(name))

    @pytest.mark.full
    @pytest.mark.parametrize("kind", WRONG)
    @pytest.mark.parametrize("name", NAMES)
    def test_it_is_named_by_every_algorithm(self, name, kind):
        environment, message = WRONG[kind]
        with refused(message):
            build(name, environment(name))

    @pytest.mark.parametrize("name", NAMES)
    def test_what_is_no_environment_is_named(self, name):
        for value in ("CartPole-v1", None, {}, constant_reward, type(constant_reward()), 3):
            with refused("an algorithm needs a jaxrl Environment, not .*make_env"):
                registry.get(name).build(value, registry.get(name).settings())

    @pytest.mark.parametrize("name", named(NAMES, "ppo", "a3c", "reinforce", "dqn", "sac", "cem"))
    def test_plain_numbers_and_truth_values_are_taken(self, name):
        """A reward of 1 and ends that are Python's or whole numbers, as the gymnax adapter does."""
        plain = changed(
            name,
            reward=1,
            terminated=lambda step: step.terminated.astype(jnp.int32),
            truncated=False,
        )
        algorithm = build(name, plain)

        def run(key):
            return algorithm.step(key, algorithm.init(key))

        jax.eval_shape(run, jax.random.key(0))
        key = jax.random.key(0)
        environment = algorithm.environment
        action = jnp.zeros(environment.action_space.shape, environment.action_space.dtype)
        state = environment.reset(key)[0]
        step = environment.step(key, state, action)[1]
        types = (step.reward.dtype, step.terminated.dtype, step.truncated.dtype)
        assert types == (jnp.float32, jnp.bool_, jnp.bool_)

    def test_ends_that_are_whole_numbers_end(self):
        """~1 is -2, which is true: a count of ends that are int32 would never stop."""
        plain = changed("ppo", truncated=lambda step: step.truncated.astype(jnp.int32))
        policy = Policy(lambda key: (), lambda key, carry, x: (carry, jnp.int32(0)))
        evaluation = jaxrl.evaluate(jax.random.key(0), plain, policy, num_episodes=2)
        np.testing.assert_array_equal(evaluation.lengths, [5, 5])

    def test_a_whole_float_is_a_limit(self):
        build("ppo", constant_reward()._replace(max_episode_steps=5.0))
        build("ppo", constant_reward()._replace(max_episode_steps=np.int64(5)))


def linear(size, wrap):
    """A network of one's own: `wrap` makes its output of as many numbers."""

    def init(key, *inputs):
        return jnp.zeros((sum(x.size for x in inputs), size))

    def apply(params, *inputs):
        return wrap(jnp.concatenate([x.reshape(-1) for x in inputs]) @ params)

    return Network(init=init, apply=apply)


class Foreign:
    """Another library's distribution, such as distrax's."""

    def __init__(self, logits):
        self.logits = logits

    def sample(self, *, seed):
        return jnp.int32(0)

    def mode(self):
        return jnp.int32(0)

    def log_prob(self, value):
        return jnp.float32(0)

    def entropy(self):
        return jnp.float32(0)


def masked():
    return mask_actions(constant_reward(), lambda observation: jnp.array([True, False]))


class TestNetworks:
    @pytest.mark.parametrize("name", GRADIENT)
    @pytest.mark.parametrize(
        ("network", "message"),
        [
            (linear(2, lambda x: (x, x[0])), r"an array float32\[2\], which lacks sample, mode"),
            (linear(2, lambda x: (Foreign(x), x[0])), "this is Foreign, which lacks log_probabili"),
            (linear(2, lambda x: (Categorical(x), x)), "with a value of shape"),
            (linear(2, lambda x: (Categorical(x), x[:1])), "with a value of shape"),
            (linear(2, lambda x: (Categorical(x), None)), "with a value of shape"),
            (linear(2, lambda x: Categorical(x)), r"maps one observation to \(distribution, value"),
            (linear(2, lambda x: (x[0], Categorical(x))), "with a value of shape"),
            (
                linear(2, lambda x: (DiagonalGaussian(x, x), x[0])),
                r"over actions of shape \(2,\), but those of the environment have shape \(\)",
            ),
            (
                linear(2, lambda x: (Categorical(x[None]), x[0])),
                r"over actions of shape \(1,\)",
            ),
        ],
    )
    def test_of_actor_critics(self, name, network, message):
        entry = registry.get(name)
        with refused(message):
            entry.build(constant_reward(), entry.settings(**small(name, own=True)), network=network)

    @pytest.mark.parametrize("name", GRADIENT)
    def test_a_distribution_without_entropy_is_refused(self, name):
        network = linear(1, lambda x: (TanhGaussian(x, x, -1.0, 1.0), x[0]))
        entry = registry.get(name)
        with refused("TanhGaussian, which lacks entropy"):
            entry.build(
                continuous_target(), entry.settings(**small(name, own=True)), network=network
            )

    def test_trpo_needs_a_divergence(self):
        @jax.tree_util.register_static
        class Plain:
            def sample(self, key):
                return jnp.int32(0)

            def mode(self):
                return jnp.int32(0)

            def log_probability(self, action):
                return jnp.float32(0)

            def entropy(self):
                return jnp.float32(0)

        network = linear(2, lambda x: (Plain(), x[0]))
        with refused("Plain, which lacks kl_divergence"):
            jaxrl.trpo(
                constant_reward(), jaxrl.TRPOConfig(**small("trpo", own=True)), network=network
            )

    @pytest.mark.parametrize("name", VALUES)
    @pytest.mark.parametrize(
        ("network", "message"),
        [
            (linear(2, Categorical), "is one array, but this network returns a Categorical"),
            (linear(2, lambda x: (x, x[0])), "returns a tuple of"),
            (linear(3, lambda x: x), r"values of shape \(2,\), but this one returns \(3,\)"),
            (linear(2, lambda x: x[None]), r"but this one returns \(1, 2\)"),
        ],
    )
    def test_of_action_values(self, name, network, message):
        entry = registry.get(name)
        with refused(message):
            entry.build(constant_reward(), entry.settings(**small(name, own=True)), network=network)

    @pytest.mark.parametrize("name", ["ddpg", "td3"])
    @pytest.mark.parametrize(
        ("networks", "message"),
        [
            (
                {"policy": linear(1, lambda x: DiagonalGaussian(x, x))},
                "the action of a deterministic policy is one array.*DiagonalGaussian",
            ),
            ({"policy": linear(2, lambda x: x)}, r"actions have shape \(2,\), but those"),
            ({"policy": linear(1, lambda x: x[0])}, r"actions have shape \(\), but those"),
            ({"critic": linear(1, lambda x: x)}, r"a value of shape \(\), but this one returns"),
            (
                {"critic": linear(1, lambda x: Categorical(x[0]))},
                "the value of a critic is one array, but this network returns a Categorical",
            ),
        ],
    )
    def test_of_deterministic_policies(self, name, networks, message):
        entry = registry.get(name)
        with refused(message):
            entry.build(continuous_target(), entry.settings(**small(name, own=True)), **networks)

    @pytest.mark.parametrize(
        ("environment", "networks", "message"),
        [
            (
                continuous_target(),
                {"policy": linear(1, lambda x: DiagonalGaussian(x, x))},
                "sample_and_log_probability, such as TanhGaussian, not a DiagonalGaussian",
            ),
            (continuous_target(), {"policy": linear(1, lambda x: x)}, "such as TanhGaussian, not"),
            (continuous_target(), {"policy": linear(1, Foreign)}, "TanhGaussian, not a Foreign"),
            (continuous_target(), {"critic": linear(1, lambda x: x)}, r"a value of shape \(\)"),
            (constant_reward(), {"policy": linear(2, lambda x: x)}, "returns a Categorical"),
            (constant_reward(), {"policy": linear(2, Foreign)}, "Categorical, not a Foreign"),
            (masked(), {"policy": linear(2, Foreign)}, "Categorical, not a Foreign"),
            (constant_reward(), {"policy": linear(3, Categorical)}, "is not over Discrete"),
            (constant_reward(), {"critic": linear(1, lambda x: x)}, r"values of shape \(2,\)"),
        ],
    )
    def test_of_sac(self, environment, networks, message):
        with refused(message):
            jaxrl.sac(environment, jaxrl.SACConfig(**small("sac", own=True)), **networks)

    @pytest.mark.parametrize("name", SEARCH)
    @pytest.mark.parametrize(
        ("network", "message"),
        [
            (linear(2, lambda x: x), r"this is an array float32\[2\], which lacks mode"),
            (linear(2, lambda x: (Categorical(x), x[0])), "this is tuple, which lacks mode"),
            (
                linear(2, lambda x: DiagonalGaussian(x, x)),
                r"over actions of shape \(2,\), but those of constant-reward have shape \(\)",
            ),
        ],
    )
    def test_of_policy_search(self, name, network, message):
        entry = registry.get(name)
        with refused(message):
            entry.build(constant_reward(), entry.settings(**small(name, own=True)), network=network)

    def test_of_stochastic_policy_search(self):
        class OnlyMode:
            def mode(self):
                return jnp.int32(0)

        config = jaxrl.CEMConfig(stochastic_policy=True, **small("cem", own=True))
        with refused("OnlyMode, which lacks sample"):
            jaxrl.cem(constant_reward(), config, network=linear(2, lambda x: OnlyMode()))


MASKING = (*GRADIENT, *VALUES, "sac")


class TestMasks:
    @pytest.mark.parametrize("name", MASKING)
    def test_a_bare_observation_for_a_masked_policy(self, name):
        algorithm = build(name, masked())

        def act(key):
            policy = algorithm.policy(algorithm.init(key))
            return policy.act(key, policy.start(key), jnp.zeros(1))

        with refused("give it MaskedObservation"):
            jax.eval_shape(act, jax.random.key(0))

    @pytest.mark.parametrize("name", [*MASKING, *CONTINUOUS, "cem"])
    def test_a_masked_observation_for_a_policy_without_masks(self, name):
        algorithm = build(name)

        def act(key):
            policy = algorithm.policy(algorithm.init(key))
            observation = MaskedObservation(jnp.zeros(1), jnp.ones(2, bool))
            return policy.act(key, policy.start(key), observation)

        with refused("knows no masks of actions"):
            jax.eval_shape(act, jax.random.key(0))

    def test_spaces_and_observations_go_together(self):
        bare = masked()._replace(observation_space=Box(-1.0, 1.0, (1,)))
        with refused("a MaskedObservation and a MaskedSpace go together"):
            build("ppo", bare)
        without = constant_reward()._replace(observation_space=masked().observation_space)
        with refused("a MaskedObservation and a MaskedSpace go together"):
            build("ppo", without)


def test_a_whole_environment_by_hand_still_works():
    def step(key, state, action):
        del key, action
        seen = jnp.zeros(1)
        return state, TimeStep(seen, 0.0, True, False, {})

    environment = constant_reward(1)._replace(
        reset=lambda key: (jnp.int32(0), jnp.zeros(1)), step=step
    )
    algorithm = build("ppo", environment)
    metrics = jax.jit(lambda key: jaxrl.train(key, algorithm).metrics)(jax.random.key(0))
    assert np.isfinite(metrics["value_loss"]).all()

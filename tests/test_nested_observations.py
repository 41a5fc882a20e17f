"""Observations that are pytrees, from the spaces to a run that is resumed."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nested_worlds import FLAT, MIXED, NESTED, mix, nest, showing
from probe_environments import action_matches_observation, only_one_door
from small_runs import SMALL, corridor
from tiers import leading, named

import jaxrl
from jaxrl import environments, registry
from jaxrl.distributions import Categorical
from jaxrl.environments import build_environment, mask_actions, select_observations
from jaxrl.learning.observation_statistics import init_observed, normalize_observed, update_observed
from jaxrl.networks import encode_observation
from jaxrl.replay import ring_storage, uniform_replay
from jaxrl.runs import load, logs, make_members, resume, start
from jaxrl.runs.specification import Specification
from jaxrl.types import Box, Discrete, Environment, Network, TimeStep, Transition

KEY = jax.random.key(0)


def pair(*, continuous=False):
    """A corridor whose position is seen as one vector, and the same with a nested observation."""
    flat = corridor(shape=(4,), continuous=continuous)
    return flat, showing(flat, nest, NESTED)


class TestNetworksGetOneVector:
    def test_by_hand(self):
        """Bytes over 255, a category as one of three, floats and truth values as they are."""
        element = {
            "image": jnp.uint8([[[0], [51]], [[255], [102]]]),
            "kind": jnp.int32(2),
            "speed": jnp.float32([0.5, -7.0]),
            "lamps": jnp.array([True, False, True]),
        }
        expected = [0, 0.2, 1, 0.4, 0, 0, 1, 1, 0, 1, 0.5, -7]
        np.testing.assert_allclose(encode_observation(element, MIXED), expected, rtol=1e-6)

    def test_leading_axes_are_batch(self):
        elements = jax.vmap(jax.vmap(mix))(jax.random.normal(KEY, (5, 3, 4)))
        encoded = encode_observation(elements, MIXED)
        assert encoded.shape == (5, 3, 12)
        alone = encode_observation(jax.tree.map(lambda x: x[4, 1], elements), MIXED)
        np.testing.assert_array_equal(encoded[4, 1], alone)

    def test_a_nested_vector_is_the_vector(self):
        vector = jnp.arange(4.0)
        np.testing.assert_array_equal(encode_observation(nest(vector), NESTED), vector)


# What acts together with normalisation or memory; the others are as in the other small runs.
VARIANTS = {
    "ppo": ("ppo", {}),
    "ppo normalised": ("ppo", {"normalize_observations": True}),
    "dqn": ("dqn", {}),
    "dqn normalised": ("dqn", {"normalize_observations": True, "n_step": 2}),
    "ppo with a memory": ("ppo", {"core": "gru", "core_size": 4}),
    "ppo pooled": ("ppo", {"num_envs": 4, "resets": "pooled", "reset_ratio": 2}),
    "ppo cached": ("ppo", {"resets": "cached"}),
    "a2c": ("a2c", {}),
    "a3c": ("a3c", {}),
    "impala": ("impala", {}),
    "trpo": ("trpo", {}),
    "reinforce": ("reinforce", {"hidden_sizes": (4,)}),
    "pqn": ("pqn", {"normalize_observations": True}),
    "dqn prioritised": ("dqn", {"prioritized": True}),
    "sac": ("sac", {"n_step": 2, "normalize_observations": True}),
    "td3": ("td3", {}),
    "ddpg": ("ddpg", {"normalize_observations": True}),
    "cem": ("cem", {"hidden_sizes": (4,), "normalize_observations": True}),
}


@pytest.mark.parametrize("variant", named(VARIANTS, "ppo normalised"))
def test_learning_is_that_from_one_vector(variant):
    """The same numbers, seen in another form, give the same policy, metrics and evaluations."""
    name, changes = VARIANTS[variant]
    entry = registry.get(name)
    config = entry.settings(**{"total_steps": 60} | SMALL.get(name, {}) | changes)

    def result(environment):
        algorithm = entry.build(environment, config)
        run = jax.jit(lambda: jaxrl.train(KEY, algorithm, num_evaluations=1, evaluation_episodes=4))
        trained = run()
        return trained.metrics, trained.evaluations

    flat, nested = (result(env) for env in pair(continuous=name in ("td3", "ddpg")))
    assert jax.tree.structure(flat) == jax.tree.structure(nested)
    for expected, found in zip(jax.tree.leaves(flat), jax.tree.leaves(nested), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5)


def test_parts_of_other_kinds_are_learnt_from():
    """What counts is a category beside noise: without it the return would be 0 on average."""
    world = action_matches_observation()
    space = {"noise": Box(-1.0, 1.0, (2,)), "sign": Discrete(2)}

    def change(observation):
        return {"noise": jnp.zeros(2), "sign": (observation[0] > 0).astype(jnp.int32)}

    config = jaxrl.PPOConfig(
        total_steps=4096, num_envs=16, num_steps=16, learning_rate=3e-3, hidden_sizes=(16,)
    )
    algorithm = jaxrl.ppo(showing(world, change, space), config)
    run = jax.jit(
        lambda: jaxrl.train(KEY, algorithm, num_evaluations=1, evaluation_episodes=64).evaluations
    )
    assert run().returns.mean() > 0.9


class TestANetworkOfOnesOwn:
    """It gets the observation as it is: the parts by their names, in their own types."""

    @staticmethod
    def features(observation):
        assert observation.keys() == MIXED.keys()
        for name, part in observation.items():
            assert part.dtype == MIXED[name].dtype
            assert part.shape == MIXED[name].shape
        return jnp.stack([observation["image"].mean() / 255, observation["speed"][0]])

    def network(self, output):
        return Network(
            init=lambda key, observation: {
                "w": jax.random.normal(key, (2, 2)) + 0 * self.features(observation).sum()
            },
            apply=lambda params, observation: output(self.features(observation) @ params["w"]),
        )

    def test_of_ppo(self):
        env = showing(corridor(), mix, MIXED)
        small = {key: value for key, value in SMALL["ppo"].items() if key != "hidden_sizes"}
        network = self.network(lambda x: (Categorical(x), x[0]))
        algorithm = jaxrl.ppo(env, jaxrl.PPOConfig(total_steps=32, **small), network=network)
        metrics = jax.jit(lambda: jaxrl.train(KEY, algorithm).metrics)()
        assert np.isfinite(metrics["policy_loss"]).all()

    def test_of_dqn(self):
        """Also what comes out of the replay is of the types of the space."""
        env = showing(corridor(), mix, MIXED)
        small = {key: value for key, value in SMALL["dqn"].items() if key != "hidden_sizes"}
        network = self.network(lambda x: x)
        algorithm = jaxrl.dqn(env, jaxrl.DQNConfig(total_steps=32, **small), network=network)
        metrics = jax.jit(lambda: jaxrl.train(KEY, algorithm).metrics)()
        assert np.isfinite(metrics["value_loss"]).all()


class TestMoments:
    def test_each_part_is_standardised_as_in_one_vector(self):
        vectors = 3.0 * jax.random.normal(KEY, (50, 4)) + jnp.arange(4.0)
        flat = update_observed(init_observed(FLAT), vectors)
        nested = update_observed(init_observed(NESTED), jax.vmap(nest)(vectors))
        expected = normalize_observed(flat, vectors)
        found = normalize_observed(nested, jax.vmap(nest)(vectors))
        assert jax.tree.structure(found) == jax.tree.structure(NESTED)
        found = jnp.concatenate([x.reshape(50, -1) for x in jax.tree.leaves(found)], axis=1)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)

    def test_only_floats_have_moments(self):
        elements = jax.vmap(mix)(jax.random.normal(KEY, (50, 1)))
        statistics = update_observed(init_observed(MIXED), elements)
        # In the order of the tree: image, kind, lamps, speed.
        assert [part is None for part in statistics] == [True, True, True, False]
        found = normalize_observed(statistics, elements)
        for name in ("image", "kind", "lamps"):
            assert found[name].dtype == elements[name].dtype
            np.testing.assert_array_equal(found[name], elements[name])
        np.testing.assert_allclose(found["speed"].std(axis=0), 1, rtol=1e-3)

    def test_nothing_to_standardise_is_refused(self):
        env = showing(corridor(), lambda x: {"kind": jnp.int32(0)}, {"kind": Discrete(2)})
        with pytest.raises(ValueError, match="normalize_observations=True needs Box observations"):
            jaxrl.ppo(env, jaxrl.PPOConfig(normalize_observations=True))


def test_a_replay_keeps_each_part_in_its_narrowest_type():
    """Of 8 steps: 4 bytes of an image, a byte each for a category and for 3 bits, 2 floats."""
    storage = ring_storage(MIXED, Discrete(2), capacity=8, num_envs=2, max_episode_steps=3)
    replay = uniform_replay(storage, batch_size=16, discount=0.9)
    kept = storage.init().observation
    types = {name: (x.dtype, x.shape) for name, x in kept.items()}
    assert types == {
        "image": (jnp.uint8, (4, 2, 2, 2, 1)),
        "kind": (jnp.uint8, (4, 2)),
        "lamps": (jnp.uint8, (4, 2, 1)),
        "speed": (jnp.float32, (4, 2, 2)),
    }
    assert sum(x.nbytes for x in kept.values()) == 8 * (4 + 1 + 1 + 8)

    def observation(time):
        """[1, 2] of them, which tell the time and the environment."""
        vectors = (time + 10.0 * jnp.arange(2))[None, :, None] / 20
        return jax.vmap(jax.vmap(mix))(vectors)

    state = replay.init()
    for time in range(6):
        cut = jnp.full((1, 2), time == 3)
        state = replay.add(
            state,
            Transition(
                observation=observation(time),
                action=jnp.zeros((1, 2), jnp.int32),
                reward=jnp.full((1, 2), time, jnp.float32),
                terminated=jnp.zeros((1, 2), bool),
                truncated=cut,
                next_observation=observation(jnp.where(cut[0, 0], time + 0.5, time + 1)),
                extras=(),
            ),
        )
    batch = replay.sample(KEY, state)
    times = np.asarray(batch.reward)
    assert set(times) == {2, 3, 4, 5}
    environment = np.asarray(batch.index) % 2
    successor = np.where(times == 3, 3.5, times + 1)
    for found, time in ((batch.observation, times), (batch.next_observation, successor)):
        expected = jax.vmap(mix)(jnp.float32(time + 10 * environment)[:, None] / 20)
        for name, space in MIXED.items():
            assert found[name].dtype == space.dtype
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)


@pytest.mark.parametrize("name", leading(["ppo", "dqn"]))
def test_masks_go_around_a_nested_space(name):
    """Only the one right door is ever allowed, so that even a first policy has the best return."""
    space = {"image": Box(0, 255, (1,), jnp.uint8), "place": Box(-1.0, 1.0, (1,))}
    doors = only_one_door()
    env = mask_actions(showing(doors, lambda x: {"image": jnp.uint8([3]), "place": x}, space))
    entry = registry.get(name)
    config = entry.settings(total_steps=60, **SMALL[name])
    algorithm = entry.build(env, config)
    result = jax.jit(
        lambda: jaxrl.train(KEY, algorithm, num_evaluations=1, evaluation_episodes=3)
    )()
    np.testing.assert_array_equal(result.evaluations.returns, np.full((1, 3), 8.0))
    returns = np.asarray(result.metrics["episode_return"])
    np.testing.assert_array_equal(returns[np.isfinite(returns)], 8.0)


@pytest.fixture
def registered(monkeypatch):
    """A world with observations of many kinds, by a name."""
    monkeypatch.setattr(environments.registry, "_own", dict(environments.registry._own))
    jaxrl.register_environment("mixed-corridor", lambda: showing(corridor(), mix, MIXED))


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it."""


@pytest.mark.full
@pytest.mark.parametrize("name", ["dqn"])
def test_a_run_that_was_killed_is_resumed_to_the_same_bits(registered, tmp_path, monkeypatch, name):
    config = registry.get(name).settings(
        total_steps=60,
        num_envs=4,
        num_steps=2,
        random_steps=8,
        batch_size=4,
        hidden_sizes=(4,),
        normalize_observations=True,
        resets="cached",
    )
    run = Specification(
        algorithm=name,
        environment="mixed-corridor",
        settings=config,
        members=make_members(range(1)),
        log_interval=16,
        evaluation_interval=40,
        evaluation_episodes=2,
        checkpoint_interval=16,
    )
    assert start(run, tmp_path / "whole").finished
    write, calls = logs.Logs.write_metrics, []

    def dying(*arguments, **keywords):
        calls.append(write(*arguments, **keywords))
        if len(calls) == 3:
            raise Killed

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(logs.Logs, "write_metrics", dying)
        start(run, tmp_path / "killed")
    assert len(calls) == 3
    assert resume(tmp_path / "killed").finished
    whole, killed = (load(tmp_path / folder).states for folder in ("whole", "killed"))
    assert whole.worlds.observation.keys() == MIXED.keys()
    assert jax.tree.structure(whole) == jax.tree.structure(killed)
    for expected, found in zip(jax.tree.leaves(whole), jax.tree.leaves(killed), strict=True):
        if jnp.issubdtype(expected.dtype, jax.dtypes.prng_key):
            expected, found = jax.random.key_data(expected), jax.random.key_data(found)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert np.asarray(found).tobytes() == np.asarray(expected).tobytes()


class TestWhatDoesNotFitIsNamed:
    """One ValueError each, from the builder and from the constructor of an algorithm."""

    @staticmethod
    def world(space, observation):
        def reset(key):
            del key
            return jnp.int32(0), observation

        def step(key, state, action):
            del key, action
            return state, TimeStep(
                observation, jnp.float32(0), jnp.array(True), jnp.array(False), {}
            )

        return Environment("odd", space, Discrete(2), reset, step, max_episode_steps=1)

    SPACE = {"arm": Box(-1.0, 1.0, (2,)), "legs": (Discrete(3),)}  # noqa: RUF012
    CASES = {  # noqa: RUF012
        "nothing": ({}, {}, r"the observation space of odd is {}, which has no parts"),
        "nothing within": (
            {"arm": (), "legs": []},
            {"arm": (), "legs": []},
            r"the observation space of odd is .*, which has no parts",
        ),
        "no space": (
            {"arm": (2,)},
            {"arm": jnp.zeros(2)},
            r"the observation\['arm'\]\[0\] space of odd is 2, but it must be a Discrete",
        ),
        "an empty part": (
            {"arm": Box(-1.0, 1.0, (0,)), "legs": (Discrete(3),)},
            {"arm": jnp.zeros(0), "legs": (jnp.int32(0),)},
            r"the observation\['arm'\] space of odd has shape \(0,\), which holds no number",
        ),
        "another name": (
            SPACE,
            {"arms": jnp.zeros(2), "legs": (jnp.int32(0),)},
            r"its space is nested otherwise: dict with \['arm'\], \['legs'\]\[0\]",
        ),
        "a part too few": (
            SPACE,
            {"arm": jnp.zeros(2), "legs": ()},
            r"its space is nested otherwise: dict with \['arm'\], \['legs'\]\[0\]",
        ),
        "one array": (SPACE, jnp.zeros(3), r"is float32\[3\], but its space is nested otherwise"),
        "a nested element of one space": (
            Box(-1.0, 1.0, (2,)),
            {"arm": jnp.zeros(2)},
            r"is dict \(\['arm'\] float32\[2\]\), but its space has shape \(2,\): one array",
        ),
        "another shape": (
            SPACE,
            {"arm": jnp.zeros(3), "legs": (jnp.int32(0),)},
            r"the observation of the reset at \['arm'\] of odd is float32\[3\], but its space has",
        ),
        "another type": (
            SPACE,
            {"arm": jnp.zeros(2, jnp.int32), "legs": (jnp.int32(0),)},
            r"at \['arm'\] of odd is int32\[2\], but its space is of float32: declare dtype=",
        ),
    }

    @pytest.mark.parametrize("case", CASES)
    def test_a_declaration(self, case):
        space, observation, message = self.CASES[case]
        env = self.world(space, observation)
        with pytest.raises(ValueError, match=message):
            build_environment(**env._asdict())
        with pytest.raises(ValueError, match=message):
            jaxrl.ppo(env, jaxrl.PPOConfig())

    def test_wrappers_of_one_array(self):
        env = pair()[1]
        with pytest.raises(ValueError, match="networks flatten nested ones"):
            environments.flatten_observation(env)
        with pytest.raises(ValueError, match="needs observations of one axis"):
            select_observations(env, (0,))

    def test_a_convolution(self):
        with pytest.raises(ValueError, match=r"torso='cnn' needs .*, got nested ones: use torso"):
            jaxrl.ppo(pair()[1], jaxrl.PPOConfig(torso="cnn"))


def test_types_are_settled_part_by_part():
    """Plain numbers and other widths become what the space says; a NamedTuple stays one."""

    def reset(key):
        del key
        return 0, {"arm": 0.5, "legs": (np.int64(1),)}

    def step(key, state, action):
        del key, action
        seen = {"arm": jnp.float16(1), "legs": (jnp.int8(2),)}
        return state + 1, TimeStep(seen, 1, False, False, {})

    space = {"arm": Box(-1.0, 1.0, ()), "legs": (Discrete(3),)}
    env = build_environment(
        name="plain", reset=reset, step=step, observation_space=space, action_space=Discrete(2)
    )
    state, first = env.reset(KEY)
    _, time_step = env.step(KEY, state, jnp.int32(0))
    for seen in (first, time_step.observation):
        assert jax.tree.map(lambda x: x.dtype, seen) == {
            "arm": jnp.float32,
            "legs": (jnp.dtype(jnp.int32),),
        }

"""Every algorithm under JAX's modes that find mistakes: x64, debug_nans, key reuse, rank promotion.

All but nan are found while a program is traced, so that only that mode has to run one.
"""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import probe_environments
import pytest
from probe_environments import action_matches_observation, continuous_target, vector_of_actions
from small_runs import NAMES, corridor, task
from tiers import leading, named

import jaxrl
from jaxrl import environments, registry, runs, train
from jaxrl.environments import mask_actions
from jaxrl.training import Progress, advance, evaluate
from jaxrl.types import Box, Environment, TimeStep

GRU = {"core": "gru", "core_size": 4}
PRIORITIZED = {"prioritized": True, "n_step": 3}
NORMALIZED = {"normalize_observations": True, "normalize_rewards": True}


def masked():
    return mask_actions(corridor(), lambda observation: jnp.arange(2) < 2)


def wrapped():
    """All that the wrappers do to a Box of two axes and its actions."""
    environment = environments.sticky_actions(jaxrl.make_env("Pendulum-v1"), probability=0.25)
    environment = environments.flatten_observation(environments.rescale_actions(environment))
    environment = environments.clip_reward(environments.scale_reward(environment, scale=0.1))
    return environments.time_limit(environment, max_steps=6)


def wide():
    """A world of one's own whose numbers JAX widens under x64, its reward among them."""

    def reset(key):
        return jnp.zeros(2), jax.random.normal(key, (2,))

    def step(key, state, action):
        state = state + action
        over = jnp.sum(jnp.abs(state)) > 3
        reward = 1.0 - jnp.mean(jnp.square(state))
        return state, TimeStep(state, reward, over, jnp.array(False), {})

    seen, taken = Box(-np.inf, np.inf, (2,)), Box(np.array([-1.0, -2.0]), np.ones(2), (2,))
    return environments.time_limit(Environment("wide", seen, taken, reset, step), max_steps=5)


def cart_pole():
    return jaxrl.make_env("CartPole-v1", max_steps_in_episode=6)


PLAIN = [(name, {}, None) for name in NAMES]
VARIANTS = [
    *((name, GRU, None) for name in ("ppo", "a2c", "impala", "a3c")),
    ("ppo", GRU | {"shared_core": False, "num_minibatches": 1}, None),
    *((name, {"state_dependent_exploration": True}, wide) for name in ("ppo", "sac")),
    *((name, {}, masked) for name in ("ppo", "dqn", "pqn", "sac")),
    *((name, PRIORITIZED, masked) for name in ("dqn", "sac")),
    *((name, PRIORITIZED | {"normalize_observations": True}, None) for name in ("td3", "sac")),
    *((name, {}, wide) for name in ("ppo", "trpo", "reinforce", "ddpg", "sac", "openes")),
    *((name, NORMALIZED, None) for name in ("ppo", "impala", "pqn")),
    ("ppo", {}, vector_of_actions),
    ("ppo", {"compute_dtype": "bfloat16", "optimizer": "radam"}, None),
    ("ppo", {"target_kl": 0.01, "value_clip_epsilon": 0.2}, None),
    ("dqn", {"loss": "huber", "dueling": True, "double": True, "num_updates": 2}, None),
    ("ddpg", {"noise": "parameter", "layer_norm": True}, None),
    ("td3", {"noise": "ornstein-uhlenbeck"}, continuous_target),
    ("reinforce", {"normalize_returns": True, "discount_time": True}, None),
    ("openes", {"optimizer": "adam", "normalize_observations": True}, None),
    ("cem", {"normalize_observations": True}, None),
    *(("evosax", {"strategy": s}, None) for s in ("CMA_ES", "PSO", "Open_ES", "SNES")),
    ("ppo", {}, wrapped),
    ("sac", {}, wrapped),
    *((name, {}, cart_pole) for name in ("ppo", "dqn", "hill_climbing")),
]


def cases(*quick):
    """All variants; those that are not among the quick ones are part of the full suite."""
    labels = {label_of(variant): variant for variant in (*PLAIN, *VARIANTS)}
    assert len(labels) == len(PLAIN) + len(VARIANTS)
    return [
        pytest.param(labels[name.values[0]], id=name.values[0], marks=name.marks)
        for name in named(labels, *quick)
    ]


def label_of(case):
    name, changes, make = case
    words = (
        x for key, value in changes.items() for x in (key, *([value] if key == "strategy" else []))
    )
    return "-".join((name, *words, *((make.__name__,) if make else ())))


def build(case):
    name, changes, make = case
    environment, config = task(name)
    config = dataclasses.replace(config, **changes)
    return registry.get(name).build(make() if make else environment, config)


def run(algorithm):
    return lambda key: train(key, algorithm, num_evaluations=2, evaluation_episodes=2)


@pytest.fixture
def fresh():
    """A mode, for one block: JAX traces nothing again because a mode has changed."""

    @contextlib.contextmanager
    def entered(mode):
        jax.clear_caches()
        with mode:
            yield
        jax.clear_caches()

    yield entered
    jax.clear_caches()


def types(tree):
    """Path and type of every leaf; an environment's own state may be of any."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = [(jax.tree_util.keystr(path), str(leaf.dtype)) for path, leaf in leaves]
    return {path: dtype for path, dtype in named if ".worlds." not in path}


@pytest.mark.parametrize("case", cases("sac-prioritized-n_step-masked"))
def test_under_x64_everything_has_the_types_that_it_has_without(case, fresh):
    task(case[0])
    key = jax.random.key(0)
    expected = types(jax.eval_shape(run(build(case)), key))
    assert {"float64", "int64"}.isdisjoint(expected.values())
    with fresh(jax.enable_x64(True)):
        assert types(jax.eval_shape(run(build(case)), key)) == expected


@pytest.mark.parametrize("name", named(NAMES, "td3"))
def test_settings_and_progress_of_64_bits_are_taken(name, fresh):
    """A sweep's arrays, such as linspace makes, are wide under x64."""
    environment, config = task(name)

    def result(config, key):
        algorithm = registry.get(name).build(environment, config)
        progress = Progress(jnp.int32(0), jnp.int32(algorithm.first_steps))
        state = algorithm.init(key)
        return advance(key, algorithm, state, progress, num_rows=2, until_steps=40)

    expected = types(jax.eval_shape(result, config, jax.random.key(0)))
    with fresh(jax.enable_x64(True)):
        config = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), config)
        assert types(jax.eval_shape(result, config, jax.random.key(0))) == expected


@pytest.mark.full
def test_under_x64_the_numbers_are_those_without(fresh, monkeypatch):
    """Nothing is drawn in another type, either; the world names the types of its own numbers."""

    def sign(key):
        return jnp.where(jax.random.bits(key, (1,), jnp.uint32) % 2 == 0, 1.0, -1.0).astype("f4")

    monkeypatch.setattr(probe_environments, "_random_sign", sign)
    case = ("ppo", {}, action_matches_observation)
    plain = jax.jit(run(build(case)))(jax.random.key(1))
    with fresh(jax.enable_x64(True)):
        wide = jax.jit(run(build(case)))(jax.random.key(1))
    for one, other in zip(
        jax.tree.leaves(plain.state.agent), jax.tree.leaves(wide.state.agent), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", cases("dqn-prioritized-n_step-masked"))
def test_every_key_is_used_once(case, fresh):
    """Also where runs are vmapped twice, over seeds and settings."""
    keys = jax.random.split(jax.random.key(0), (2, 2))
    with fresh(jax.debug_key_reuse(True)):
        jax.jit(jax.vmap(jax.vmap(run(build(case))))).trace(keys)


def test_a_key_that_is_used_twice_is_found(fresh):
    algorithm = build(("a2c", {}, None))

    def step(key, state):
        return algorithm.step(
            key, state._replace(steps=state.steps + jax.random.randint(key, (), 0, 2))
        )

    with fresh(jax.debug_key_reuse(True)), pytest.raises(jax.errors.KeyReuseError):
        jax.jit(run(algorithm._replace(step=step))).trace(jax.random.key(0))


@pytest.mark.full
def test_without_jit_keys_are_used_once_too(fresh):
    with fresh(jax.debug_key_reuse(True)):
        algorithm = build(("a2c", {}, None))
        key_train, key_play = jax.random.split(jax.random.key(0))
        state = train(key_train, algorithm).state
        policy = algorithm.policy(state)
        evaluate(key_play, algorithm.environment, policy, num_episodes=2)


@pytest.mark.parametrize("case", cases("td3-prioritized-n_step-normalize_observations"))
def test_arrays_of_different_rank_do_not_meet(case, fresh):
    with fresh(jax.numpy_rank_promotion("raise")):
        jax.eval_shape(run(build(case)), jax.random.key(0))


@pytest.mark.parametrize("case", cases("dqn"))
def test_a_healthy_run_passes_debug_nans(case, fresh):
    with fresh(jax.debug_nans(True)):
        algorithm = build(case)
        result = jax.jit(run(algorithm))(jax.random.key(0))
        metrics = jax.device_get(result.metrics)
    # Rows still say where there is nothing: they were not needed, or no episode ended in them.
    nothing = (metrics["steps"] < 0) | (metrics["episodes"] <= 0)
    assert (np.isneginf(metrics["episode_return"]) == nothing).all()
    assert np.isfinite(result.evaluations.returns).all()


@pytest.mark.full
def test_rows_without_an_episode_say_so_in_both_modes(fresh):
    """Three steps of a row are no episode of five; rows are rightly nan without the checker."""
    algorithm = build(("a2c", {"num_steps": 3, "num_envs": 1, "total_steps": 6}, wide_and_long))
    returns = jax.jit(run(algorithm))(jax.random.key(0)).metrics["episode_return"]
    assert np.isnan(returns).all()
    with fresh(jax.debug_nans(True)):
        returns = jax.jit(run(algorithm))(jax.random.key(0)).metrics["episode_return"]
        assert np.isneginf(returns).all()


def wide_and_long():
    return environments.time_limit(jaxrl.make_env("Pendulum-v1"), max_steps=50)


@pytest.mark.parametrize("name", leading(["ars", "ppo"]))
def test_a_diverging_run_is_stopped(name, fresh):
    """A nan of the run's own, and not one that says that something is missing."""
    environment, config = task(name)

    def step(key, state, action):
        state, timestep = environment.step(key, state, action)
        return state, timestep._replace(reward=timestep.reward * jnp.nan)

    broken = environment._replace(step=step)
    with fresh(jax.debug_nans(True)), pytest.raises(FloatingPointError):
        jax.jit(run(registry.get(name).build(broken, config)))(jax.random.key(0))


@pytest.mark.full
def test_a_run_folder_under_x64_and_debug_nans(fresh, tmp_path, monkeypatch):
    """What is missing is null there; types do not depend on the mode."""
    environment, config = task("dqn")
    monkeypatch.setattr(environments, "make_env", lambda *_, **__: environment)
    specification = runs.Specification(
        algorithm="dqn",
        environment="probe",
        settings=dataclasses.replace(config, num_steps=1),
        members=runs.make_members(range(2)),
        log_interval=1,
        evaluation_episodes=2,
        checkpoint_interval=40,
    )
    with fresh(jax.enable_x64(True)), jax.debug_nans(True):
        assert runs.start(specification, tmp_path / "run").finished
        lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        assert {row["episode_return"] is None for row in rows} == {True, False}
        assert all((row["episode_return"] is None) == (row["episodes"] == 0) for row in rows)
        evaluated = runs.evaluate_run(runs.load(tmp_path / "run"), num_episodes=3, seed=0)
        assert np.isfinite(evaluated.returns).all()


@pytest.mark.full
@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_the_command_line_under_all_modes(algorithm, tmp_path):
    modes = {
        "JAX_ENABLE_X64": "1",
        "JAX_DEBUG_NANS": "1",
        "JAX_DEBUG_KEY_REUSE": "1",
        "JAX_NUMPY_RANK_PROMOTION": "raise",
    }
    small = ["--no-preset", "--total-steps", "600", "--evaluation-episodes", "2"]
    if algorithm == "dqn":
        small += ["--random-steps", "100"]
    command = ["train", algorithm, "CartPole-v1", *small, "--out", str(tmp_path / "run")]
    subprocess.run(
        [sys.executable, "-m", "jaxrl", *command], env=os.environ | modes, check=True, timeout=600
    )
    assert runs.read_metrics(tmp_path / "run")["steps"][0, -1] >= 600

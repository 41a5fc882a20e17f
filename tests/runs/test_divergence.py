"""Runs whose numbers cease to be finite: noticed, named, stopped, and the last good state kept."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from runs import toy
from small_runs import SMALL, corridor

from jaxrl import environments, registry
from jaxrl.runs import (
    Specification,
    load,
    make_members,
    read_divergences,
    read_metrics,
    resume,
    start,
)
from jaxrl.runs.learnt import learnt_is_finite
from jaxrl.settings import validate

SEED = 3


def spoilt(environment, quantity, rarity):
    """The task, in which one reward or observation in so many is nan, by chance."""

    def step(key, state, action):
        state, time_step = environment.step(key, state, action)
        ended = time_step.terminated | time_step.truncated
        is_bad = (jax.random.bits(key) % rarity == 0) & ~ended
        value = getattr(time_step, quantity)
        return state, time_step._replace(**{quantity: jnp.where(is_bad, jnp.nan, value)})

    return environment._replace(step=step)


def poisoned(build, after_steps):
    """The algorithm, whose parameters are nan after some step, whatever it has learnt."""

    def built(environment, config):
        algorithm = build(environment, config)

        def step(key, state):
            state, row = algorithm.step(key, state)
            factor = jnp.where(row["steps"] >= after_steps, jnp.nan, 1.0)

            def spoil(path, leaf):
                names = {getattr(entry, "name", None) for entry in path}
                return leaf * factor if names & {"params", "networks", "mean"} else leaf

            return jax.tree_util.tree_map_with_path(spoil, state), row

        return algorithm._replace(step=step)

    return built


def run_of(name, way, monkeypatch, *, rarity=100, total_steps=400, **changes):
    """A run that diverges in one way, and the algorithm that it trains."""
    entry = registry.get(name)
    environment = corridor(limit=20, half_width=5, continuous=name == "sac")
    if way in ("reward", "observation"):
        environment = spoilt(environment, way, rarity)
    if way == "parameters":
        entry = dataclasses.replace(entry, build=poisoned(entry.build, 100))
        monkeypatch.setitem(registry._entries, name, entry)
    monkeypatch.setattr(environments, "make_env", lambda name: environment)
    monkeypatch.setattr(environments, "parameters_of", lambda name: {})
    settings = entry.settings(**{"total_steps": total_steps, **SMALL.get(name, {}), **changes})
    run = Specification(
        algorithm=name,
        environment="corridor",
        settings=settings,
        members=make_members([SEED]),
        log_interval=100,
        evaluation_episodes=0,
    )
    return run, entry.build(environment, settings)


def first_bad_steps(algorithm):
    """The steps before and after the first iteration that leaves parameters that are not finite."""
    key_init, key_steps, _ = jax.random.split(jax.random.key(SEED), 3)
    state, steps = algorithm.init(key_init), algorithm.first_steps
    step = jax.jit(algorithm.step)
    for iteration in range(algorithm.max_iterations):
        state, row = step(jax.random.fold_in(key_steps, iteration), state)
        if not learnt_is_finite(state):
            return steps, int(row["steps"])
        steps = int(row["steps"])
    raise AssertionError("it did not diverge")


HUGE = {"learning_rate": 3e38}
WAYS = [
    ("ppo", "reward", {}, "reward"),
    ("ppo", "observation", {}, "observation"),
    ("ppo", "loss", HUGE, "policy_loss"),
    ("ppo", "parameters", {}, "parameters"),
    ("dqn", "reward", {}, "reward"),
    ("dqn", "observation", {}, "observation"),
    ("dqn", "loss", HUGE, "value_loss"),
    ("dqn", "parameters", {}, "parameters"),
    ("sac", "reward", {}, "reward"),
    ("sac", "observation", {}, "observation"),
    ("sac", "parameters", {}, "parameters"),
    ("reinforce", "reward", {}, "reward"),
    ("reinforce", "observation", {}, "observation"),
    ("reinforce", "parameters", {}, "parameters"),
    ("cem", "parameters", {}, "parameters"),
]


@pytest.mark.parametrize(
    ("name", "way", "changes", "quantity"),
    [
        pytest.param(
            *x, id=f"{x[0]} {x[1]}", marks=() if x[:2] == WAYS[0][:2] else pytest.mark.full
        )
        for x in WAYS
    ],
)
def test_ways_to_nan(name, way, changes, quantity, tmp_path, monkeypatch, capsys):
    run, algorithm = run_of(name, way, monkeypatch, **changes)
    outcome = start(run, tmp_path / "run")
    assert not outcome.finished
    assert outcome.diverged == 1
    assert outcome.exit_code == 3
    before, after = first_bad_steps(algorithm)
    (row,) = read_divergences(tmp_path / "run")
    assert row["member"] == 0
    assert row["seed"] == SEED
    assert row["began_quantity"] == quantity
    assert row["steps"] == after
    assert row["began_after_steps"] < row["began_steps"] <= after
    if name != "dqn" and name != "sac":
        # What a replay remembers may have come long before.
        assert row["began_after_steps"] == before
    lines = capsys.readouterr().err
    assert f"seed {SEED}) diverged: " in lines
    # The last good State is kept: all in it is finite.
    last = load(tmp_path / "run")
    assert learnt_is_finite(last.state_of(0))
    assert np.max(last.progress.steps) <= before


@pytest.mark.full
@pytest.mark.parametrize("way", ["reward", "observation"])
def test_a_search_survives_candidates_whose_returns_are_nan(way, tmp_path, monkeypatch):
    run, _ = run_of("cem", way, monkeypatch)
    outcome = start(run, tmp_path / "run")
    assert outcome.finished
    assert outcome.exit_code == 0
    assert not (tmp_path / "run" / "divergences.jsonl").exists()


@pytest.mark.full
def test_what_a_normaliser_leaves_out_is_no_divergence(tmp_path, monkeypatch):
    changes = {"normalize_observations": True}
    run, _ = run_of("ppo", "observation", monkeypatch, **changes)
    assert start(run, tmp_path / "run").exit_code == 0


def test_metrics_that_are_missing_are_no_divergence(tmp_path):
    """The toy's return is nan where no episode ended."""
    assert start(toy.specification(log_interval=8), tmp_path).exit_code == 0
    returns = read_metrics(tmp_path)["episode_return"]
    assert np.isnan(returns).any()
    assert not (tmp_path / "divergences.jsonl").exists()


@pytest.fixture
def broken_toy(monkeypatch):
    """The toy, in which members of a large learning rate diverge after 40 steps."""
    entry = registry.get("toy")

    def build(environment, config):
        algorithm = entry.build(environment, config)

        def step(key, state):
            state, row = algorithm.step(key, state)
            is_bad = (config.learning_rate > 0.5) & (state.steps >= 40)
            weights = jnp.where(is_bad, jnp.nan, state.parameters["w"])
            return state._replace(parameters=state.parameters | {"w": weights}), row

        return algorithm._replace(step=step)

    monkeypatch.setitem(registry._entries, "toy", dataclasses.replace(entry, build=build))


def members_with(*rates):
    return make_members([5], settings={"learning_rate": rates})


def test_one_bad_member_does_not_stop_the_others(broken_toy, tmp_path, capsys):
    outcome = start(toy.specification(members=members_with(0.1, 1.0)), tmp_path / "both")
    assert outcome.finished
    assert (outcome.diverged, outcome.exit_code) == (1, 3)
    (row,) = read_divergences(tmp_path / "both")
    assert row == {
        "member": 1,
        "seed": 5,
        "settings.learning_rate": 1.0,
        "steps": 40,
        "began_quantity": "parameters",
        "began_after_steps": 32,
        "began_steps": 40,
    }
    text = "member 1 (seed 5, learning_rate=1) diverged: the parameters ceased to be finite"
    assert f"{text} between steps 32 and 40" in capsys.readouterr().err
    # The other ends with the bits of a run of its own kind.
    start(toy.specification(members=members_with(0.1, 0.2)), tmp_path / "good")
    both, good = (load(tmp_path / name).state_of(0) for name in ("both", "good"))
    toy.same_state(both, good)
    assert resume(tmp_path / "both").exit_code == 3


def test_a_run_without_a_good_member_ends_and_keeps_the_state_before(broken_toy, tmp_path):
    outcome = start(toy.specification(members=members_with(1.0, 2.0)), tmp_path)
    assert not outcome.finished
    assert (outcome.diverged, outcome.exit_code) == (2, 3)
    # Iterations of 8 steps, chunks of 16: the one from 32 to 48 is where it began.
    assert load(tmp_path).progress.steps == 32
    first = read_divergences(tmp_path)
    again = resume(tmp_path)
    assert (again.steps_before, again.exit_code) == (64, 3)
    assert read_divergences(tmp_path) == first


def test_continuing_all_the_same(broken_toy, tmp_path):
    run = toy.specification(members=members_with(1.0), on_divergence="continue")
    outcome = start(run, tmp_path)
    assert outcome.finished
    assert outcome.exit_code == 0
    assert [row["began_quantity"] for row in read_divergences(tmp_path)] == ["parameters"]


def test_an_unknown_way_to_take_it_is_refused():
    with pytest.raises(ValueError, match="on_divergence='ignore' must be stop or continue"):
        toy.specification(on_divergence="ignore")


def test_an_overwritten_run_takes_its_divergences_along(broken_toy, tmp_path):
    start(toy.specification(members=members_with(1.0)), tmp_path)
    assert json.loads((tmp_path / "divergences.jsonl").read_text())
    start(toy.specification(members=members_with(0.1)), tmp_path, overwrite=True)
    assert not (tmp_path / "divergences.jsonl").exists()


@pytest.mark.parametrize(
    ("value", "message"), [(1e39, "is beyond float32"), (1e-50, "is 0 in float32")]
)
def test_settings_are_numbers_in_float32_too(value, message):
    settings = registry.get("ppo").settings(learning_rate=value)
    with pytest.raises(ValueError, match=f"learning_rate={re.escape(str(value))} {message}"):
        validate(settings)


def test_environment_parameters_are_numbers_in_float32_too(monkeypatch):
    monkeypatch.undo()
    for value, message in [(1e39, "beyond float32"), (1e-50, "0 in float32")]:
        with pytest.raises(ValueError, match=f"gravity={re.escape(str(value))} is .*{message}"):
            environments.make_env("CartPole-v1", gravity=value)


def state_with(value):
    return {"search": jnp.array([value]), "worlds": {"params": jnp.array([jnp.nan])}}


@pytest.mark.parametrize(("value", "finite"), [(1.0, True), (-np.inf, True), (np.nan, False)])
def test_a_search_may_hold_infinities_and_an_environment_anything(value, finite):
    assert bool(learnt_is_finite(state_with(value))) is finite

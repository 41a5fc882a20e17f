"""The best checkpoint of each member, and runs that end before their budget."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from runs import toy

import jaxrl
from jaxrl import cli, runs
from jaxrl.runs import ExperimentError, programs
from jaxrl.runs.best import why_to_end

NUMBERS = {"keep_best": True, "evaluation_interval": 16, "evaluation_episodes": 3}


def specification(**changes):
    settings = jaxrl.PPOConfig(
        total_steps=96, num_envs=2, num_steps=8, num_minibatches=1, hidden_sizes=(4,)
    )
    return runs.Specification(
        algorithm="ppo",
        environment="CartPole-v1",
        settings=settings,
        members=runs.make_members(range(2)),
        log_interval=16,
        **{**NUMBERS, "checkpoint_minutes": None, **changes},
    )


def params_of(run):
    return [np.asarray(x) for x in jax.tree.leaves(run.states.agent.params)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("best") / "run"
    runs.start(specification(checkpoint_interval=16, keep_checkpoints=100), folder)
    return folder


def test_each_member_is_as_it_was_at_its_best(folder, tmp_path):
    rows = runs.read_evaluations(folder)
    means = rows.returns.mean(axis=2)
    places = means.argmax(axis=1)
    assert len(set(means.ravel().tolist())) > 4
    best = runs.load(folder, checkpoint="best")
    np.testing.assert_array_equal(best.progress.steps, rows.steps[[0, 1], places])
    for member, place in enumerate(places):
        # A run that ends where the member was best.
        steps = int(rows.steps[member, place])
        alone = tmp_path / f"alone-{member}"
        runs.start(specification(keep_best=False, stop_steps=steps), alone)
        for one, other in zip(params_of(best), params_of(runs.load(alone)), strict=True):
            np.testing.assert_array_equal(one[member], other[member])


def test_a_killed_run_has_the_same_best(folder, tmp_path, monkeypatch):
    class Killed(BaseException):
        """Stands for the end of the process."""

    advance, calls = programs.Programs.advance, []

    def die_at_the_fifth(*given):
        calls.append(1)
        if len(calls) == 5:
            raise Killed
        return advance(*given)

    with monkeypatch.context() as patch:
        patch.setattr(programs.Programs, "advance", die_at_the_fifth)
        with pytest.raises(Killed):
            runs.start(specification(checkpoint_interval=32), tmp_path / "run")
    runs.resume(tmp_path / "run")
    pairs = zip(
        params_of(runs.load(folder, checkpoint="best")),
        params_of(runs.load(tmp_path / "run", checkpoint="best")),
        strict=True,
    )
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)


def test_a_damaged_best_does_not_keep_the_run_from_going_on(folder, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    (manifest,) = (run / "best").rglob("manifest.json")
    manifest.write_text("{}")
    with pytest.warns(UserWarning, match="is damaged"):
        assert runs.resume(run, total_steps=112).finished
    assert "the best is sought anew from here on" in capsys.readouterr().err
    np.testing.assert_array_equal(runs.load(run, checkpoint="best").progress.steps, [112, 112])


def test_a_state_that_does_not_say_what_it_has_learnt(tmp_path, monkeypatch):
    toy.install(monkeypatch.setattr, monkeypatch.setitem)
    run = toy.specification(**NUMBERS)
    with pytest.raises(ValueError, match="keep_best=True: the State of toy says by none"):
        runs.start(run, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_evaluate_and_load_take_it(folder, capsys):
    answers = {}
    for which in ("newest", "best"):
        words = ["evaluate", str(folder), "--json", "--checkpoint", which, "--episodes", "2"]
        assert cli.main(words) == 0
        answers[which] = json.loads(capsys.readouterr().out)["returns"]
    assert answers["newest"] != answers["best"]
    policy = jaxrl.load(folder, 1, checkpoint="best")
    expected = [leaf[1] for leaf in params_of(runs.load(folder, checkpoint="best"))]
    for leaf, wanted in zip(jax.tree.leaves(policy.state.agent.params), expected, strict=True):
        np.testing.assert_array_equal(leaf, wanted)
    with pytest.raises(ValueError, match="checkpoint='oldest' must be newest or best"):
        runs.load(folder, checkpoint="oldest")


def test_a_run_without_one(tmp_path):
    runs.start(specification(keep_best=False, stop_steps=16), tmp_path / "run")
    with pytest.raises(ExperimentError, match="keeps no best checkpoint: train with --keep-best"):
        runs.load(tmp_path / "run", checkpoint="best")


@pytest.mark.parametrize("changes", [{"stop_at_return": -1e9}, {"stop_on_plateau": 1}])
def test_a_run_that_ends_early_is_finished(tmp_path, changes, capsys):
    folder = tmp_path / "run"
    outcome = runs.start(specification(keep_best=False, **changes), folder)
    assert outcome.finished
    assert outcome.exit_code == 0
    assert 32 <= outcome.steps < 2 * 96
    assert "ended early" in capsys.readouterr().err
    again = runs.resume(folder)
    assert again.finished
    assert again.steps == outcome.steps


@pytest.mark.parametrize(
    ("returns", "rules", "ends"),
    [
        ([], {"stop_at_return": 0.0}, False),
        ([1.0, 2.0], {"stop_at_return": 2.0}, True),
        ([3.0, 1.0], {"stop_at_return": 2.0}, False),
        ([np.nan], {"stop_at_return": -1e9}, False),
        ([1.0, 2.0, 2.0], {"stop_on_plateau": 2}, False),
        ([1.0, 2.0, 2.0, 1.0], {"stop_on_plateau": 2}, True),
        ([1.0, 2.0, 1.0, 3.0], {"stop_on_plateau": 2}, False),
        ([np.nan, np.nan, np.nan], {"stop_on_plateau": 2}, True),
    ],
)
def test_when_to_end(returns, rules, ends):
    rules = {"stop_at_return": None, "stop_on_plateau": None, **rules}
    assert (why_to_end(returns, **rules) is not None) == ends


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluation_interval": None}, "keep_best=True needs evaluation_interval"),
        ({"evaluation_episodes": 0}, "keep_best=True needs evaluation_interval"),
        ({"stop_at_return": float("nan")}, "stop_at_return=nan must be a finite number"),
        ({"stop_on_plateau": 0}, "stop_on_plateau=0 must be at least 1"),
        (
            {"keep_best": False, "stop_at_return": 1.0, "evaluation_interval": None},
            "stop_at_return=1.0 needs evaluation_interval",
        ),
    ],
)
def test_what_would_do_nothing(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(specification(), **changes)

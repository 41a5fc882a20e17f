"""A sweep from beginning to end: every agent equals its solo run, and stopping changes nothing."""

import dataclasses
import itertools
import json
import shutil

import jax
import numpy as np
import pytest
from runs import toy
from tiers import leading

from jaxrl import runs, sweeps
from jaxrl.sweeps import compiled_groups, execution
from jaxrl.sweeps.results import collect

SPACE = {"learning_rate": [0.1, 0.2, 0.4], "sizes": [(2, 3), (4, 3)], "env.wind": [0.0, 2.0]}


def make(space=SPACE, *, seeds=2, varies=False, total_steps=80, **options):
    base = toy.specification(
        total_steps=total_steps,
        varies=varies,
        members=runs.make_members(range(seeds)),
        evaluation_episodes=3,
        checkpoint_minutes=None,
    )
    return sweeps.make_sweep(base, space, sampler="grid", **options)


def table(folder):
    return (folder / "trials.jsonl").read_text()


def test_every_trial_equals_a_run_of_its_own(tmp_path):
    sweep = make()
    outcome = sweeps.start(sweep, tmp_path / "sweep")
    assert outcome.finished
    assert outcome.exit_code == 0
    rows = [json.loads(line) for line in table(tmp_path / "sweep").splitlines()]
    assert [row["status"] for row in rows] == ["complete"] * 12
    for trial in (0, 7):
        settings, parameters = sweeps.split_trial(sweep.trials[trial])
        alone = dataclasses.replace(
            sweep.base,
            settings=dataclasses.replace(sweep.base.settings, **settings),
            environment_parameters=parameters,
        )
        runs.start(alone, tmp_path / f"alone-{trial}")
        returns = runs.read_evaluations(tmp_path / f"alone-{trial}").returns[:, -1].mean(axis=1)
        assert rows[trial]["returns"] == pytest.approx(returns, rel=1e-5)
        assert rows[trial]["mean"] == pytest.approx(returns.mean(), rel=1e-5)


def test_one_trace_for_all_blocks_of_a_group(tmp_path, monkeypatch):
    prepared = []
    prepare = runs.prepare
    monkeypatch.setattr(
        runs, "prepare", lambda specification: prepared.append(1) or prepare(specification)
    )
    monkeypatch.setattr(compiled_groups, "split_evenly", lambda count, most: [2] * (count // 2))
    sweep = make()
    sweeps.start(sweep, tmp_path / "sweep")
    assert len(prepared) == 2
    assert len(collect(tmp_path / "sweep")) == 6


def test_blocks_are_as_wide_as_memory_allows(tmp_path):
    sweep = make({"learning_rate": [0.01 * (i + 1) for i in range(12)]})
    (group,) = sweeps.plan(sweep)
    whole = compiled_groups.fit(group, sweep.seeds, None, memory=2**30)
    assert [len(block) for block in whole.blocks] == [12]
    need = whole.programs.memory(group.trials)
    cut = compiled_groups.fit(group, sweep.seeds, None, memory=need - 1)
    sizes = [len(block) for block in cut.blocks]
    assert 1 < len(sizes) < 12
    assert cut.programs.memory(cut.blocks[0]) <= need - 1
    assert sorted(itertools.chain(*cut.blocks)) == list(group.trials)
    with pytest.raises(ValueError, match="one trial with 2 seeds needs"):
        compiled_groups.fit(group, sweep.seeds, None, memory=1)
    # All the same, the other groups of a sweep go on.
    outcome = sweeps.start(dataclasses.replace(sweep, memory=1), tmp_path / "sweep")
    assert outcome.exit_code == 1
    assert "more memory" in outcome.failed[0]
    rows = [json.loads(line) for line in table(tmp_path / "sweep").splitlines()]
    assert {row["status"] for row in rows} == {"failed"}


@pytest.mark.parametrize("varies", leading([True, False], 1))
def test_halving_keeps_the_best_and_their_state(tmp_path, varies):
    sweep = make(halving=3, rungs=2, varies=varies)
    assert sweep.stops == (26, None)
    folder = tmp_path / "sweep"
    sweeps.start(sweep, folder)
    first = {}
    for result in collect(folder, rung=0).values():
        first |= dict(zip(result.trials, result.scores(), strict=True))
    kept = sorted(first, key=lambda trial: -first[trial])[:4]
    rows = [json.loads(line) for line in table(folder).splitlines()]
    assert {row["trial"] for row in rows if row["status"] == "complete"} == set(kept)
    assert sum(row["status"] == "stopped" for row in rows) == 8
    # A trial that went on ends as one that was never stopped.
    whole = make(varies=varies)
    sweeps.start(whole, tmp_path / "whole")
    through = [json.loads(line) for line in table(tmp_path / "whole").splitlines()]
    for trial in kept:
        np.testing.assert_allclose(rows[trial]["returns"], through[trial]["returns"], rtol=1e-5)


class Killed(BaseException):
    """Stands for the end of the process: nothing that tidies up hears it."""


@pytest.mark.parametrize("after", leading([3, 1, 2, 4, 5, 6], 1))
def test_a_sweep_that_was_killed_goes_on_to_the_same_table(tmp_path, monkeypatch, after):
    space = {"learning_rate": [0.1, 0.2, 0.4, 0.8]}
    sweep = make(space, halving=2, rungs=2, validation_seeds=2)
    whole = _whole_sweep(tmp_path.parent / "whole", sweep)
    count = itertools.count(1)

    def dying(write):
        def write_or_die(*arguments, **options):
            if next(count) == after:
                raise Killed
            return write(*arguments, **options)

        return write_or_die

    with monkeypatch.context() as patch:
        patch.setattr(execution, "write_block", dying(execution.write_block))
        patch.setattr(execution, "carry_out", dying(execution.carry_out))
        with pytest.raises(Killed):
            sweeps.start(sweep, tmp_path / "sweep")
    outcome = sweeps.resume(tmp_path / "sweep")
    assert outcome.finished
    assert table(tmp_path / "sweep") == table(whole)
    for name in ("validation", "blocks/rung1-group000-000"):
        toy.same_state(runs.load(tmp_path / "sweep" / name).states, runs.load(whole / name).states)
    again = sweeps.resume(tmp_path / "sweep")
    assert again.finished
    assert again.run_seconds == 0


def _whole_sweep(folder, sweep):
    if not folder.exists():
        sweeps.start(sweep, folder)
    return folder


def test_the_best_trial_is_trained_again_with_fresh_seeds(tmp_path):
    sweep = make({"env.wind": [0.0, 5.0, 1.0]}, validation_seeds=3)
    folder = tmp_path / "sweep"
    sweeps.start(sweep, folder)
    result = sweeps.read_block(folder, sweeps.VALIDATION)
    assert result.trials == (1,)
    assert [member.seed for member in runs.read_specification(folder / "validation").members] == [
        2,
        3,
        4,
    ]
    assert len(result.returns[0]) == 3


def test_a_member_that_diverges_is_marked_and_disturbs_nobody(tmp_path):
    # A rate whose noise overflows: its weights are infinite, and its losses.
    sweep = make({"learning_rate": [0.1, 3e38]}, total_steps=160)
    sweeps.start(sweep, tmp_path / "sweep")
    rows = [json.loads(line) for line in table(tmp_path / "sweep").splitlines()]
    assert [row["status"] for row in rows] == ["complete", "diverged"]
    assert rows[0]["mean"] is not None
    assert rows[1]["mean"] is None


def test_a_group_that_cannot_be_compiled_does_not_end_the_sweep(tmp_path, monkeypatch):
    fit = execution.fit

    def failing(group, *arguments, **options):
        if group.base.settings.sizes == (2, 3):
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED:\nout of memory")
        return fit(group, *arguments, **options)

    monkeypatch.setattr(execution, "fit", failing)
    outcome = sweeps.start(make(), tmp_path / "sweep")
    assert outcome.finished
    assert outcome.exit_code == 1
    assert outcome.failed == ("group 1 of 2: RESOURCE_EXHAUSTED: out of memory",)
    rows = [json.loads(line) for line in table(tmp_path / "sweep").splitlines()]
    assert [row["status"] for row in rows].count("failed") == 6
    assert [row["status"] for row in rows].count("complete") == 6


def test_folders(tmp_path):
    sweep = make({"env.wind": [0.0, 1.0]})
    folder = tmp_path / "sweep"
    sweeps.start(sweep, folder)
    assert sweeps.read_sweep(folder) == sweep
    with pytest.raises(runs.ExperimentError, match="already holds a sweep"):
        sweeps.start(sweep, folder)
    sweeps.start(sweep, folder, overwrite=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("precious")
    with pytest.raises(runs.ExperimentError, match="is not a run"):
        sweeps.start(sweep, tmp_path / "other", overwrite=True)
    with pytest.raises(runs.ExperimentError, match="is not a sweep"):
        sweeps.resume(tmp_path / "other")


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"base": 1, "space": {}, "trials": []}', "nonsense"]
)
def test_damaged_sweeps(tmp_path, text):
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(runs.ExperimentError, match="cannot be used"):
        sweeps.read_sweep(tmp_path)


def statuses(folder):
    return [json.loads(line)["status"] for line in table(folder).splitlines()]


def test_members_with_fewer_rows_have_not_diverged(tmp_path):
    sweep = make({"learning_rate": [0.1, 0.2, 0.3]}, seeds=3, varies=True, total_steps=100)
    sweeps.start(sweep, tmp_path / "sweep")
    (name,) = collect(tmp_path / "sweep")
    steps = runs.read_metrics(tmp_path / "sweep" / "blocks" / name)["steps"]
    assert np.isnan(steps[:, -1]).any()
    assert statuses(tmp_path / "sweep") == ["complete"] * 3


def failing(monkeypatch, *sizes):
    """Lets the groups with these sizes fail to compile; returns how often one was tried."""
    fit, tried = execution.fit, []

    def fail(group, *arguments, **options):
        tried.append(group.base.settings.sizes)
        if group.base.settings.sizes in sizes:
            raise jax.errors.JaxRuntimeError("no memory")
        return fit(group, *arguments, **options)

    monkeypatch.setattr(execution, "fit", fail)
    return tried


def test_what_failed_does_not_go_on_after_a_rung_and_is_not_tried_again(tmp_path, monkeypatch):
    tried = failing(monkeypatch, (2, 3), (5, 3))
    space = {"learning_rate": [0.1, 0.2], "sizes": [(2, 3), (4, 3), (5, 3)]}
    outcome = sweeps.start(make(space, halving=2, rungs=2), tmp_path / "sweep")
    assert outcome.exit_code == 1
    before = table(tmp_path / "sweep")
    assert statuses(tmp_path / "sweep") == 2 * ["failed", "complete", "failed"]
    # Half of six may go on, and only two have something to go on with.
    assert tried == [(2, 3), (4, 3), (5, 3), (4, 3)]
    again = sweeps.resume(tmp_path / "sweep")
    assert again.failed == outcome.failed
    assert table(tmp_path / "sweep") == before
    assert len(tried) == 4


def test_a_sweep_of_which_everything_failed_ends(tmp_path, monkeypatch):
    failing(monkeypatch, (2, 3))
    sweep = make({"learning_rate": [0.1, 0.2]}, halving=2, rungs=2, validation_seeds=2)
    assert sweeps.start(sweep, tmp_path / "sweep").exit_code == 1
    assert statuses(tmp_path / "sweep") == ["failed"] * 2


def test_rungs_may_end_in_the_same_iteration(tmp_path):
    # An iteration takes 8 steps; the rungs end at 4, 8 and 16.
    sweep = make({"learning_rate": [0.1, 0.2, 0.3, 0.4]}, total_steps=16, halving=2, rungs=3)
    sweeps.start(sweep, tmp_path / "sweep")
    assert sorted(statuses(tmp_path / "sweep")) == ["complete", "stopped", "stopped", "stopped"]
    results = collect(tmp_path / "sweep")
    assert [result.steps for result in results.values()] == [8, 8, 16]


def test_ctrl_c_in_the_last_chunk_of_a_block_stops_the_sweep(tmp_path, monkeypatch):
    carry_out = execution.carry_out

    def interrupted(*arguments, **options):
        return dataclasses.replace(carry_out(*arguments, **options), interrupted=True)

    sweep = make({"sizes": [(2, 3), (4, 3)]})
    with monkeypatch.context() as patch:
        patch.setattr(execution, "carry_out", interrupted)
        outcome = sweeps.start(sweep, tmp_path / "sweep")
    assert outcome.exit_code == 130
    assert statuses(tmp_path / "sweep") == ["complete", "waiting"]
    assert sweeps.resume(tmp_path / "sweep").exit_code == 0
    assert statuses(tmp_path / "sweep") == ["complete", "complete"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return tmp_path_factory.mktemp("finished") / "sweep"


def _finished_copy(finished, folder):
    if not finished.exists():
        sweeps.start(make({"learning_rate": [0.1, 0.2]}, validation_seeds=2), finished)
    shutil.copytree(finished, folder)
    return folder


@pytest.mark.parametrize("text", ["", "{}", "null", "[[99]]", "[[0]]", "[[0, 0], [1]]", "[0, 1]"])
def test_damaged_cuts(tmp_path, finished, text):
    folder = _finished_copy(finished, tmp_path / "sweep")
    (folder / "blocks" / "rung0-group000.json").write_text(text)
    with pytest.raises(runs.ExperimentError, match=r"rung0-group000.json cannot be used"):
        sweeps.resume(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rung", "0"),
        ("rung", 7),
        ("steps", None),
        ("trials", []),
        ("trials", [7, 8]),
        ("trials", [0, 0]),
        ("trials", [0, True]),
        ("returns", [[], []]),
        ("returns", [[1.0, 2.0], [1.0]]),
        ("returns", [["a", 1.0], [1.0, 1.0]]),
        ("returns", None),
        ("diverged", ["a", "b"]),
        ("diverged", [False]),
        ("reason", 3),
    ],
)
def test_damaged_results(tmp_path, finished, field, value):
    folder = _finished_copy(finished, tmp_path / "sweep")
    path = folder / "blocks" / "rung0-group000-000-result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(runs.ExperimentError, match=r"cannot be used|of another sweep"):
        sweeps.trial_rows(sweeps.read_sweep(folder), folder)


def test_overwriting_removes_the_earlier_validation(tmp_path, finished):
    folder = _finished_copy(finished, tmp_path / "sweep")
    assert sweeps.read_block(folder, sweeps.VALIDATION) is not None
    sweeps.start(
        make({"learning_rate": [np.float32(0.1), np.float32(0.2)]}), folder, overwrite=True
    )
    assert sweeps.read_block(folder, sweeps.VALIDATION) is None
    assert statuses(folder) == ["complete"] * 2


def test_a_group_has_no_more_members_side_by_side_than_a_run(monkeypatch):
    monkeypatch.setattr(compiled_groups, "MOST_MEMBERS", 6)
    sweep = make({"learning_rate": [0.1, 0.2, 0.3, 0.4]})
    (group,) = sweeps.plan(sweep)
    fitted = compiled_groups.fit(group, sweep.seeds, None, memory=2**30)
    assert [len(block) for block in fitted.blocks] == [2, 2]


def test_a_number_that_may_be_none_is_a_group_of_its_own():
    groups = sweeps.plan(make({"bound": [None, 0.5, 1.0]}))
    assert [group.trials for group in groups] == [(0,), (1, 2)]
    assert groups[0].base.settings.bound is None

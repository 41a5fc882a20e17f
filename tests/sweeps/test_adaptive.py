"""A sweep with an adaptive sampler: batches, what its study is told, and what a kill changes."""

import dataclasses
import itertools
import json
import math
import types

import jax
import numpy as np
import pytest
from runs import toy
from tiers import leading

from jaxrl import runs, sweeps
from jaxrl.sweeps import batches, compiled_groups, execution, uniform
from jaxrl.sweeps.dealing import Deal
from jaxrl.sweeps.processes import alone

optuna = pytest.importorskip("optuna")

# The toy's return is three times the wind, and a little noise.
SPACE = {"learning_rate": uniform(0.05, 0.2), "env.wind": uniform(0.0, 2.0)}


def make(space=SPACE, *, trials=16, batch=4, total_steps=80, sampler="tpe", **options):
    base = toy.specification(
        total_steps=total_steps,
        members=runs.make_members(range(2)),
        evaluation_episodes=3,
        checkpoint_minutes=None,
    )
    return sweeps.make_sweep(base, space, sampler=sampler, trials=trials, batch=batch, **options)


def rows_of(folder):
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def trials_of(folder):
    return trials_in(folder / "study.log")


def trials_in(path):
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    storage = optuna.storages.JournalStorage(backend)
    return optuna.load_study(study_name="toy-toy", storage=storage).trials


def count_calls(monkeypatch, owner, name):
    calls, function = [], getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *given: calls.append(given) or function(*given))
    return calls


@pytest.mark.full
def test_batches_train_side_by_side_in_one_program_and_their_study_hears_of_all(
    tmp_path, monkeypatch
):
    prepared = count_calls(monkeypatch, runs, "prepare")
    sweep = make(trials=14, validation_seeds=2)
    folder = tmp_path / "sweep"
    outcome = sweeps.start(sweep, folder)
    assert outcome.finished
    assert outcome.exit_code == 0
    rows = rows_of(folder)
    assert [row["status"] for row in rows] == ["complete"] * 14
    # Three batches of four and one of two, and the validation.
    assert len(list((folder / "blocks").glob("*-result.json"))) == 4
    assert len(prepared) == 3
    trials = trials_of(folder)
    assert [trial.value for trial in trials] == [row["mean"] for row in rows]
    assert [trial.params for trial in trials] == [row["values"] for row in rows]
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    assert sweeps.read_sweep(folder).study.numbers == tuple(range(14))
    best = max(rows, key=lambda row: row["mean"])["trial"]
    assert sweeps.read_block(folder, sweeps.VALIDATION).trials == (best,)
    assert outcome.trials[0]["trial"] == best
    # Each trial is what it would be in a run of its own.
    settings, parameters = sweeps.split_trial(rows[13]["values"])
    alone = dataclasses.replace(
        sweep.base,
        settings=dataclasses.replace(sweep.base.settings, **settings),
        environment_parameters=parameters,
    )
    runs.start(alone, tmp_path / "alone")
    returns = runs.read_evaluations(tmp_path / "alone").returns[:, -1].mean(axis=1)
    assert rows[13]["returns"] == pytest.approx(returns, rel=1e-5)


class Killed(BaseException):
    """Stands for the end of the process: nothing that tidies up hears it."""


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    return tmp_path_factory.mktemp("whole")


def instant(monkeypatch):
    """Lets blocks end at once: the score is higher the nearer the wind is to 1."""

    class Programs:
        compile_seconds = 0.0

        def of(self, trials):
            return trials, None

    def result_of_run(folder, trials, num_seeds, *, rung):
        drawn = sweeps.read_sweep(folder.parent.parent).trials
        return sweeps.BlockResult(
            trials=tuple(trials),
            rung=rung,
            steps=40 * (rung + 1),
            returns=tuple((-abs(drawn[trial]["env.wind"] - 1.0),) * num_seeds for trial in trials),
            diverged=tuple(drawn[trial]["learning_rate"] > 0.19 for trial in trials),
        )

    def fit(group, *arguments, **options):
        if group.trials[0] == 4:
            raise ValueError("no memory")
        return compiled_groups.Fitted(group, (group.trials,), Programs())

    ended = types.SimpleNamespace(finished=True, interrupted=False, run_seconds=1.0)
    monkeypatch.setattr(execution, "fit", fit)
    monkeypatch.setattr(execution, "GroupPrograms", lambda *arguments: Programs())
    monkeypatch.setattr(execution, "carry_out", lambda *arguments, **options: ended)
    monkeypatch.setattr(execution, "result_of_run", result_of_run)
    monkeypatch.setattr(execution._Execution, "_first_checkpoint", lambda *arguments: None)


@pytest.mark.parametrize("training", leading(["instant", "real"], 1))
@pytest.mark.parametrize("after", leading([17, 1, 3, 2, 4, 7, 11, 15, 16, 18, 20], 3))
def test_a_sweep_that_was_killed_goes_on_to_the_same_table(
    tmp_path, monkeypatch, parent, training, after
):
    # The sampler adapts from the tenth trial on that has not failed.
    trials, validation_seeds = (20, 0) if training == "instant" else (16, 2)
    sweep = make(trials=trials, halving=2, rungs=2, validation_seeds=validation_seeds)
    if training == "instant":
        instant(monkeypatch)
    whole = parent / training
    if not whole.exists():
        sweeps.start(sweep, whole)
    count = itertools.count(1)

    def dying(function):
        def call_or_die(*arguments, **options):
            if next(count) == after:
                raise Killed
            return function(*arguments, **options)

        return call_or_die

    with monkeypatch.context() as patch:
        for name in ("write_block", "carry_out", "write_trials_down", "answers"):
            patch.setattr(execution, name, dying(getattr(execution, name)))
        with pytest.raises(Killed):
            sweeps.start(sweep, tmp_path / "sweep")
    assert sweeps.resume(tmp_path / "sweep").finished
    assert rows_of(tmp_path / "sweep") == rows_of(whole)
    found, expected = trials_of(tmp_path / "sweep"), trials_of(whole)
    assert [(x.state, x.value, x.params) for x in found] == [
        (x.state, x.value, x.params) for x in expected
    ]
    before = (tmp_path / "sweep" / "sweep.json").read_bytes()
    again = sweeps.resume(tmp_path / "sweep")
    assert again.run_seconds == 0
    assert (tmp_path / "sweep" / "sweep.json").read_bytes() == before
    told = {
        "complete": "COMPLETE",
        "stopped": "PRUNED",
        "diverged": "PRUNED",
        "failed": "FAIL",
    }
    states = [told[row["status"]] for row in rows_of(whole)]
    assert [x.state.name for x in found] == states
    assert [x.value for x in found] == [row["mean"] for row in rows_of(whole)]
    if training == "instant":
        # The second batch could not be compiled; eight of the others went on.
        assert states[4:8] == ["FAIL"] * 4
        assert {"COMPLETE", "PRUNED"} == {*states[:4], *states[8:]}


@pytest.mark.full
def test_every_batch_is_halved_on_its_own(tmp_path):
    sweep = make(trials=8, halving=2, rungs=2)
    sweeps.start(sweep, tmp_path / "sweep")
    rows, trials = rows_of(tmp_path / "sweep"), trials_of(tmp_path / "sweep")
    for batch in (rows[:4], rows[4:]):
        assert sorted(row["status"] for row in batch) == ["complete"] * 2 + ["stopped"] * 2
    for row, trial in zip(rows, trials, strict=True):
        # The toy takes eight steps at a time.
        assert list(trial.intermediate_values) == [40, 80][: row["rung"] + 1]
        assert trial.value == row["mean"]
        assert trial.state.name == ("COMPLETE" if row["status"] == "complete" else "PRUNED")


@pytest.mark.full
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_trials_below_the_median_end(tmp_path, sampler):
    options = {} if sampler == "tpe" else {"batch": None}
    sweep = make(trials=7, median_stopping=True, sampler=sampler, **{"batch": 7, **options})
    assert sweep.stops == (26, 53, None)
    folder = tmp_path / "sweep"
    sweeps.start(sweep, folder)
    alive = set(range(7))
    for rung in range(2):
        scores = {}
        for result in sweeps.collect(folder, rung=rung).values():
            scores |= dict(zip(result.trials, result.scores(), strict=True))
        assert scores.keys() == alive
        middle = sorted(scores.values())[len(scores) // 2 if len(scores) % 2 else 0]
        if len(scores) % 2 == 0:
            middle = float(np.median(list(scores.values())))
        alive = {trial for trial, score in scores.items() if score >= middle}
        # 7, then the upper 4, then the upper 2.
        assert len(alive) == [4, 2][rung]
    rows = rows_of(folder)
    assert {row["trial"] for row in rows if row["status"] == "complete"} == alive
    assert [row["status"] for row in rows].count("stopped") == 5


@pytest.mark.parametrize(
    ("scores", "alive"),
    [
        # An odd number has a trial in its middle, which goes on.
        ([5.0, 1.0, 3.0, 2.0, 4.0], [0, 2, 4]),
        ([4.0, 1.0, 3.0, 2.0], [0, 2]),
        ([1.0, 1.0, 1.0], [0, 1, 2]),
        ([1.0, 1.0, None, None], [0, 1]),
        ([2.0, None, 1.0], [0]),
        ([None], []),
    ],
)
def test_trials_whose_score_is_below_the_median_of_those_alive_end(
    tmp_path, monkeypatch, scores, alive
):
    count = len(scores)
    result = sweeps.BlockResult(
        trials=tuple(range(count + 1)),
        rung=0,
        steps=40,
        # The last one is of another batch.
        returns=(*((score, score) for score in scores), (99.0, 99.0)),
        diverged=(False,) * (count + 1),
    )
    monkeypatch.setattr(execution, "collect", lambda folder, rung: {"x": result})
    sweep = make(trials=count + 1, batch=None, sampler="random", median_stopping=True, rungs=2)
    with alone(tmp_path) as processes:
        work = execution._Execution(
            sweep, tmp_path, sweeps.plan(sweep), processes, Deal((), (), {})
        )
    assert work._survivors(0, range(count)) == alive


@pytest.mark.full
def test_what_diverged_is_told_as_pruned_without_a_score(tmp_path):
    # A rate whose noise overflows: its weights are infinite, and its losses.
    sweep = make(
        {"learning_rate": [0.1, 3e38], "env.wind": uniform(0.0, 2.0)}, trials=8, total_steps=160
    )
    sweeps.start(sweep, tmp_path / "sweep")
    rows, trials = rows_of(tmp_path / "sweep"), trials_of(tmp_path / "sweep")
    assert {row["status"] for row in rows} == {"complete", "diverged"}
    for row, trial in zip(rows, trials, strict=True):
        pruned = row["status"] == "diverged"
        assert trial.state.name == ("PRUNED" if pruned else "COMPLETE")
        assert trial.value == row["mean"]


@pytest.mark.full
def test_what_cannot_be_compiled_is_told_as_failed_and_not_tried_again(tmp_path, monkeypatch):
    fit = execution.fit

    def failing(group, *arguments, **options):
        if group.base.settings.sizes == (2, 3):
            raise jax.errors.JaxRuntimeError("no memory")
        return fit(group, *arguments, **options)

    monkeypatch.setattr(execution, "fit", failing)
    space = {"sizes": [(2, 3), (4, 3)], "env.wind": uniform(0.0, 2.0)}
    outcome = sweeps.start(make(space, trials=8), tmp_path / "sweep")
    assert outcome.finished
    assert outcome.exit_code == 1
    rows, trials = rows_of(tmp_path / "sweep"), trials_of(tmp_path / "sweep")
    names = {"complete": "COMPLETE", "failed": "FAIL"}
    assert [names[row["status"]] for row in rows] == [trial.state.name for trial in trials]
    assert {row["status"] for row in rows} == {"complete", "failed"}
    assert sweeps.resume(tmp_path / "sweep").failed == outcome.failed
    assert rows_of(tmp_path / "sweep") == rows


@pytest.mark.full
def test_a_trial_whose_settings_do_not_go_together_has_failed(tmp_path, monkeypatch):
    check = execution._check_group

    def picky(group, sweep, prefix):
        if sweep.study is not None and 2 in group.trials:
            raise ValueError("sizes and rate do not go together")
        check(group, sweep, prefix)

    monkeypatch.setattr(execution, "_check_group", picky)
    outcome = sweeps.start(make(trials=8), tmp_path / "sweep")
    assert outcome.failed == ("sizes and rate do not go together",)
    rows = rows_of(tmp_path / "sweep")
    assert [row["status"] for row in rows] == ["complete"] * 2 + ["failed"] + ["complete"] * 5
    assert trials_of(tmp_path / "sweep")[2].state.name == "FAIL"
    monkeypatch.setattr(execution, "_check_group", check)
    # Others were asked for by what it came to: it stays so.
    assert sweeps.resume(tmp_path / "sweep").failed == outcome.failed


def test_probes_have_every_list_with_both_ends_of_the_ranges():
    space = {"sizes": [(2, 3), (4, 3)], "learning_rate": uniform(0.1, 0.2)}
    found = [(trial["sizes"], trial["learning_rate"]) for trial in batches.probes(make(space))]
    assert sorted(found) == sorted(itertools.product([(2, 3), (4, 3)], [0.1, 0.2]))
    many = {"learning_rate": [0.1 * (i + 1) for i in range(20)], "bound": [None, 1.0, 2.0, 3.0]}
    assert len(batches.probes(make(many))) == 64


@pytest.mark.full
def test_a_sweep_as_data(tmp_path):
    sweep = make()
    sweep = batches.with_trials(sweep, [])
    folder = tmp_path / "sweep"
    sweeps.start(make(trials=4, storage=str(tmp_path / "x.log")), folder)
    found = sweeps.read_sweep(folder)
    assert len(found.trials) == 4
    assert found.study.storage == str(tmp_path / "x.log")
    assert not (folder / "study.log").exists()
    data = json.loads((folder / "sweep.json").read_text())
    assert "provenance" in data
    for change in ({"study": 1}, {"study": None}, {"sampler": "random"}, {"trials": []}):
        (folder / "sweep.json").write_text(json.dumps(data | change))
        with pytest.raises(runs.ExperimentError, match="cannot be used"):
            sweeps.read_sweep(folder)


@pytest.mark.full
def test_overwriting_begins_a_new_study_and_ends_the_trials_of_the_old(tmp_path, monkeypatch):
    folder = tmp_path / "sweep"
    sweeps.start(make(trials=4), folder)
    sweeps.start(make(trials=8), folder, overwrite=True)
    assert len(trials_of(folder)) == 8
    storage = str(tmp_path / "shared.log")
    with monkeypatch.context() as patch:
        patch.setattr(execution, "carry_out", lambda *arguments, **options: math.nan / 0)
        with pytest.raises(ZeroDivisionError):
            sweeps.start(make(trials=4, storage=storage), folder, overwrite=True)
    sweeps.start(make(trials=4, storage=storage), folder, overwrite=True)
    assert [trial.state.name for trial in trials_in(storage)] == ["FAIL"] * 4 + ["COMPLETE"] * 4
    assert sweeps.read_sweep(folder).study.numbers == (4, 5, 6, 7)

"""Trials asked of an Optuna study: what it is given, what comes back, and what is never lost."""

import importlib.util

import numpy as np
import pytest
from runs import toy
from tiers import leading

from jaxrl import runs, sweeps
from jaxrl.sweeps import choice, integers, log_uniform, studies, uniform

optuna = pytest.importorskip("optuna")
pytest.importorskip("cmaes")

from optuna.distributions import (  # noqa: E402
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState  # noqa: E402

from jaxrl.sweeps import asking  # noqa: E402
from jaxrl.sweeps.asking import Answer, OpenStudy  # noqa: E402
from jaxrl.sweeps.optuna_distributions import (  # noqa: E402
    distribution_of,
    parameter_of,
    value_of,
)

PLANE = {"learning_rate": uniform(0.0, 1.0), "env.wind": uniform(0.0, 1.0)}


def make(space=PLANE, *, sampler="tpe", trials=40, batch=8, **options):
    base = toy.specification(total_steps=80, members=runs.make_members(range(2)))
    return sweeps.make_sweep(base, space, sampler=sampler, trials=trials, batch=batch, **options)


def opened(sweep, folder):
    folder.mkdir(exist_ok=True)
    return OpenStudy(sweep, sweep.study, folder)


def load(folder, name="toy-toy"):
    backend = optuna.storages.journal.JournalFileBackend(str(folder / "study.log"))
    return optuna.load_study(study_name=name, storage=optuna.storages.JournalStorage(backend))


MAPPED = [
    (uniform(0.8, 1.0), FloatDistribution(0.8, 1.0)),
    (log_uniform(1e-4, 1e-2), FloatDistribution(1e-4, 1e-2, log=True)),
    (integers(1, 10), IntDistribution(1, 10)),
    (integers(1, 1024, log=True), IntDistribution(1, 1024, log=True)),
    (uniform(0.8, 1.0).points(5), FloatDistribution(0.8, 1.0, step=0.05)),
    (choice(0.3, 0.1, 0.2), FloatDistribution(0.1, 0.3, step=0.1)),
    (choice(10, 30, 20), IntDistribution(10, 30, step=10)),
    (choice(0, 0.5, 1), FloatDistribution(0.0, 1.0, step=0.5)),
    (choice(16, 32, 64), CategoricalDistribution((16, 32, 64))),
    # Thirds cannot be written in decimals.
    (uniform(0.0, 1.0).points(4), CategoricalDistribution((0.0, 1 / 3, 2 / 3, 1.0))),
    (choice("tanh", "relu"), CategoricalDistribution(("tanh", "relu"))),
    (choice(True, False), CategoricalDistribution((True, False))),
    (choice(None, 0.5), CategoricalDistribution((None, 0.5))),
    (choice((64, 64), (32,), ()), CategoricalDistribution(("64x64", "32", "none"))),
    (choice(7), CategoricalDistribution((7,))),
    # Optuna cannot tell these apart by themselves.
    (choice(1, True), CategoricalDistribution(("1", "true"))),
]


@pytest.mark.parametrize(("values", "expected"), MAPPED, ids=[str(own) for own, _ in MAPPED])
def test_distributions_map_exactly(values, expected):
    found = distribution_of(values)
    assert found == expected
    assert type(found) is type(expected)
    # As a storage keeps it.
    text = optuna.distributions.distribution_to_json(found)
    assert optuna.distributions.json_to_distribution(text) == found
    if isinstance(values, sweeps.Choice):
        for value in values.values:
            parameter = parameter_of(values, value)
            assert found._contains(found.to_internal_repr(parameter))
            back = value_of(values, parameter)
            assert back == value
            assert type(back) is type(value)


def test_every_value_that_is_drawn_is_one_of_the_space(tmp_path):
    space = {
        "learning_rate": uniform(0.1, 0.5).points(5),
        "bound": choice(None, 0.5),
        "sizes": choice((2, 3), (4, 5)),
        "env.limit": integers(2, 5),
        "env.wind": log_uniform(0.1, 1.0),
    }
    asked = opened(make(space), tmp_path).ask(16, ())
    for name, values in space.items():
        drawn = [trial.values[name] for trial in asked]
        if isinstance(values, sweeps.Choice):
            assert set(drawn) == set(values.values)
        else:
            assert all(values.low <= value <= values.high for value in drawn)
            assert {type(value) for value in drawn} == {int if values.whole else float}


def distance(values):
    return float(np.hypot(values["learning_rate"] - 0.7, values["env.wind"] - 0.2))


@pytest.mark.parametrize("sampler", leading(["tpe", "cmaes"], 1))
def test_an_adaptive_sampler_comes_near_the_best(tmp_path, sampler):
    study = opened(make(sampler=sampler), tmp_path)
    distances, numbers = [], []
    for _ in range(5):
        asked = study.ask(8, numbers)
        numbers += [trial.number for trial in asked]
        distances.append(np.mean([distance(trial.values) for trial in asked]))
        study.tell([Answer(x.number, "complete", {80: -(distance(x.values) ** 2)}) for x in asked])
    assert numbers == list(range(40))
    # A point drawn at random is 0.52 away.
    assert distances[0] > 0.35
    assert distances[-1] < 0.6 * distances[0]
    assert len({trial.params["env.wind"] for trial in load(tmp_path).trials}) == 40


class Killed(BaseException):
    """Stands for the end of the process."""


CUT = [(sampler, after) for sampler in ("tpe", "cmaes") for after in (1, 0, 5)]


@pytest.mark.parametrize(("sampler", "after"), leading(CUT, 1))
def test_a_batch_that_was_cut_short_is_asked_for_again(tmp_path, monkeypatch, sampler, after):
    def told(folder):
        study = opened(make(sampler=sampler), folder)
        asked = study.ask(12, ())
        study.tell([Answer(x.number, "complete", {80: -distance(x.values)}) for x in asked])
        return study

    whole = told(tmp_path / "whole").ask(4, range(12))
    sweep = make(sampler=sampler)
    study = opened(sweep, tmp_path / "killed")
    asked = study.ask(12, ())
    study.tell([Answer(x.number, "complete", {80: -distance(x.values)}) for x in asked])
    suggest, count = asking.suggest, iter(range(100))

    def dying(*arguments):
        if next(count) == after:
            raise Killed
        return suggest(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(asking, "suggest", dying)
        with pytest.raises(Killed):
            study.ask(4, range(12))
    again = opened(sweep, tmp_path / "killed").ask(4, range(12))
    assert again == whole
    assert len(load(tmp_path / "killed").trials) == 16
    # What was asked for and written down is not asked for again.
    assert [x.number for x in study.ask(2, range(16))] == [16, 17]


def test_what_a_trial_came_to_is_told_once(tmp_path):
    sweep = make()
    study = opened(sweep, tmp_path)
    study.ask(5, ())
    answers = [
        Answer(0, "complete", {40: 1.0, 80: 2.0}),
        Answer(1, "stopped", {40: 0.5}),
        Answer(2, "diverged", {}),
        Answer(3, "failed", {}),
    ]
    study.tell(answers)
    assert study.count() == 4
    opened(sweep, tmp_path).tell([*answers[1:], Answer(0, "complete", {80: 7.0})])
    trials = load(tmp_path).trials
    assert [(trial.state.name, trial.value) for trial in trials] == [
        ("COMPLETE", 2.0),
        ("PRUNED", 0.5),
        ("PRUNED", None),
        ("FAIL", None),
        ("RUNNING", None),
    ]
    assert trials[0].intermediate_values == {40: 1.0, 80: 2.0}
    study.abandon()
    assert load(tmp_path).trials[4].state == TrialState.FAIL
    assert load(tmp_path).best_trial.number == 0


@pytest.mark.full
def test_tpe_keeps_away_from_what_diverged(tmp_path):
    study = opened(make({"learning_rate": uniform(0.0, 1.0)}), tmp_path)
    asked = study.ask(24, ())
    study.tell(
        [
            Answer(x.number, "diverged", {})
            if x.values["learning_rate"] > 0.5
            else Answer(x.number, "complete", {80: 1.0})
            for x in asked
        ]
    )
    later = [x.values["learning_rate"] for x in study.ask(16, range(24))]
    assert np.mean(np.array(later) > 0.5) < 0.25


@pytest.mark.parametrize("kind", leading(["journal", "sqlite"], 1))
def test_two_workers_share_a_study_and_no_trial(tmp_path, kind):
    storage = f"sqlite:///{tmp_path}/both.db" if kind == "sqlite" else str(tmp_path / "both.log")
    own = [make(storage=storage, study="both", sampler_seed=seed) for seed in (0, 0)]
    workers = [opened(sweep, tmp_path) for sweep in own]
    first, second = workers[0].ask(3, ()), workers[1].ask(3, ())
    assert [x.number for x in first + second] == list(range(6))
    # Equal seeds, and yet they do not try the same.
    assert len({x.values["env.wind"] for x in first + second}) == 6
    workers[0].tell([Answer(x.number, "complete", {80: 1.0}) for x in first])
    workers[1].abandon()
    assert workers[0].count() == 6
    # The first has lost nothing: the second's trials are not its own.
    assert [x.number for x in workers[0].ask(1, range(3))] == [6]


def test_a_study_of_another_search_is_refused(tmp_path):
    storage = f"{tmp_path}/x.log"
    opened(make(storage=storage), tmp_path)
    opened(make(storage=storage, sampler="cmaes", trials=9), tmp_path)
    with pytest.raises(runs.ExperimentError, match="another search, with other space"):
        opened(make({"learning_rate": uniform(0.0, 2.0)}, storage=storage), tmp_path)
    opened(make({"learning_rate": uniform(0.0, 2.0)}, storage=storage, study="mine"), tmp_path)


def test_studies_of_others_are_left_alone(tmp_path):
    storage = f"{tmp_path}/x.log"
    backend = optuna.storages.journal.JournalFileBackend(storage)
    theirs = optuna.storages.JournalStorage(backend)
    optuna.create_study(study_name="low", storage=theirs)
    with pytest.raises(runs.ExperimentError, match="does not maximize one number"):
        opened(make(storage=storage, study="low"), tmp_path)
    optuna.create_study(study_name="high", storage=theirs, direction="maximize")
    opened(make(storage=storage, study="high"), tmp_path)
    study = optuna.create_study(study_name="theirs", storage=theirs, direction="maximize")
    study.ask()
    with pytest.raises(runs.ExperimentError, match="made by something else"):
        opened(make(storage=storage, study="theirs"), tmp_path)


def test_a_study_that_is_gone_is_noticed(tmp_path):
    sweep = make()
    sweep = sweeps.batches.with_trials(sweep, opened(sweep, tmp_path).ask(2, ()))
    opened(sweep, tmp_path)
    journal = (tmp_path / "study.log").read_text()
    (tmp_path / "study.log").unlink()
    with pytest.raises(runs.ExperimentError, match="does not have the trials"):
        opened(sweep, tmp_path)
    (tmp_path / "study.log").write_text("no journal\n" + journal)
    with pytest.raises(runs.ExperimentError, match=r"study\.log cannot be used"):
        opened(sweep, tmp_path)
    storage = f"sqlite:///{tmp_path}/x.db"
    (tmp_path / "x.db").write_text("no database at all, but long enough to look at" * 99)
    with pytest.raises(runs.ExperimentError, match=r"x\.db cannot be used: file is not a database"):
        opened(make(storage=storage), tmp_path)


def test_what_a_killed_process_leaves_in_the_journal_is_mended(tmp_path):
    sweep = make()
    opened(sweep, tmp_path).ask(2, ())
    path = tmp_path / "study.log"
    # As the last of the writing process: it holds the lock, and a line has no end.
    path.with_suffix(".log.lock").symlink_to(path)
    path.write_bytes(path.read_bytes() + b'{"op_code":4,"work')
    asked = opened(sweep, tmp_path).ask(3, ())
    assert [x.number for x in asked] == [0, 1, 2]
    assert len(load(tmp_path).trials) == 3


LISTS = {"sizes": choice((2, 3), (4, 5)), "learning_rate": choice(0.1, 0.2, 0.4)}
WRONG = [
    ({"trials": None}, "trials is missing"),
    ({"trials": 0}, "trials=0 must be at least 1"),
    ({"trials": 10**6}, "at most"),
    ({"batch": 0}, "batch=0 must be at least 1"),
    ({"batch": 41}, "batch=41 is more than trials=40"),
    ({"sampler": "random", "batch": 4}, "batch=4 is for the samplers tpe and cmaes"),
    ({"sampler": "sobol", "batch": None, "storage": "x.log"}, "storage='x.log' is for"),
    ({"sampler": "grid", "batch": None, "study": "x"}, "study='x' is for"),
    ({"sampler": "tep"}, "not one of grid, random, sobol, latin, tpe, cmaes"),
    ({"sampler": "cmaes", "space": LISTS}, "at least two of them: there is 0"),
    ({"sampler": "cmaes", "space": {"env.wind": uniform(0, 1)}}, "there is 1"),
    ({"sampler": "cmaes", "halving": 2}, "halving ends most trials before that"),
    ({"sampler": "cmaes", "median_stopping": True}, "median_stopping ends most trials"),
    ({"halving": 2, "median_stopping": True}, "exclude each other"),
    ({"median_stopping": True, "rungs": 81}, "rungs=81 are too many"),
    ({"storage": ""}, "no URL and no path"),
    ({"storage": "study.db"}, "is written sqlite:///study.db"),
    ({"storage": "."}, "is a folder"),
    ({"storage": "sqlite:///:memory:"}, "gone with the process"),
    ({"storage": "sqlite://"}, "gone with the process"),
    ({"study": " "}, "study=' ' is no name"),
    ({"sampler_seed": -1}, "sampler_seed=-1"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_what_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"learning_rate": uniform(-1.0, 1.0)}, "space holds what cannot be: .*learning_rate=-1"),
        ({"learning_rate": choice(0.1, -2.0), "env.wind": uniform(0, 1)}, "learning_rate=-2"),
    ],
)
def test_ranges_whose_ends_cannot_be_are_refused_before_anything_runs(tmp_path, space, message):
    with pytest.raises(ValueError, match=message):
        sweeps.start(make(space), tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    "storage",
    [
        "sqlite:////no/such/folder/x.db",
        "/no/such/folder/x.log",
        "mysqll://host/x",
        "postgresql://a/x",
    ],
)
def test_a_storage_that_cannot_be_reached(tmp_path, storage):
    with pytest.raises(runs.ExperimentError, match="cannot be used"):
        sweeps.start(make(storage=storage), tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


def test_without_the_extra_there_is_one_line(tmp_path, monkeypatch):
    sweep = make(sampler="cmaes")
    (tmp_path / "sweep").mkdir()
    find = importlib.util.find_spec
    monkeypatch.setattr(
        studies.importlib.util, "find_spec", lambda name: None if name == "cmaes" else find(name)
    )
    with pytest.raises(ValueError, match=r'needs cmaes: pip install "jaxrl\[sweeps\]"'):
        make(sampler="cmaes")
    make()
    with pytest.raises(runs.ExperimentError, match="needs cmaes"):
        sweeps.batches.open_study(sweep, tmp_path)


def test_a_batch_is_an_eighth_of_the_trials_and_at_least_four():
    assert [make(trials=n, batch=None).study.batch for n in (2, 24, 64, 100)] == [2, 4, 8, 13]


def test_a_database_is_found_from_other_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert make(storage="sqlite:///x.db").study.storage == f"sqlite:///{tmp_path}/x.db"
    assert make(storage="x.log").study.storage == str(tmp_path / "x.log")
    assert make(storage="sqlite:////a/x.db").study.storage == "sqlite:////a/x.db"
    assert make(storage="mysql://host/x").study.storage == "mysql://host/x"

"""The benchmark of learned policies in finance: its arithmetic, its tasks, a small run."""

import importlib.util
import json
import pathlib

import jax
import numpy as np
import pytest
from tiers import named

BENCHMARKS = pathlib.Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    """Imports a benchmark's file as it is when it runs as a script."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load_file(name: str):
        specification = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        return module

    return load_file


# One of each kind: another algorithm, market, or measurement.
CHECKED = (
    "liquidation/sac/1e-6",
    "liquidation/ppo/power-law-stochastic",
    "market-making/ppo/running-penalty",
    "market-making/ppo/adversary",
    "portfolio/cem/free",
    "portfolio/ppo/free",
)
SCORES = {"learned": np.array([-2.0, -3.0, -4.0]), "best": np.array([-2.0, -2.0, -2.0])}


def test_a_check_divides_by_what_the_other_is_worth(load) -> None:
    finance_learning = load("finance_learning")
    check = finance_learning.Check("learned", "best", -0.5)
    row = finance_learning.judged(check, SCORES, {})
    assert row["excess"] == [0.0, -0.5, -1.0]
    assert row["mean"] == -0.5
    # The standard error is .5 / sqrt(3), and 4.3027 the .975 quantile for 2 degrees of freedom.
    assert row["ci95"][0] == pytest.approx(-0.5 - 4.3026527 * 0.5 / 3**0.5)
    assert row["passed"]
    row = finance_learning.judged(check, SCORES, {"best": -4.0, "learned": 99.0})
    assert row["excess"] == [0.0, -0.25, -0.5]


@pytest.mark.parametrize(
    ("least", "surely", "passed"),
    [
        (-0.5, False, True),
        (-0.49, False, False),
        # The interval is -.5 -+ 1.2421.
        (-1.75, True, True),
        (-1.74, True, False),
        (-1.74, False, True),
    ],
)
def test_the_mean_or_the_interval_is_judged(load, least, surely, passed) -> None:
    finance_learning = load("finance_learning")
    check = finance_learning.Check("learned", "best", least, surely)
    assert finance_learning.judged(check, SCORES, {})["passed"] is passed


def test_a_task_has_one_row_by_its_name(load, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "results.json"
    for name, mean in (("b", 1.0), ("a", 2.0), ("b", 3.0)):
        load("learning").store({"task": name, "mean": mean}, file, identity=("task",))
    rows = json.loads(file.read_text())["results"]
    assert rows == [{"task": "a", "mean": 2.0}, {"task": "b", "mean": 3.0}]


def test_tasks_have_names_of_their_own(load) -> None:
    names = [task.name for task in load("finance_learning").TASKS]
    assert len(set(names)) == len(names)
    rooms = {name.split("/")[0] for name in names}
    assert rooms == {"liquidation", "market-making", "portfolio"}


@pytest.mark.parametrize("name", named(CHECKED, "market-making/ppo/running-penalty"))
def test_a_task_measures_what_it_checks(load, name: str) -> None:
    """Traced, not run."""
    finance_learning = load("finance_learning")
    (task,) = [task for task in finance_learning.TASKS if task.name == name]
    scores = jax.eval_shape(task.measure(task), jax.random.key(0))
    for check in task.checks:
        assert {check.score, check.beside} <= set(scores)
    exact = task.market.exact(task.market.parameters)
    assert set(exact) <= set(scores)
    assert all(np.isfinite(value) for value in exact.values())


def test_every_result_is_of_a_task_as_it_is(load) -> None:
    """The file of results has the checks and parameters of the tasks, and what its scores say."""
    finance_learning = load("finance_learning")
    tasks = {task.name: task for task in finance_learning.TASKS}
    rows = json.loads(finance_learning.RESULTS.read_text())["results"]
    assert {row["task"] for row in rows} <= set(tasks)
    for row in rows:
        task = tasks[row["task"]]
        assert row["parameters"] == task.market.parameters
        stated = [
            {name: check[name] for name in check if name in task.checks[0]._fields}
            for check in row["checks"]
        ]
        assert stated == [check._asdict() for check in task.checks]
        scores = {name: np.array(values) for name, values in row["scores"].items()}
        for check, given in zip(task.checks, row["checks"], strict=True):
            again = finance_learning.judged(check, scores, row["exact"])
            assert again["mean"] == pytest.approx(given["mean"])
            assert again["passed"] == given["passed"]


def test_seeds_play_the_same_episodes_as_the_baselines(load) -> None:
    """A learner that learns nothing is 1 / 4 in everything: what it lacks is a constant's."""
    finance_learning = load("finance_learning")
    (task,) = [task for task in finance_learning.TASKS if task.name == "portfolio/cem/free"]
    still = {
        "total_steps": 104,
        "population_size": 2,
        "episodes_per_candidate": 1,
        "noise_scale": 1e-6,
        "min_noise_scale": 0.0,
    }
    quarter = finance_learning.finance.constant_weights(np.full(4, 0.25))
    market = task.market._replace(episodes=50, baselines=lambda parameters: {"Merton": quarter})
    task = task._replace(settings=still, market=market)
    row = finance_learning.run(task, first_seed=2000, num_seeds=2)
    assert row["seeds"] == 2
    assert row["total_steps"] == 104
    learned, quarters = (np.array(row["scores"][name]) for name in ("learned", "Merton"))
    np.testing.assert_allclose(learned, quarters, atol=1e-4)
    assert abs(quarters[0] - quarters[1]) > 1e-3
    assert row["checks"][0]["passed"]
    assert "passed" in finance_learning.said(row["checks"][0])

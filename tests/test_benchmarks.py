"""The benchmarks' own arithmetic, and the conversation with a worker."""

import importlib.util
import io
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats
from tiers import leading

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


@pytest.mark.parametrize("name", ["ppo", "a2c", "sac", "sac-256", "td3", "dqn"])
def test_every_run_is_whole_iterations_of_each_seed(load, name: str) -> None:
    throughput = load("throughput")
    suite = throughput.SUITES[name]
    for text in suite.configurations:
        configuration = throughput.Configuration.parse(text)
        for contender in ("ours", *suite.peers):
            settings = configuration.settings(suite, contender)
            assert settings["algorithm"] == name.partition("-")[0]
            batch = settings["num_envs"] * settings["num_steps"]
            assert settings["total_steps"] % batch == 0
            assert settings["total_steps"] >= batch
            assert batch % settings.get("num_minibatches", 1) == 0


@pytest.mark.parametrize("text", ["64x128", "0x1x1", "axbxc", "1x1x1x1"])
def test_a_configuration_that_is_none_is_refused(load, text: str) -> None:
    with pytest.raises(ValueError, match="ENVIRONMENTSxSTEPSxSEEDS"):
        load("throughput").Configuration.parse(text)


@pytest.mark.parametrize("name", ["ours", "plain", "products"])
def test_a_worker_of_ours_starts(load, name: str) -> None:
    """And ends when nothing is asked of it."""
    script, *arguments = load("worker_process").CONTENDERS[name].script
    command = [sys.executable, BENCHMARKS / "workers" / script, *arguments]
    subprocess.run(command, input="", text=True, check=True, timeout=100)


def test_a_worker_that_dies_is_named(load, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = load("worker_process")
    dies = workers.Contender(("protocol.py",), None, one_program=True)
    monkeypatch.setitem(workers.CONTENDERS, "mortal", dies)
    with workers.Worker("mortal") as worker, pytest.raises(RuntimeError, match="mortal ended"):
        worker.ask("prepare", settings={})


def test_the_ratio_is_taken_within_pairs(load) -> None:
    facts = {name: {"steps": 10, "device": "cpu", "versions": {}} for name in ("ours", "rejax")}
    speeds = {"ours": [2.0, 6.0, 30.0], "rejax": [1.0, 2.0, 15.0]}
    stages = [{"trace": 1.0, "compile": 2.0}, {"trace": 0.5, "compile": 1.0}]
    compilations = {"ours": stages, "rejax": [{}, {}]}
    row = load("throughput").summarise("rejax", speeds, compilations, facts)
    assert row["ratios"] == [2.0, 3.0, 2.0]
    assert row["ratio"] == 2.0
    assert row["ours"]["steps_per_second"] == 6.0
    assert row["ours"]["trace_seconds"] == 0.75
    assert row["ours"]["first_build_seconds"] == 3.0
    assert row["theirs"]["trace_seconds"] is None


def test_a_table_replaces_only_what_is_between_its_markers(load) -> None:
    text = "before\n<!-- begin a -->\nold\n<!-- end a -->\nafter\n"
    replace = load("write_table").replace_between_markers
    once = replace(text, "a", r"new \1")
    assert once == "before\n<!-- begin a -->\n\nnew \\1\n\n<!-- end a -->\nafter\n"
    assert replace(once, "a", r"new \1") == once
    with pytest.raises(ValueError, match="no markers for the b table"):
        replace(text, "b", "new")


def test_the_confidence_interval_is_students(load) -> None:
    # Mean 2, standard error 1 / sqrt(3), and 4.3027 is the 0.975 quantile for 2 degrees of freedom.
    low, high = load("learning").confidence_interval(np.array([1.0, 2.0, 3.0]))
    assert low == pytest.approx(2 - 4.3026527 / 3**0.5)
    assert high == pytest.approx(2 + 4.3026527 / 3**0.5)


@pytest.mark.parametrize(
    ("judged_by", "target", "passed"),
    [
        ("mean", 3.0, True),
        ("mean", 3.1, False),
        ("median", 2.0, True),
        ("median", 2.1, False),
        ("share", 1.0, True),
        ("share", 2.0, False),
    ],
)
def test_what_a_task_asks_for(load, judged_by: str, target: float, passed: bool) -> None:
    learning = load("learning")
    task = learning.Task("cem", "A", 1, target, judged_by=judged_by, share=0.8)
    assert learning.is_passed(task, np.array([1.0, 1.0, 2.0, 2.0, 9.0])) is passed


def test_a_task_has_one_row(load, tmp_path: pathlib.Path) -> None:
    store = load("learning").store
    file = tmp_path / "learning.json"
    row = {"algorithm": "ppo", "environment": "B", "total_steps": 1, "mean": 0.0}
    for change in ({}, {"environment": "A"}, {"mean": 1.0}):
        store(row | change, file)
    rows = json.loads(file.read_text())["results"]
    assert [(row["environment"], row["mean"]) for row in rows] == [("A", 0.0), ("B", 1.0)]


def test_a_worker_answers_in_json_whatever_its_libraries_print(tmp_path: pathlib.Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(
        "from protocol import Program, serve\n"
        "def prepare(settings):\n"
        "    print('noise')\n"
        "    return Program(None, lambda index: print('noise', index), settings['steps'], 'cpu')\n"
        "serve(prepare, ('pytest',))\n"
    )
    requests = [{"request": "prepare", "settings": {"steps": 7}}, {"request": "compile"}]
    requests += [{"request": "run"}, {"request": "run"}]
    answer = subprocess.run(
        [sys.executable, str(worker)],
        input="".join(json.dumps(request) + "\n" for request in requests),
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(BENCHMARKS / "workers")},
    )
    prepared, compiled, *runs = [json.loads(line) for line in io.StringIO(answer.stdout)]
    assert prepared["steps"] == 7
    assert prepared["versions"] == {"pytest": pytest.__version__}
    assert compiled == {}
    assert all(run["seconds"] >= 0 for run in runs)
    assert len(runs) == 2


class TestGradientVariance:
    """The ablation's arithmetic, on estimates of two parameters."""

    @pytest.fixture
    def study(self, load):
        return load("ablations").gradient_variance

    def test_variances_are_relative_and_alignments_are_cosines(self, study) -> None:
        # Of every setting two estimates: (1, 0) and (1, 2 s), of variance 2 s^2 in all.
        scales = np.arange(1, len(study.SETTINGS) + 1)
        estimates = np.ones((2, len(scales), 2))
        estimates[0, :, 1], estimates[1, :, 1] = 0, 2 * scales
        summary = study.summarise(estimates, np.array([3.0, 0.0]))
        compared = len(study.SAME_UNITS)
        np.testing.assert_allclose(summary["variance"], scales[:compared] ** 2.0)
        expected = (1 + 1 / np.sqrt(1 + 4 * scales**2.0)) / 2
        np.testing.assert_allclose(summary["alignment"], expected)

    def test_interval_of_logarithms_is_a_factor(self, study) -> None:
        plain = study.interval([1.0, 2.0, 3.0])
        factors = study.interval(list(np.exp([1.0, 2.0, 3.0])), logarithmic=True)
        assert plain["ci95"] == pytest.approx([2 - 4.3026527 / 3**0.5, 2 + 4.3026527 / 3**0.5])
        np.testing.assert_allclose(np.log(factors["ci95"]), plain["ci95"])
        assert np.log(factors["mean"]) == pytest.approx(plain["mean"])

    def test_every_setting_is_one_of_the_algorithm(self, study) -> None:
        labels = [setting.label for setting in study.SETTINGS]
        assert len(set(labels)) == len(labels)
        for setting in study.SETTINGS:
            assert setting.config.credit == setting.credit


def test_both_sides_of_the_population_benchmark_count_their_steps(load) -> None:
    population = load("population")
    assert population.rollout_run("Pendulum-v1", 2, ())(0) == 2 * population.ROLLOUT_STEPS
    # Two candidates with an episode of 200 steps each.
    assert population.population_run("Pendulum-v1", 2, 1, (), "random", num_seeds=1)(0) == 2 * 200


@pytest.mark.parametrize("part", leading(["rollout", "training"]))
@pytest.mark.parametrize("way", ["pooled", "cached"])
def test_ways_of_resetting_are_timed_in_pairs(load, monkeypatch, part: str, way: str) -> None:
    resets = load("resets")
    monkeypatch.setattr(resets, "STEPS", 32)
    row = resets.measure(4, 16, part=part, way=way, pairs=2)
    assert len(row["ratios"]) == 2
    assert row["ratio"] == pytest.approx(np.mean(row["ratios"]))
    assert row["steps_per_second"].keys() == {"every_step", way}
    assert row["reset_ratio"] == (4 if way == "pooled" else None)


@pytest.mark.parametrize(("num_envs", "num_steps"), [(4, 128), (64, 128), (1024, 32)])
def test_runs_of_resets_are_whole_iterations(load, num_envs: int, num_steps: int) -> None:
    resets = load("resets")
    for way in ("every_step", *resets.WAYS):
        config = resets.settings(way, num_envs, num_steps)
        assert config.total_steps % (num_envs * num_steps) == 0
        assert config.num_envs % config.reset_ratio == 0


def test_another_commit_must_exist() -> None:
    command = [sys.executable, BENCHMARKS / "against.py", "no-such-commit"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert answer.returncode == 2
    assert "no-such-commit is no commit of this repository" in answer.stderr


class TestCoverage:
    """The truths that intervals are held against, and the page that states how often they hold."""

    @pytest.fixture
    def coverage(self, load):
        return load("coverage")

    def test_truths_of_one_normal_task_are_closed_forms(self, coverage) -> None:
        truth = coverage.truths(coverage.normal, 1)
        scores = stats.norm(0.5, 0.2)
        for name in ("mean", "iqm", "median"):
            assert truth[name] == pytest.approx(0.5, abs=1e-6)
        # E max(1 - x, 0) of a normal x, with the standardised distance of 1 from its mean.
        distance = (1 - 0.5) / 0.2
        gap = 0.2 * (distance * stats.norm.cdf(distance) + stats.norm.pdf(distance))
        assert truth["optimality_gap"] == pytest.approx(gap, abs=1e-4)
        np.testing.assert_allclose(truth["thresholds"], scores.ppf([0.25, 0.5, 0.75]), atol=1e-3)
        np.testing.assert_allclose(truth["profile"], [0.75, 0.5, 0.25], atol=1e-3)
        # P(x > y) where y is lower by 0.1: their difference has deviation 0.2 sqrt(2).
        better = stats.norm.cdf(0.1 / (0.2 * 2**0.5))
        assert truth["improvement"] == pytest.approx(better, abs=1e-3)

    def test_truths_of_ten_skewed_tasks(self, coverage) -> None:
        truth = coverage.truths(coverage.skewed, 10)
        assert truth["mean"] == pytest.approx(0.5, abs=1e-3)
        assert truth["median"] == pytest.approx(0.5, abs=1e-3)
        # x - y > 0.1 of two exponentials with scale 0.2, one shifted by 0.1: 1 - exp(-1/2) / 2.
        assert truth["improvement"] == pytest.approx(1 - np.exp(-0.5) / 2, abs=1e-3)

    def test_bimodal_scores_fail_once_in_five(self, coverage) -> None:
        levels = np.linspace(0.0005, 0.9995, 1000)
        scores = coverage.bimodal(levels)
        assert np.mean(scores < -1) == pytest.approx(0.2)
        assert scores.mean() == pytest.approx(0.0, abs=0.01)
        assert scores.std() == pytest.approx((0.09 + 0.8 * 0.25 + 0.2 * 4) ** 0.5, abs=0.01)

    def test_a_row_counts_the_draws_that_hold_the_truth(self, coverage, monkeypatch) -> None:
        row = coverage.measure("normal", num_seeds=8, num_tasks=1, draws=12, num_resamples=50)
        assert row["coverage"].keys() == {*coverage.aggregate_scores(np.eye(2))._fields} | {
            "profile",
            "improvement",
        }
        assert all(0.5 <= share <= 1 for share in row["coverage"].values())
        elsewhere = dict.fromkeys(row["coverage"], 9.0) | {"thresholds": np.array([0.5])}
        monkeypatch.setattr(coverage, "truths", lambda *args: elsewhere)
        row = coverage.measure("normal", num_seeds=8, num_tasks=1, draws=2, num_resamples=50)
        assert set(row["coverage"].values()) == {0.0}

    def test_the_page_of_statistics_states_what_was_measured(self, coverage) -> None:
        rows = json.loads(coverage.RESULTS.read_text())["results"]
        page = (BENCHMARKS.parent / "docs" / "statistics.md").read_text()
        assert "\n".join([coverage.header(rows[0]), *map(coverage.line, rows)]) in page
        means = [row["coverage"]["mean"] for row in rows if row["distribution"] == "normal"]
        assert len(means) == len(coverage.SEEDS) * len(coverage.TASKS)
        assert all(0.93 <= share <= 0.97 for share in means)

"""`jaxrl sweep`, `show`, `best`, and `resume` of a sweep, as they are typed."""

import csv
import importlib.util
import json
import sys
import tomllib

import pytest

from jaxrl import sweeps
from jaxrl.presets import settings_from_file

IMPORT = ("--import", "quick_algorithm")
TRUST = ("--trust",)
SMALL = ("--seeds", "2", "--evaluation-episodes", "2", "--env.max-steps-in-episode", "20")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sweep") / "sweep"


@pytest.fixture
def swept(command, folder):
    """A sweep of two rates and two sizes, run once."""
    if not folder.exists():
        answer = command(
            *("sweep", "quick", "CartPole-v1", *IMPORT, *SMALL, "--sampler", "grid"),
            *("--learning-rate", "0.1,0.2", "--sizes", "2x3,4x5", "--validate", "2"),
            *("--out", str(folder)),
        )
        assert answer.code == 0, answer.err
        assert "4 trials x 2 seeds = 8 agents in 2 programs" in answer.out
        assert "searched (grid): learning_rate 0.1,0.2, sizes 2x3,4x5" in answer.out
        assert "4 complete" in answer.out
        assert "trained again with 2 fresh seeds" in answer.out
        assert f"jaxrl best {folder}" in answer.out
    return folder


def test_a_sweep_and_its_table(command, swept):
    answer = command("show", *IMPORT, str(swept), *TRUST, "--json", "--top", "10")
    rows = [json.loads(line) for line in answer.out.splitlines()]
    assert [row["values"] for row in sorted(rows, key=lambda row: row["trial"])] == [
        {"learning_rate": rate, "sizes": sizes} for rate in (0.1, 0.2) for sizes in ([2, 3], [4, 5])
    ]
    means = [row["mean"] for row in rows]
    assert means == sorted(means, reverse=True)
    assert (
        len(command("show", *IMPORT, str(swept), *TRUST, "--json", "--top", "1").out.splitlines())
        == 1
    )
    table = command("show", *IMPORT, str(swept), *TRUST).out
    assert "mean return" in table
    assert "the return to believe" in table


def test_a_table_for_other_programs(command, swept, tmp_path):
    path = tmp_path / "trials.csv"
    assert command("show", *IMPORT, str(swept), *TRUST, "--csv", str(path)).code == 0
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert set(rows[0]) >= {"trial", "learning_rate", "sizes", "status", "mean", "return_1"}
    answer = command(
        "show", *IMPORT, str(swept), *TRUST, "--csv", str(tmp_path / "no" / "trials.csv")
    )
    assert answer.code == 2
    assert "cannot write" in answer.err


def test_the_best_trial_becomes_a_preset(command, swept, tmp_path):
    text = command("best", *IMPORT, str(swept), *TRUST).out
    path = tmp_path / "my.toml"
    answer = command("best", *IMPORT, str(swept), *TRUST, "--preset", str(path))
    assert f"--preset-file {path}" in answer.out
    assert path.read_text() == text
    best = json.loads(command("show", *IMPORT, str(swept), *TRUST, "--json", "--top", "1").out)
    table = tomllib.loads(text)["CartPole-v1"]
    assert table.get("learning_rate", 0.5) == best["values"]["learning_rate"]
    assert table.get("sizes", [2, 3]) == best["values"]["sizes"]
    run = tmp_path / "run"
    answer = command(
        *("train", "quick", "CartPole-v1", *IMPORT, "--preset-file", str(path)),
        *("--evaluation-episodes", "0", "--out", str(run)),
    )
    assert answer.code == 0, answer.err
    assert f"settings: preset {path}" in answer.out
    config = json.loads((run / "config.json").read_text())
    assert config["settings"]["learning_rate"] == best["values"]["learning_rate"]


def test_none_in_a_preset_file_is_none(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text('["CartPole-v1"]\nmax_gradient_norm = "none"\nlearning_rate = 1')
    settings = settings_from_file(path, "ppo", "CartPole-v1")
    assert settings.max_gradient_norm is None
    assert settings.learning_rate == 1.0


def test_a_finished_sweep_goes_on_to_nothing(command, swept):
    before = (swept / "trials.jsonl").read_bytes()
    answer = command("resume", *IMPORT, str(swept), *TRUST)
    assert answer.code == 0
    assert "4 complete" in answer.out
    assert (swept / "trials.jsonl").read_bytes() == before


def test_ranges_are_drawn(command, tmp_path):
    answer = command(
        *("sweep", "quick", "CartPole-v1", *IMPORT, *SMALL, "--trials", "3", "--seed", "7"),
        *("--learning-rate=log:0.01..1", "--env.gravity", "5..15", "--sampler", "sobol"),
        *("--median-stopping", "--rungs", "2", "--memory", "1GiB", "--out", str(tmp_path / "s")),
    )
    assert answer.code == 0, answer.err
    sweep = sweeps.read_sweep(tmp_path / "s")
    assert sweep.space == {
        "learning_rate": sweeps.log_uniform(0.01, 1),
        "env.gravity": sweeps.uniform(5, 15),
    }
    assert sweep.seeds == (7, 8)
    assert sweep.memory == 2**30
    assert sweep.median_stopping
    assert "the upper half goes on after each rung, which end at 100, 200 steps" in answer.out


TEN = ("--sampler", "tpe", "--trials", "10", "--learning-rate", "0.1..0.5")
TPE = (*TEN, "--batch", "10")


@pytest.fixture(scope="module")
def adapted_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("adapted") / "sweep"


@pytest.fixture
def adapted(command, adapted_folder):
    """A sweep of one batch that an adaptive sampler asked for, run once."""
    pytest.importorskip("optuna")
    if not adapted_folder.exists():
        answer = command(
            *("sweep", "quick", "CartPole-v1", *IMPORT, *SMALL, *TPE, "--env.gravity", "5..15"),
            *("--storage", f"{adapted_folder}.log", "--study", "mine"),
            *("--out", str(adapted_folder)),
        )
        assert answer.code == 0, answer.err
        assert "10 trials x 2 seeds = 20 agents, 10 trials at a time" in answer.out
        assert f"study mine in {adapted_folder}.log" in answer.out
        assert "batch 1 of 1: 10 trials; 0 of the study have ended" in answer.err
    return adapted_folder


def test_an_adaptive_sweep(command, adapted):
    answer = command("resume", *IMPORT, str(adapted))
    assert answer.code == 0
    assert "10 complete" in answer.out
    sweep = sweeps.read_sweep(adapted)
    assert (sweep.study.name, sweep.study.batch) == ("mine", 10)
    assert len(command("show", *IMPORT, str(adapted), "--json").out.splitlines()) == 10
    assert command("best", *IMPORT, str(adapted)).code == 0


def test_a_second_worker_on_another_search_gets_one_line(command, adapted, tmp_path):
    answer = command(
        *("sweep", "quick", "CartPole-v1", *IMPORT, *SMALL, *TPE),
        *("--storage", f"{adapted}.log", "--study", "mine", "--out", str(tmp_path / "b")),
    )
    assert answer.code == 2
    assert "is of another search, with other space" in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert not (tmp_path / "b").exists()


def test_importance_of_settings(command, adapted, tmp_path):
    pytest.importorskip("optuna")
    pytest.importorskip("sklearn")
    answer = command("plot", *IMPORT, str(adapted), "--out", str(tmp_path / "sweep.png"))
    assert answer.out == f"{tmp_path / 'sweep.png'}\n"
    lines = command("show", *IMPORT, str(adapted), "--importance").out.splitlines()[-3:]
    assert lines[0] == "importance of settings (fANOVA), in shares of the return's variance"
    assert {line.split()[0] for line in lines[1:]} == {"learning_rate", "env.gravity"}
    last = command("show", *IMPORT, str(adapted), "--json", "--importance").out.splitlines()[-1]
    assert sum(json.loads(last)["importance"].values()) <= 1.0


@pytest.mark.parametrize("missing", ["optuna", "sklearn"])
def test_without_the_extra_importance_is_left_out(command, adapted, tmp_path, monkeypatch, missing):
    find = importlib.util.find_spec

    def find_others(name, *arguments):
        return None if name == missing else find(name, *arguments)

    monkeypatch.setattr(importlib.util, "find_spec", find_others)
    answer = command("plot", *IMPORT, str(adapted), "--out", str(tmp_path / "sweep.png"))
    assert answer.code == 0
    assert 'pip install "jaxrl[sweeps]"' in answer.out
    assert (tmp_path / "sweep.png").is_file()
    answer = command("show", *IMPORT, str(adapted), "--importance")
    assert answer.code == 2
    assert 'pip install "jaxrl[sweeps]"' in answer.err


def test_importance_needs_trials(command, swept):
    pytest.importorskip("optuna")
    pytest.importorskip("sklearn")
    answer = command("show", *IMPORT, str(swept), "--importance")
    assert answer.code == 2
    assert "it needs 8 complete trials, and there are 4" in answer.err


def test_a_table_as_parquet(command, swept, tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    path = tmp_path / "trials.parquet"
    assert command("show", *IMPORT, str(swept), "--parquet", str(path)).code == 0
    table = pandas.read_parquet(path)
    rows = [
        json.loads(line) for line in command("show", *IMPORT, str(swept), "--json").out.splitlines()
    ]
    assert table["learning_rate"].tolist() == [row["values"]["learning_rate"] for row in rows]
    assert table["return_1"].tolist() == [row["returns"][1] for row in rows]
    assert set(table["sizes"]) == {"(2, 3)", "(4, 5)"}
    answer = command(
        "show", *IMPORT, str(swept), "--parquet", str(tmp_path / "no" / "trials.parquet")
    )
    assert answer.code == 2
    assert "cannot write" in answer.err


@pytest.mark.parametrize("missing", ["pandas", "pyarrow"])
def test_parquet_without_its_packages_gets_one_line(command, swept, tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    answer = command("show", *IMPORT, str(swept), "--parquet", str(tmp_path / "trials.parquet"))
    assert answer.code == 2
    assert "needs pandas and pyarrow: pip install pandas pyarrow" in answer.err
    assert not (tmp_path / "trials.parquet").exists()


def test_a_flag_without_a_value_stands_before_a_list(command, tmp_path):
    flags = ("--no-preset", "--learning-rate=0.1,0.2", "--sampler", "grid")
    answer = command(
        *("sweep", "quick", "CartPole-v1", *IMPORT, *flags, *SMALL, "--out", str(tmp_path / "s"))
    )
    assert answer.code == 0, answer.err


def test_help_tells_how_ranges_are_written(command):
    text = command("sweep", "--help").out
    assert "log:1e-4..1e-2" in text
    assert "--halving" in command("sweep", "quick", "CartPole-v1", *IMPORT, "--help").out


WRONG = [
    ((), "nothing is searched"),
    (("--learning-rate", "0.1"), "nothing is searched"),
    (("--learning-rate", "0.1..0.2"), "trials is missing"),
    (("--learning-rate", "0.2..0.1", "--trials", "2"), "--learning-rate: the range 0.2..0.1"),
    (("--learning-rate", "log:0..1", "--trials", "2"), "greater than 0"),
    (("--learning-rate", "log:1e-4-1e-2,", "--trials", "2"), "empty place"),
    (("--learning-rate", "a..b", "--trials", "2"), "'a' is not a number"),
    (("--learning-rate", "0.1,fast", "--sampler", "grid"), "'fast' is not a number"),
    (("--learning-rate", "0.1,0.1", "--sampler", "grid"), "twice"),
    (("--learning-rate", "-0.1,0.1", "--sampler", "grid"), "learning_rate=-0.1"),
    (("--learning-rate", "0.1..0.5:x", "--sampler", "grid"), "number of points"),
    (("--learning-rate", "0.1..0.5:1", "--sampler", "grid"), "at least 2"),
    (("--learning-rate", "0..1e39", "--trials", "2"), "finite"),
    (("--learning-rate", "0.1..0.2", "--sampler", "grid"), "a grid needs a list"),
    (("--learning-rate", "0.1,0.2", "--sampler", "grid", "--trials", "2"), "every combination"),
    (("--learning-rate", "0.1,0.2", "--sampler", "gird"), "one of grid, random"),
    (("--learning-rate", "0.1..1", "--trials", "0"), "trials=0 must be at least 1"),
    (("--learning-rate", "0.1..1", "--trials", "many"), "many"),
    (("--learning-rate", "0.1..1", "--trials", "2", "--halving", "1"), "halving=1"),
    (("--learning-rate", "0.1..1", "--trials", "2", "--halving", "9", "--rungs", "9"), "too many"),
    (("--learning-rate", "0.1..1", "--trials", "2", "--seeds", "0"), "seeds=0"),
    (("--learning-rate", "0.1..1", "--trials", "2", "--seed", "-1"), "seed=-1"),
    (("--learning-rate", "0.1..1", "--trials", "2", "--validate", "-1"), "validate=-1"),
    (("--learning-rate", "0.1..1", "--trials", "2", "--memory", "lots"), "no amount of memory"),
    (("--learning-rate", "0.1..1", "--trials", "2", "--memory", "0GiB"), "no amount of memory"),
    (("--learning-rate", "0.1..1", "--trials", "2", "--evaluation-episodes", "0"), "compares"),
    (("--learnig-rate", "0.1..1", "--trials", "2"), "did you mean --learning-rate"),
    (("--env.gravty", "5..15", "--trials", "2"), "did you mean --env.gravity"),
    (("--total-steps", "100,200", "--sampler", "grid"), "equal budgets"),
    (("--total-steps", "1.5..3", "--trials", "2"), "whole number"),
    (("--crash", "true,maybe", "--sampler", "grid"), "'maybe' is neither true nor false"),
    (("--learning-rate", "1..1e999", "--trials", "2"), "not finite"),
    (("--env.max-steps-in-episode", "10.5,20", "--sampler", "grid"), "not a whole number"),
    (("--sizes", "2x3,4xb", "--sampler", "grid"), "'b' is not a whole number"),
    (("--sizes", "2x3,0x1", "--sampler", "grid"), "sizes"),
    (("--learning-rate", "0.1,0.2", "--learning-rate", "0.3,0.4"), "given twice"),
    (("--learning-rate", "0.1..1", "--trials", "2", "--preset-file", "no.toml"), "cannot read"),
    (("--learning-rate", "0.1..1", "--trials", "2", "--batch", "2"), "is for the samplers tpe"),
    (("--learning-rate", "0.1..1", "--trials", "2", "--storage", "x.log"), "is for the samplers"),
    (("--learning-rate", "0.1..1", "--trials", "2", "--study", "x"), "is for the samplers tpe"),
    (("--learning-rate", "0.1..1", "--sampler", "tpe"), "trials is missing"),
    (("--learning-rate", "-1..1", "--sampler", "tpe", "--trials", "4"), "holds what cannot be"),
    (("--learning-rate", "0.1..1", "--sampler", "cmaes", "--trials", "4"), "there is 1"),
    ((*TEN, "--batch", "0"), "batch=0 must be at least 1"),
    ((*TEN, "--batch", "11"), "batch=11 is more than trials=10"),
    ((*TPE, "--study", ""), "is no name"),
    ((*TPE, "--storage", "study.db"), "is written sqlite:///study.db"),
    ((*TPE, "--storage", "sqlite:////no/where/x.db"), "cannot be used"),
    ((*TPE, "--storage", "/no/where/x.log"), "cannot be used"),
    ((*TPE, "--storage", "nosql://here/x"), "cannot be used"),
    ((*TPE, "--halving", "2", "--median-stopping"), "exclude each other"),
    ((*TPE, "--halving", "2", "--rungs", "9"), "too many"),
    ((*TPE, "--median-stopping", "--rungs", "201"), "too many"),
    ((*TPE, "--median-stopping", "--rungs", "1"), "rungs=1 must be at least 2"),
    ((*TPE, "--median-stoping"), "did you mean --median-stopping"),
]


@pytest.mark.parametrize(("flags", "message"), WRONG, ids=[" ".join(flags) for flags, _ in WRONG])
def test_wrong_sweeps_get_one_line(command, tmp_path, flags, message):
    answer = command(
        *("sweep", "quick", "CartPole-v1", *IMPORT, *flags, "--out", str(tmp_path / "sweep"))
    )
    assert answer.code == 2
    assert message in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("name", ["show", "best"])
def test_what_is_no_sweep_gets_one_line(command, tmp_path, name):
    answer = command(name, str(tmp_path))
    assert answer.code == 2
    assert "is not a sweep: it has no sweep.json" in answer.err
    (tmp_path / "sweep.json").write_text("{")
    answer = command(name, str(tmp_path))
    assert answer.code == 2
    assert "cannot be used" in answer.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[CartPole-v1", "is no preset file"),
        ('["Acrobot-v1"]\nlearning_rate = 0.1', "has no settings for CartPole-v1: it has Acrobot"),
        ('["CartPole-v1"]\nrate = 0.1', "quick has no setting 'rate'"),
        ("", "it has nothing"),
    ],
)
def test_wrong_preset_files(command, tmp_path, text, message):
    path = tmp_path / "my.toml"
    path.write_text(text)
    answer = command("train", "quick", "CartPole-v1", *IMPORT, "--preset-file", str(path))
    assert answer.code == 2
    assert message in answer.err
    both = ("--preset-file", str(path), "--no-preset")
    assert "exclude each other" in command("train", "quick", "CartPole-v1", *IMPORT, *both).err

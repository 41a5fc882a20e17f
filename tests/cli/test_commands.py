"""What each command does when all is well."""

import json
import re
import shutil
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxrl import PPOConfig, runs
from jaxrl.cli.report import return_interval, returns_table
from jaxrl.presets import preset
from jaxrl.training import Evaluation

IMPORT = ("--import", "quick_algorithm")


def test_training_leaves_a_run_folder_with_a_picture(finished_run):
    specification = json.loads((finished_run / "config.json").read_text())
    assert specification["algorithm"] == "quick"
    assert [member["seed"] for member in specification["members"]] == [0, 1, 2]
    assert specification["environment_parameters"] == {"max_steps_in_episode": 30}
    with Image.open(finished_run / "learning_curve.png") as picture:
        assert picture.width > 1000


def test_train_says_what_it_did(command, tmp_path):
    flags = ["--total-steps", "1e2", "--seed", "7", "--learning-rate", "0.25", "--sizes", "4", "5"]
    answer = command(
        "train", *flags, *IMPORT, "quick", "CartPole-v1", "--out", str(tmp_path / "run")
    )
    assert answer.code == 0
    first, *rest = answer.out.splitlines()
    assert "no preset" in first
    assert "total_steps=100, learning_rate=0.25, sizes=(4, 5)" in first
    table = "\n".join(rest)
    assert "mean return" in table
    assert "│ 95 %" in table
    assert str(tmp_path / "run") in table
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["settings"]["sizes"] == [4, 5]
    assert config["settings"]["total_steps"] == 100
    assert config["members"] == [{"seed": 7}]


def test_overwrite_replaces_a_run(command, finished_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    flags = ["--out", str(folder), "--overwrite", "--evaluation-episodes", "0"]
    assert command("train", *IMPORT, "quick", "CartPole-v1", *flags).code == 0
    assert len(json.loads((folder / "config.json").read_text())["members"]) == 1


def test_a_run_folder_is_named_where_none_is_given(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = ["--total-steps", "20", "--evaluation-episodes", "0"]
    for _ in range(2):
        assert command("train", *IMPORT, "quick", "CartPole-v1", *flags).code == 0
    folders = sorted((tmp_path / "runs").iterdir())
    assert len(folders) == 2
    assert all(folder.name.startswith("quick-CartPole-v1-") for folder in folders)


def test_evaluate_prints_json_and_nothing_else(command, finished_run):
    answer = command("evaluate", str(finished_run), *IMPORT, "--episodes", "5", "--json")
    assert answer.code == 0
    assert answer.err == ""
    data = json.loads(answer.out)
    names = {"members", "returns", "mean", "ci95", "cut", "checkpoint", "left_out"}
    assert set(data) == names
    assert data["members"] == [{"member": i, "seed": i} for i in range(3)]
    assert data["cut"] == 0
    returns = np.array(data["returns"])
    assert returns.shape == (3, 5)
    # The run's own environment: 30 steps at most, and one reward a step.
    assert (returns > 0).all()
    assert (returns <= 30).all()
    assert data["mean"] == pytest.approx(returns.mean())
    low, high = data["ci95"]
    assert low < data["mean"] < high


@pytest.fixture
def played(monkeypatch):
    """Stands in for playing: the seed, the number of episodes, and returns that are known."""
    asked = []

    def evaluate_run(run, *, num_episodes, seed, explores=False):
        asked.append((num_episodes, seed))
        returns = np.arange(len(run.specification.members))[:, None] + np.zeros(num_episodes)
        return Evaluation(returns=returns, lengths=returns)

    monkeypatch.setattr(runs, "evaluate_run", evaluate_run)
    return asked


def test_evaluate_prints_a_table(command, finished_run, played):
    flags = ["--episodes", "5", "--seed", "9"]
    answer = command("evaluate", str(finished_run), *IMPORT, *flags)
    assert answer.code == 0
    assert played == [(5, 9)]
    lines = [line.strip("│ ").split() for line in answer.out.splitlines()]
    assert ["2", "│", "2.00", "│", "0.00", "│", "2.00", "│", "2.00", "│", "5"] in lines
    assert ["all", "│", "1.00", "│", "│", "│", "│", "15"] in lines
    assert ["95", "%", "│", "-1.48", "to", "3.48"] in lines


def test_the_interval_is_over_seeds_or_over_the_episodes_of_one(command, finished_run, played):
    flags = ["--episodes", "40", "--json"]
    answer = json.loads(command("evaluate", str(finished_run), *IMPORT, *flags).out)
    # Student's interval of 0, 1 and 2: the quantile 4.3027 times the standard error 1 / sqrt(3).
    half = 4.3026527 / 3**0.5
    assert [answer["mean"], *answer["ci95"]] == pytest.approx([1.0, 1 - half, 1 + half])
    # Of 1 and 3: 12.7062 times 1.
    assert return_interval([[1.0, 3.0]]) == pytest.approx((2.0, 2 - 12.7062047, 2 + 12.7062047))
    assert np.isnan(return_interval([[1.0]])[1:]).all()


@pytest.fixture
def cut(monkeypatch):
    """Of each seed's two episodes the second was cut; one whose rewards were nan was not."""

    def evaluate_run(run, *, num_episodes, seed, explores=False):
        seeds = len(run.specification.members)
        returns = np.stack([np.arange(seeds, dtype=float), np.full(seeds, np.nan)], axis=1)
        return Evaluation(returns=returns, lengths=np.broadcast_to([3, 0], (seeds, 2)))

    monkeypatch.setattr(runs, "evaluate_run", evaluate_run)


def test_evaluate_says_how_many_episodes_were_cut(command, finished_run, cut):
    words = ["evaluate", str(finished_run), *IMPORT, "--episodes", "2"]
    answer = command(*words)
    assert answer.code == 0
    assert "3 of 6 episodes had not ended after max_episode_steps=30 steps" in answer.out
    lines = [line.strip("│ ").split() for line in answer.out.splitlines()]
    assert ["2", "│", "2.00", "│", "0.00", "│", "2.00", "│", "2.00", "│", "1"] in lines
    data = json.loads(command(*words, "--json").out)
    assert data["cut"] == 3
    assert data["mean"] == 1.0
    assert data["returns"] == [[0.0, None], [1.0, None], [2.0, None]]


def test_where_every_episode_was_cut_there_is_no_mean():
    returns, lengths = np.full((2, 3), np.nan), np.zeros((2, 3))
    assert np.isnan(return_interval(returns, lengths)).all()
    run = runs.Specification(
        algorithm="ppo",
        environment="CartPole-v1",
        settings=PPOConfig(),
        members=runs.make_members(range(2)),
    )
    returns_table(returns, lengths, run, title="nothing")
    # A return that is nan because rewards were is no cut episode: the mean is not hidden.
    assert np.isnan(return_interval([[1.0, np.nan]], [[2, 2]])[0])


def test_training_says_how_many_episodes_were_cut(command, tmp_path, monkeypatch):
    from jaxrl import training

    def evaluate(key, environment, policy, *, num_episodes):
        return Evaluation(jnp.full(num_episodes, jnp.nan), jnp.zeros(num_episodes, jnp.int32))

    monkeypatch.setattr(training, "evaluate", evaluate)
    flags = ["--total-steps", "20", "--evaluation-episodes", "2", "--out", str(tmp_path / "run")]
    answer = command("train", *IMPORT, "quick", "CartPole-v1", *flags)
    assert answer.code == 0
    assert "2 of 2 episodes had not ended after max_episode_steps=500 steps" in answer.out


def test_resuming_a_finished_run_changes_nothing(command, finished_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    before = (folder / "metrics.jsonl").read_bytes()
    answer = command("resume", str(folder), *IMPORT)
    assert answer.code == 0
    assert "nothing left to do" in answer.err
    assert (folder / "metrics.jsonl").read_bytes() == before


def test_an_interrupted_run_ends_with_the_code_of_ctrl_c(command, finished_run, monkeypatch):
    outcome = runs.Outcome(
        folder=finished_run,
        finished=False,
        steps_before=0,
        steps=10,
        compile_seconds=1.0,
        run_seconds=1.0,
    )
    monkeypatch.setattr(runs, "resume", lambda folder, **options: outcome)
    answer = command("resume", str(finished_run), *IMPORT)
    assert answer.code == 130
    assert answer.out == ""


def test_ctrl_c_before_a_run_begins(command, finished_run, monkeypatch):
    def interrupted(folder, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "resume", interrupted)
    assert command("resume", str(finished_run), *IMPORT).code == 130


def test_plot_and_render_write_pictures(command, finished_run, tmp_path):
    curve, film = tmp_path / "curve.png", tmp_path / "film.gif"
    runs = [str(finished_run), str(finished_run)]
    answer = command("plot", *runs, *IMPORT, "--out", str(curve), "--statistic", "iqm")
    assert answer.code == 0
    answer = command("render", str(finished_run), *IMPORT, "--out", str(film), "--seed-index", "2")
    assert answer.code == 0
    assert answer.out.startswith(str(film))
    with Image.open(film) as picture:
        assert picture.n_frames > 2


def test_render_plays_in_another_environment(command, finished_run, tmp_path):
    film = tmp_path / "film.gif"
    words = ["render", str(finished_run), *IMPORT, "--out", str(film)]
    answer = command(*words, "--env.max-steps-in-episode", "3")
    assert answer.code == 0
    assert answer.out == f"{film}: 3 steps, return 3\n"
    answer = command(*words, "--env.gravty", "11")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "jaxrl: error: unknown flag --env.gravty: did you mean --env.gravity?\n"


def test_compare_prints_tables_and_draws(command, finished_run, tmp_path):
    picture, references = tmp_path / "comparison.png", tmp_path / "references.toml"
    references.write_text("CartPole-v1 = [0, 30]\n")
    sides = [f"first [a]={finished_run}", f"second={finished_run}"]
    flags = ["--trust", "--normalize", str(references), "--out", str(picture)]
    answer = command("compare", *sides, *flags)
    assert answer.code == 0
    lines = [line.strip("│ ").split(" │ ") for line in answer.out.splitlines()]
    names = [cells[0].strip() for cells in lines if cells[1:] and cells[1].startswith("first [a]")]
    assert names[1:] == ["Interquartile mean", "Median", "Mean", "Optimality gap (less is better)"]
    assert names[0].startswith("CartPole-v1")
    better = [cells for cells in lines if cells[0].strip() == "first [a]"]
    assert [cell.strip() for cell in better[0][1:3]] == ["second", "0.500"]
    assert f"scores 0 and 1 are the returns given in {references}" in answer.out
    assert answer.out.endswith(f"picture: {picture}\n")
    with Image.open(picture) as image:
        assert image.width > 1000


def test_compare_prints_json_and_nothing_else(command, finished_run):
    answer = command("compare", "--trust", f"a={finished_run}", f"b={finished_run}", "--json")
    assert (answer.code, answer.err) == (0, "")
    data = json.loads(answer.out)
    task = "CartPole-v1, max_steps_in_episode=30"
    rows = [
        json.loads(line) for line in (finished_run / "evaluations.jsonl").read_text().splitlines()
    ]
    # The last evaluation of each of the three agents.
    returns = [np.mean(row["returns"]) for row in rows[-3:]]
    first, second = data["sides"]
    assert first["returns"][task] == second["returns"][task] == pytest.approx(returns)
    assert data["references"] == {task: [min(returns), max(returns)]}
    scores = (np.array(returns) - min(returns)) / np.ptp(returns)
    assert first["mean"]["value"] == pytest.approx(scores.mean())
    low, high = first["iqm"]["ci95"]
    assert low <= first["iqm"]["value"] <= high
    (improvement,) = data["improvement"]
    assert (improvement["first"], improvement["second"], improvement["value"]) == ("a", "b", 0.5)
    flags = ["--trust", "--normalize", "none", "--json"]
    plain = json.loads(command("compare", str(finished_run), *flags).out)
    assert plain["references"] is None
    assert plain["sides"][0]["optimality_gap"] is None
    assert plain["sides"][0]["mean"]["value"] == pytest.approx(np.mean(returns))
    assert plain["improvement"] == []


def test_list_names_everything(command):
    answer = command("list", *IMPORT)
    assert answer.code == 0
    assert re.search(r"^  quick +Does nothing, quickly\.$", answer.out, re.MULTILINE)
    assert "A second line" not in answer.out
    assert "  MountainCarContinuous-v0\n" in answer.out
    assert "  ppo CartPole-v1\n" in answer.out
    assert "ppo Acrobot-v1" in command("list", "presets").out.splitlines()


def test_help_at_every_level(command):
    for words in (["--help"], ["-h"], ["train", "--help"]):
        answer = command(*words)
        assert answer.code == 0
        assert "usage: jaxrl" in answer.out
    for name in ("resume", "evaluate", "plot", "compare", "render", "list"):
        assert f"usage: jaxrl {name}" in command(name, "--help").out


def test_the_help_of_train_shows_the_presets_values(command):
    tuned = preset("ppo", "CartPole-v1")
    answer = command("train", "ppo", "CartPole-v1", "--help")
    text = " ".join(answer.out.replace("│", " ").split())
    assert answer.code == 0
    assert "preset ppo/CartPole-v1" in text
    assert f"over each rollout. (default: {tuned['num_epochs']})" in text
    assert "--env.gravity FLOAT (default: 9.8)" in text
    plain = command("train", "ppo", "CartPole-v1", "--no-preset", "--help").out
    assert "over each rollout. (default: 4)" in " ".join(plain.replace("│", " ").split())
    assert "--env." not in command("train", "ppo", "--help").out


def test_the_version_is_shown(command):
    assert command("--version").out.startswith("jaxrl ")


def test_help_imports_nothing_slow():
    program = (
        "import sys, jaxrl\n"
        "before = set(sys.modules)\n"
        "from jaxrl.cli import main\n"
        "main(['--help'])\n"
        "print('new:', *sorted(set(sys.modules) - before))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    new = answer.stdout.partition("new:")[2].split()
    assert "jaxrl.cli" in new
    slow = {"tyro", "gymnax", "matplotlib", "scipy.stats", "rich", "jaxrl.runs", "PIL"}
    assert not slow & set(new)


def test_evaluate_plays_in_another_environment(command, finished_run):
    words = ["evaluate", str(finished_run), *IMPORT, "--episodes", "3"]
    answer = command(*words, "--json", "--env.max-steps-in-episode", "7", "--env.gravity", "11")
    assert answer.code == 0
    found = json.loads(answer.out)
    assert found["environment_parameters"] == {"max_steps_in_episode": 7, "gravity": 11.0}
    assert 0 < found["mean"] <= 7
    shown = command(*words, "--env.gravity", "11").out
    assert "with gravity=11.0" in shown
    assert "environment_parameters" not in command(*words, "--json").out
    answer = command(*words, "--env.gravty", "11")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "jaxrl: error: unknown flag --env.gravty: did you mean --env.gravity?\n"
    for flags in (["--json"], []):
        answer = command(*words, *flags, "--env.gravity", "inf")
        assert answer.code == 2
        assert "environment parameter gravity=inf must be finite" in answer.err
        assert answer.err.count("\n") == 1

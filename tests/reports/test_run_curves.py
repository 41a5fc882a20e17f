"""From run folders to curves."""

import json

import numpy as np
import pytest
from PIL import Image

import jaxrl
from jaxrl import runs
from jaxrl.reports import plot_runs
from jaxrl.reports.run_curves import _run_curves, _run_labels

TWO_SEEDS = runs.make_members(range(2))


def write_run(folder, environment="CartPole-v1", members=TWO_SEEDS):
    folder.mkdir()
    specification = runs.Specification(
        algorithm="ppo", environment=environment, settings=jaxrl.PPOConfig(), members=members
    )
    config = runs.specification.to_json(specification)
    (folder / "config.json").write_text(json.dumps(config))
    rows = [
        {
            "member": seed,
            "seed": seed,
            "steps": 100 * (row + 1),
            "episodes": row + 1,
            "episode_return": None if row == 0 else 10.0 * row + seed,
        }
        for row in range(3)
        for seed in range(2)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluations = [
        {
            "member": seed,
            "seed": seed,
            "steps": 300,
            "returns": [1.0 + seed, 3.0 + seed],
            "lengths": [1, 3],
        }
        for seed in range(2)
    ]
    text = "".join(json.dumps(row) + "\n" for row in evaluations)
    (folder / "evaluations.jsonl").write_text(text)
    return folder


def test_a_curve_over_steps_and_over_episodes(tmp_path):
    run = write_run(tmp_path / "a")
    (curve,) = _run_curves(run, "a", metric="episode_return", x="steps")
    np.testing.assert_array_equal(curve.x, [100, 200, 300])
    np.testing.assert_array_equal(curve.values[:, 1:], [[10, 20], [11, 21]])
    assert np.isnan(curve.values[:, 0]).all()
    # Rows count the episodes that finished within them: 1, 2 and 3.
    (curve,) = _run_curves(run, "a", metric="episode_return", x="episodes")
    np.testing.assert_array_equal(curve.x, [1, 3, 6])


def test_a_curve_of_evaluations(tmp_path):
    run = write_run(tmp_path / "a")
    (curve,) = _run_curves(run, "a", metric="evaluation_return", x="steps")
    np.testing.assert_array_equal(curve.x, [300])
    np.testing.assert_array_equal(curve.values, [[2.0], [3.0]])


def test_labels_tell_runs_apart(tmp_path):
    first = write_run(tmp_path / "first")
    second = write_run(tmp_path / "second")
    assert _run_labels([first], with_task=True) == ["ppo, CartPole-v1"]
    assert _run_labels([first], with_task=False) == ["ppo"]
    assert _run_labels([first, second], with_task=True) == ["first", "second"]
    assert _run_labels([first, first], with_task=False) == [str(first), str(first)]


def test_each_environment_has_a_panel(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "jaxrl.reports.curves.save_picture",
        lambda figure, out, description: drawn.append((figure, description)) or out,
    )
    tasks = {"a": "CartPole-v1", "b": "Acrobot-v1", "c": "CartPole-v1"}
    plot_runs([write_run(tmp_path / name, tasks[name]) for name in tasks], tmp_path / "c.png")
    ((figure, description),) = drawn
    cart_pole, acrobot = figure.axes
    assert cart_pole.get_title(loc="left").startswith("CartPole-v1\nmean and Student's")
    assert acrobot.get_title(loc="left").startswith("Acrobot-v1\n")
    # Of two seeds each a line, and the mean of each run.
    assert (len(cart_pole.lines), len(acrobot.lines)) == (6, 3)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "c", "ppo"]
    # The last returns are 20 and 21; Student's quantile is 12.7062, the standard error .5.
    assert "ppo: mean over 2 seeds 20.5 (14.1469 to 26.8531) at 300" in description


def test_what_is_to_be_seen_is_in_the_file(tmp_path):
    out = plot_runs([write_run(tmp_path / "a")], tmp_path / "curve.png")
    with Image.open(out) as picture:
        text = picture.info["Description"]
    assert text == "ppo, CartPole-v1: mean over 2 seeds 20.5 (14.1469 to 26.8531) at 300"


def test_several_runs_in_one_picture(tmp_path):
    runs = [write_run(tmp_path / "a"), write_run(tmp_path / "b")]
    out = plot_runs(runs, tmp_path / "curve.png", statistic="iqm")
    assert out.stat().st_size > 10_000
    single = plot_runs(runs[:1], tmp_path / "one.png", metric="evaluation_return")
    assert single.exists()


def test_what_cannot_be_plotted(tmp_path):
    run = write_run(tmp_path / "a")
    out = tmp_path / "curve.png"
    with pytest.raises(ValueError, match="no run folder"):
        plot_runs([], out)
    with pytest.raises(ValueError, match="x='hours' is not one of steps, episodes"):
        plot_runs([run], out, x="hours")
    with pytest.raises(ValueError, match="no metric 'joy': it has evaluation_return, episode_ret"):
        plot_runs([run], out, metric="joy")
    with pytest.raises(ValueError, match="known by steps only"):
        plot_runs([run], out, metric="evaluation_return", x="episodes")
    with pytest.raises(ValueError, match="is not a run"):
        plot_runs([tmp_path], out)
    (run / "metrics.jsonl").write_text("")
    with pytest.raises(ValueError, match="nothing to plot yet"):
        plot_runs([run], out)
    assert not out.exists()

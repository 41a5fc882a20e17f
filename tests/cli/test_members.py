"""The commands on a run whose members differ in settings and environment parameters."""

import json

import numpy as np
import pytest

import jaxrl
from jaxrl import runs


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """CEM with 2 scales of noise x 2 gravities x 2 seeds."""
    folder = tmp_path_factory.mktemp("runs") / "grid"
    members = runs.make_members(
        (3, 4),
        settings={"noise_scale": [0.5, 2.0]},
        environment_parameters={"gravity": [9.8, 30.0]},
    )
    config = jaxrl.CEMConfig(
        total_steps=1_000, population_size=8, episodes_per_candidate=1, hidden_sizes=()
    )
    run = runs.Specification(
        algorithm="cem",
        environment="CartPole-v1",
        settings=config,
        members=members,
        evaluation_episodes=2,
    )
    assert runs.start(run, folder).finished
    return folder


def test_evaluate_says_each_group(command, grid):
    answer = command("evaluate", str(grid), "--episodes", "3", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    returns = np.array(found["returns"])
    assert returns.shape == (8, 3)
    labels = [group["settings"] for group in found["groups"]]
    assert labels == [
        f"noise_scale={std}, env.gravity={gravity}" for std in ("0.5", "2") for gravity in (9.8, 30)
    ]
    for place, group in enumerate(found["groups"]):
        assert group["members"] == [2 * place, 2 * place + 1]
        own = returns[group["members"]]
        np.testing.assert_allclose(group["mean"], own.mean(), rtol=1e-6)


def test_the_table_has_a_mean_for_each_group(command, grid, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    answer = command("evaluate", str(grid), "--episodes", "3")
    assert answer.code == 0, answer.err
    for label in ("noise_scale=0.5, env.gravity=9.8", "noise_scale=2, env.gravity=30"):
        assert label in answer.out


def test_plot_draws_each_group(command, grid, tmp_path):
    picture = tmp_path / "curve.png"
    answer = command("plot", str(grid), "--out", str(picture))
    assert answer.code == 0, answer.err
    assert picture.stat().st_size > 10_000


def test_resume_finds_nothing_left(command, grid):
    answer = command("resume", str(grid))
    assert answer.code == 0, answer.err
    assert "nothing left to do" in answer.out + answer.err


def test_memory_is_weighed_from_python_too():
    """No machine has room for this many environments: said before anything is compiled."""
    run = runs.Specification(
        algorithm="ppo",
        environment="CartPole-v1",
        settings=jaxrl.PPOConfig(num_envs=2**28, num_steps=4, num_minibatches=1),
        members=runs.make_members(range(64)),
    )
    with pytest.raises(ValueError, match=r"needs at least .* GiB of memory"):
        runs.prepare(run)

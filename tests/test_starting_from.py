"""A run that begins from an earlier one: what is read, when, and what is refused."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest
from runs import toy

import jaxrl
from jaxrl import cli, runs
from jaxrl.runs import ExperimentError, programs

SMALL = jaxrl.PPOConfig(
    total_steps=32, num_envs=2, num_steps=8, num_minibatches=1, hidden_sizes=(4,)
)
# So small that no parameter moves.
STILL = dataclasses.replace(SMALL, learning_rate=2e-38)


def specification(settings=SMALL, seeds=2, **changes):
    return runs.Specification(
        algorithm="ppo",
        environment="CartPole-v1",
        settings=settings,
        members=runs.make_members(range(seeds)),
        evaluation_episodes=0,
        **changes,
    )


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("earlier") / "run"
    runs.start(specification(), folder)
    return folder


def params_of(folder):
    return jax.device_get(runs.load(folder).states.agent.params)


@pytest.mark.parametrize(
    ("changes", "members"),
    [({}, [0, 1]), ({"start_from_member": 1}, [1, 1]), ({"start_from_member": 0}, [0, 0, 0])],
)
def test_members_begin_with_those_of_the_earlier_run(earlier, tmp_path, changes, members):
    run = specification(STILL, seeds=len(members), start_from=str(earlier), **changes)
    runs.start(run, tmp_path / "run")
    taken = jax.tree.map(lambda leaf: leaf[members], params_of(earlier))
    jax.tree.map(np.testing.assert_array_equal, params_of(tmp_path / "run"), taken)
    assert runs.read_specification(tmp_path / "run").start_from == str(earlier)


def test_the_earlier_run_is_read_once(earlier, tmp_path, monkeypatch):
    """Killed in its first chunk, the run goes on to the same bits although the other is gone."""
    whole, killed, source = tmp_path / "whole", tmp_path / "killed", tmp_path / "source"
    shutil.copytree(earlier, source)
    run = specification(start_from=str(source))
    runs.start(run, whole)

    class Killed(BaseException):
        """Stands for the end of the process."""

    def die(*given):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(programs.Programs, "advance", die)
        with pytest.raises(Killed):
            runs.start(run, killed)
    shutil.rmtree(source)
    runs.resume(killed)
    jax.tree.map(np.testing.assert_array_equal, params_of(killed), params_of(whole))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 3}, "has 2 agents and the new run 3: choose one of them for all"),
        ({"start_from_member": 2}, "start_from_member=2: .* has the agents 0 to 1"),
        (
            {"settings": dataclasses.replace(SMALL, hidden_sizes=(8,))},
            r"cannot start from .*has shape \(4,\) in the earlier run and \(8,\) in the new one",
        ),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_written(earlier, tmp_path, changes, message):
    with pytest.raises(ExperimentError, match=message):
        runs.start(specification(start_from=str(earlier), **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_folders_that_hold_nothing_to_start_from(tmp_path, monkeypatch):
    with pytest.raises(ExperimentError, match="is not a run"):
        runs.start(specification(start_from=str(tmp_path)), tmp_path / "run")
    toy.install(monkeypatch.setattr, monkeypatch.setitem)
    runs.start(toy.specification(), tmp_path / "toy")
    with pytest.raises(ExperimentError, match="take a run of the same algorithm"):
        runs.start(specification(start_from=str(tmp_path / "toy")), tmp_path / "run")
    with pytest.raises(ValueError, match="start_from_member needs start_from"):
        specification(start_from_member=0)


def test_on_the_command_line(earlier, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(earlier.parent)
    words = ["train", "ppo", "CartPole-v1", "--no-preset", "--total-steps", "32", "--num-envs", "2"]
    words += ["--num-steps", "8", "--num-minibatches", "1", "--hidden-sizes", "4", "--seeds", "3"]
    words += ["--evaluation-episodes", "0", "--learning-rate", "2e-38", "--out"]
    flags = [str(tmp_path / "run"), "--from", earlier.name, "--from-member", "1"]
    assert cli.main([*words, *flags]) == 0
    taken = jax.tree.map(lambda leaf: leaf[[1, 1, 1]], params_of(earlier))
    jax.tree.map(np.testing.assert_array_equal, params_of(tmp_path / "run"), taken)
    capsys.readouterr()
    assert cli.main([*words, str(tmp_path / "other"), "--from", earlier.name]) == 2
    assert (
        "choose one of them for all (start_from_member, --from-member)" in capsys.readouterr().err
    )
    assert not (tmp_path / "other").exists()
    assert cli.main([*words, str(tmp_path / "other"), "--from-member", "1"]) == 2
    assert "start_from_member needs start_from" in capsys.readouterr().err

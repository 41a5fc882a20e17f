"""A network of the user's own goes through every command by its name."""

import json
import sys

import pytest

from jaxrl import networks, runs

SMALL = ("--num-envs", "4", "--num-steps", "8", "--num-minibatches", "1", "--total-steps", "64")
TRAIN = ("train", "ppo", "CartPole-v1", "--no-preset", *SMALL, "--evaluation-episodes", "2")


@pytest.fixture
def forget(monkeypatch):
    """Lets the module be imported anew, as another process would."""

    def forget():
        monkeypatch.setattr(networks.registry, "_networks", {})
        monkeypatch.delitem(sys.modules, "own_networks", raising=False)

    forget()
    return forget


def test_it_trains_evaluates_and_resumes(command, forget, tmp_path):
    folder = tmp_path / "run"
    flags = ("--import", "own_networks", "--network", "narrow", "--out", str(folder))
    answer = command(*TRAIN, "--checkpoint-interval", "32", *flags)
    assert answer.code == 0, answer.err
    config = json.loads((folder / "config.json").read_text())
    assert config["settings"]["network"] == "narrow"
    assert config["imports"] == ["own_networks"]
    params = runs.load(folder).state_of(0).agent.params["params"]
    assert params["actor_torso"]["Dense_0"]["kernel"].shape == (4, 3)
    forget()
    answer = command("evaluate", str(folder), "--import", "own_networks", "--json")
    assert answer.code == 0, answer.err
    forget()
    # From Python nothing is imported: the reader is told what is missing.
    with pytest.raises(ValueError, match=r"unknown network network='narrow': .*--import MODULE"):
        runs.load(folder)


def test_a_name_that_is_not_registered_is_one_line(command, forget, tmp_path):
    answer = command(*TRAIN, "--network", "narrow", "--out", str(tmp_path / "run"))
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "unknown network network='narrow': there are default" in answer.err
    assert "--import MODULE" in answer.err
    assert not (tmp_path / "run").exists()

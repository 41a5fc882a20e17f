"""A policy with memory goes through every command."""

import json
import shutil

import pytest
from PIL import Image


@pytest.fixture
def run_with_memory(command, tmp_path):
    """A finished run with two checkpoints, the first of them half-way."""
    folder = tmp_path / "run"
    flags = ["--core", "gru", "--core-size", "4", "--hidden-sizes", "8"]
    flags += ["--num-envs", "4", "--num-steps", "16", "--num-minibatches", "2"]
    flags += ["--total-steps", "128", "--evaluation-episodes", "3", "--checkpoint-interval", "64"]
    answer = command("train", "ppo", "MemoryChain-bsuite", *flags, "--out", str(folder))
    assert answer.code == 0, answer.err
    return folder


def test_train_evaluate_resume_and_render(command, run_with_memory, tmp_path):
    settings = json.loads((run_with_memory / "config.json").read_text())["settings"]
    assert (settings["core"], settings["core_size"]) == ("gru", 4)
    answer = command("evaluate", str(run_with_memory), "--episodes", "5", "--json")
    assert answer.code == 0, answer.err
    returns = json.loads(answer.out)["returns"]
    assert [len(row) for row in returns] == [5]
    assert set(returns[0]) <= {-1.0, 1.0}
    picture = tmp_path / "episode.gif"
    answer = command("render", str(run_with_memory), "--out", str(picture))
    assert answer.code == 0, answer.err
    with Image.open(picture) as image:
        assert image.n_frames == 7


def test_resume_goes_on_with_the_memories_as_they_were(command, run_with_memory):
    """Without its last checkpoint the run is half done; resumed, it ends in the same metrics."""

    def rows():
        lines = (run_with_memory / "metrics.jsonl").read_text().splitlines()
        return [
            {name: value for name, value in json.loads(line).items() if "second" not in name}
            for line in lines
        ]

    before = rows()
    checkpoints = sorted((run_with_memory / "checkpoints").iterdir())
    assert len(checkpoints) == 2
    shutil.rmtree(checkpoints[-1])
    answer = command("resume", str(run_with_memory))
    assert answer.code == 0, answer.err
    assert len(list((run_with_memory / "checkpoints").iterdir())) == 2
    assert rows() == before


def test_a_wrong_number_of_minibatches_is_one_line(command, tmp_path):
    flags = ["--core", "gru", "--num-envs", "4", "--num-minibatches", "3"]
    answer = command("train", "ppo", "CartPole-v1", "--no-preset", *flags, "--out", str(tmp_path))
    assert answer.code == 2
    assert "num_minibatches=3 does not divide num_envs = 4" in answer.err

"""A policy with memory goes through every command."""

import json
import shutil

import pytest
from PIL import Image

from jaxrl.cli import main


@pytest.fixture(scope="module", params=["gru", "lstm"])
def run_with_memory(request, tmp_path_factory):
    """A finished run with two checkpoints, the first of them half-way; copied before a change."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    flags = ["--core", request.param, "--core-size", "4", "--hidden-sizes", "8"]
    flags += ["--num-envs", "4", "--num-steps", "16", "--num-minibatches", "2"]
    flags += ["--total-steps", "128", "--evaluation-episodes", "3", "--checkpoint-interval", "64"]
    assert main(["train", "ppo", "MemoryChain-bsuite", *flags, "--out", str(folder)]) == 0
    return folder


@pytest.mark.full
def test_train_evaluate_resume_and_render(command, run_with_memory, tmp_path):
    settings = json.loads((run_with_memory / "config.json").read_text())["settings"]
    assert settings["core"] in ("gru", "lstm")
    assert settings["core_size"] == 4
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


@pytest.mark.full
def test_resume_goes_on_with_the_memories_as_they_were(command, run_with_memory, tmp_path):
    """Without its last checkpoint the run is half done; resumed, it ends in the same metrics."""
    folder = shutil.copytree(run_with_memory, tmp_path / "run")

    def rows():
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        return [
            {name: value for name, value in json.loads(line).items() if "second" not in name}
            for line in lines
        ]

    before = rows()
    checkpoints = sorted((folder / "checkpoints").iterdir())
    assert len(checkpoints) == 2
    shutil.rmtree(checkpoints[-1])
    answer = command("resume", str(folder))
    assert answer.code == 0, answer.err
    assert len(list((folder / "checkpoints").iterdir())) == 2
    assert rows() == before


def test_a_wrong_number_of_minibatches_is_one_line(command, tmp_path):
    flags = ["--core", "gru", "--num-envs", "4", "--num-minibatches", "3"]
    answer = command("train", "ppo", "CartPole-v1", "--no-preset", *flags, "--out", str(tmp_path))
    assert answer.code == 2
    assert "num_minibatches=3 does not divide num_envs = 4" in answer.err

"""`jaxrl sweep --distributed`: two processes on the loopback, of which one may be killed."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
SWEEP = (
    *("sweep", "quick", "CartPole-v1", "--import", "dying_algorithm"),
    *("--learning-rate", "0.1,0.2,0.3,0.4", "--sampler", "grid"),
    *("--seeds", "2", "--evaluation-episodes", "2", "--env.max-steps-in-episode", "20"),
    *("--halving", "2", "--rungs", "2", "--validate", "2"),
)


def begin(words, **variables):
    return subprocess.Popen(
        [sys.executable, "-m", "jaxrl", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=HERE,
        env=os.environ | {name: str(value) for name, value in variables.items()},
    )


def end(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def run_pair(words, *, dies=(0, 0)):
    """Runs the two processes of a command; returns (code, stdout, stderr) of each."""
    told = ("--distributed", "--coordinator", f"localhost:{free_port()}", "--num-processes", "2")
    pair = [
        begin((*words, *told, "--process-id", str(i)), JAXRL_TEST_DIES=dies[i]) for i in range(2)
    ]
    return [end(process) for process in pair]


def run_pair_of_slurm(words):
    """The same, told by nothing but what SLURM tells its processes."""
    job = {"SLURM_JOB_ID": 1, "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": 2}
    job["JAX_COORDINATOR_PORT"] = free_port()
    pair = [
        begin((*words, "--distributed"), SLURM_PROCID=i, SLURM_LOCALID=i, **job) for i in range(2)
    ]
    return [end(process) for process in pair]


def free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def table(folder):
    return (folder / "trials.jsonl").read_bytes()


@pytest.fixture(scope="module")
def by_one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one") / "sweep"
    code, _, err = end(begin((*SWEEP, "--out", str(folder))))
    assert code == 0, err
    return table(folder)


@pytest.mark.full
def test_two_processes_make_the_table_of_one(tmp_path, by_one):
    folder = tmp_path / "sweep"
    first, second = run_pair((*SWEEP, "--out", str(folder)))
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert table(folder) == by_one
    # Both have trained, and one speaks.
    names = {path.name for path in (folder / "blocks").iterdir()}
    assert {"rung0-group000-part0-000", "rung0-group000-part1-000"} <= names
    assert "trained again with 2 fresh seeds" in first[1]
    assert second[1] == ""
    again = run_pair((*SWEEP, "--out", str(folder)))
    assert [answer[0] for answer in again] == [2, 2]
    assert all("already holds a sweep" in answer[2] for answer in again)


@pytest.mark.full
@pytest.mark.parametrize("killed", [0, 1])
def test_one_is_killed_and_the_other_ends_with_a_line(tmp_path, by_one, killed):
    folder, alone = tmp_path / "sweep", tmp_path / "alone"
    answers = run_pair((*SWEEP, "--out", str(folder)), dies=(1 - killed, killed))
    left = 1 - killed
    assert answers[killed][0] == -9
    code, out, err = answers[left]
    assert code == 2, err
    lines = [line for line in err.splitlines() if line.startswith("jaxrl: error: ")]
    assert lines == [
        f"jaxrl: error: process {killed} of 2 has ended, and so does process {left}; what was "
        f"saved goes on with: jaxrl resume {folder}"
    ]
    assert err.splitlines()[-1] == lines[0]
    assert "Traceback" not in err
    assert out.count("\n") <= 4
    shutil.copytree(folder, alone)
    pair = run_pair_of_slurm(("resume", str(folder), "--trust"))
    assert [answer[0] for answer in pair] == [0, 0], pair
    assert table(folder) == by_one
    code, _, err = end(begin(("resume", str(alone), "--trust")))
    assert code == 0, err
    assert table(alone) == by_one


WRONG = [
    ("--coordinator localhost:1234", "--coordinator does nothing without --distributed"),
    ("--process-id 1", "--process-id does nothing without --distributed"),
    ("--distributed --num-processes 2", "coordinator is missing"),
    ("--distributed --coordinator h:1 --num-processes 2", "process_id is missing"),
    ("--distributed --coordinator h --num-processes 2 --process-id 0", "write HOST:PORT"),
    ("--distributed --coordinator h:0 --num-processes 2 --process-id 0", "write HOST:PORT"),
    ("--distributed --coordinator h:1 --num-processes 0 --process-id 0", "num_processes=0"),
    ("--distributed --coordinator h:1 --num-processes 2 --process-id 2", "process_id=2"),
    ("--distributed --coordinator h:1 --num-processes 2 --process-id -1", "process_id=-1"),
    ("--distributed --coordinator h:1 --num-processes two --process-id 0", "'two' is not a whole"),
    ("--distributed --coordinator h:1 --num-processes 2 --process-id", "needs a value"),
]


@pytest.mark.parametrize(("flags", "message"), WRONG)
@pytest.mark.parametrize("name", ["sweep", "resume"])
def test_bad_input_gets_one_line(command, tmp_path, name, flags, message):
    folder = tmp_path / "sweep"
    words = (*SWEEP, "--out", str(folder)) if name == "sweep" else ("resume", str(folder))
    if name == "resume":
        folder.mkdir()
        (folder / "sweep.json").write_text("{}")
    answer = command(*words, *flags.split())
    assert answer.code == 2
    assert message in answer.err
    assert answer.err.startswith("jaxrl: error: ")
    assert answer.err.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*.json*")] == ["sweep.json"] * (name == "resume")


def test_what_cannot_be_distributed(command, tmp_path, finished_run):
    answer = command(*SWEEP, "--distributed")
    assert answer.code == 2
    assert "--distributed needs --out" in answer.err
    answer = command("resume", str(finished_run), "--distributed")
    assert answer.code == 2
    assert "is not a sweep: --distributed goes on with sweeps only" in answer.err
    answer = command("resume", "--distributed")
    assert answer.code == 2
    assert "RUN is missing" in answer.err
    (tmp_path / "sweep.json").write_text("{}")
    answer = command(*SWEEP, "--out", str(tmp_path), "--distributed")
    assert answer.code == 2
    assert "already holds a sweep" in answer.err
    answer = command("train", "ppo", "CartPole-v1", "--distributed")
    assert answer.code == 2
    assert "unknown flag --distributed" in answer.err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("coordinator_address should be defined."), "there is no SLURM or Open MPI"),
        (
            RuntimeError("DEADLINE_EXCEEDED:\nBarrier timed out"),
            "cannot join: DEADLINE_EXCEEDED: Bar",
        ),
    ],
)
def test_processes_that_do_not_come_together(command, tmp_path, monkeypatch, error, message):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr("jax.distributed.initialize", fail)
    answer = command(*SWEEP, "--out", str(tmp_path / "sweep"), "--distributed")
    assert answer.code == 2
    assert message in answer.err
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "sweep").exists()

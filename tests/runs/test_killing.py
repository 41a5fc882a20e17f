import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest
from small_runs import NAMES

SCRIPT = pathlib.Path(__file__).parent / "killing.py"


def kill(folder, algorithm, count, seconds):
    command = [sys.executable, str(SCRIPT), str(folder), algorithm, str(count)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        # With the runs that it forked.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    assert process.returncode == 0, errors
    runs = [json.loads(line) for line in output.splitlines()]
    assert [run["same"] for run in runs] == [True] * count
    # Some kills must have hit a run between its first row and its last.
    assert any(0 < rows < run["of"] for run in runs for rows in run["killed_at"])


@pytest.mark.full
def test_kill_9_at_random_moments(tmp_path):
    kill(tmp_path, "toy", 5, seconds=300)


@pytest.mark.learning
@pytest.mark.parametrize("specification", ["ppo", "grid", "toy"])
def test_kill_9_20_times(tmp_path, specification):
    kill(tmp_path, specification, 20, seconds=3000)


@pytest.mark.learning
@pytest.mark.parametrize("algorithm", ["gru", *NAMES])
def test_kill_9_of_every_algorithm(tmp_path, algorithm):
    kill(tmp_path, algorithm, 8, seconds=3000)

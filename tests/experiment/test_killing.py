import json
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parent / "killing.py"


def kill(folder, algorithm, count, seconds):
    command = [sys.executable, str(SCRIPT), str(folder), algorithm, str(count)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert process.returncode == 0, process.stderr
    runs = [json.loads(line) for line in process.stdout.splitlines()]
    assert [run["same"] for run in runs] == [True] * count
    # Some kills must have hit a run between its first row and its last.
    assert any(0 < rows < run["of"] for run in runs for rows in run["killed_at"])


def test_kill_9_at_random_moments(tmp_path):
    kill(tmp_path, "toy", 5, seconds=300)


@pytest.mark.learning
def test_kill_9_of_ppo_20_times(tmp_path):
    kill(tmp_path, "ppo", 20, seconds=1800)

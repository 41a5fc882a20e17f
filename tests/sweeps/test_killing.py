"""`kill -9` at random moments of a sweep with halving: the same table, byte for byte."""

import json
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parent / "killing.py"


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(2, marks=pytest.mark.full),
        pytest.param(30, marks=[pytest.mark.full, pytest.mark.learning]),
    ],
)
def test_kill_9_at_random_moments(tmp_path, count):
    answer = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), str(count)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60 * (count + 5),
    )
    assert answer.returncode == 0, answer.stderr
    sweeps = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [sweep["same"] for sweep in sweeps] == [True] * count
    # Some kills must have hit a sweep between its first block and its last.
    assert any(0 < ended < 4 for sweep in sweeps for ended in sweep["killed_at"])

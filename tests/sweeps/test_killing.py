"""`kill -9` at random moments of a sweep: the same table, byte for byte, and no trial twice."""

import json
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parent / "killing.py"


def answer_of(folder, kind, count):
    answer = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), kind, str(count)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200 * (count + 5),
    )
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


@pytest.mark.parametrize("kind", ["grid", "tpe"])
@pytest.mark.parametrize(
    "count",
    [
        pytest.param(1, marks=pytest.mark.full),
        pytest.param(30, marks=[pytest.mark.full, pytest.mark.learning]),
    ],
)
def test_kill_9_at_random_moments(tmp_path, kind, count):
    if kind == "tpe":
        pytest.importorskip("optuna")
    sweeps = answer_of(tmp_path, kind, count)
    assert [sweep["same"] for sweep in sweeps] == [True] * count
    # Of many kills, some must have hit a sweep between its first block and its last.
    last = {"grid": 4, "tpe": 12}[kind]
    hit = any(0 < ended < last for sweep in sweeps for ended in sweep["killed_at"])
    assert hit or count < 30


@pytest.mark.full
def test_two_workers_on_one_study_of_which_one_is_killed(tmp_path):
    pytest.importorskip("optuna")
    # One study in a database, one in a journal file.
    for found in answer_of(tmp_path, "workers", 2):
        assert found["states"] == ["COMPLETE"]
        assert found["in_study"] == list(range(24))
        assert found["in_tables"] == found["in_study"]
        assert found["told"]

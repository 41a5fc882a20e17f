import json
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parent / "long_run.py"


@pytest.mark.full
def test_a_checkpoint_leaves_no_memory_behind(tmp_path):
    answer = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "run"), "600"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    *_, last = answer.stdout.splitlines()
    assert json.loads(last)["kib_per_checkpoint"] < 2

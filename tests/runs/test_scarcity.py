import json
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parent / "scarcity.py"


@pytest.mark.learning
@pytest.mark.parametrize("kind", ["size", "descriptors"])
def test_what_runs_out_is_one_line_and_the_run_goes_on(tmp_path, kind):
    answer = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), kind],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    *cases, _ = answer.stdout.splitlines()
    found = [json.loads(case) for case in cases]
    assert [case for case in found if not (case["one_line"] and case["same"])] == []
    # Some ended early, and the largest did not.
    assert found[0]["said"] != "finished"
    assert found[-1]["said"] == "finished"

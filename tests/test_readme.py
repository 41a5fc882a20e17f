"""The Python in the README runs as it is printed."""

import json
import pathlib
import re

import pytest
from PIL import Image

README = pathlib.Path(__file__).parent.parent / "README.md"


def test_the_picture_is_what_make_demo_draws() -> None:
    """Its seeds and its last row are those that the command comes to."""
    makefile = (README.parent / "Makefile").read_text()
    command = re.search(
        r"jaxrl train (\w+) (\S+) --seeds (\d+) --total-steps (\d+) --out", makefile
    )
    assert command is not None
    algorithm, environment, seeds, steps = command.groups()
    shown = re.search(r"!\[.*\]\((\S+learning_curve\.png)\)", README.read_text())
    assert shown is not None
    with Image.open(README.parent / shown[1]) as picture:
        text = picture.info["Description"]
    drawn = re.fullmatch(rf"{algorithm}, {environment}: mean over {seeds} seeds .* at (\d+)", text)
    assert drawn is not None, text
    # A row of metrics comes every two-hundredth of the run; the last one may have no episode.
    assert 0.95 * int(steps) < int(drawn[1]) < 1.05 * int(steps)


@pytest.mark.full
def test_the_examples_run(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 5
    program = "\n".join(blocks)
    assert program.count("total_steps=100_000") == 3
    names: dict = {}
    exec(program.replace("total_steps=100_000", "total_steps=1_024"), names)
    assert capsys.readouterr().out.startswith("[")
    assert names["results"].evaluations.returns.shape == (64, 10, 32)
    rows = [
        json.loads(row) for row in (tmp_path / "runs/grid/metrics.jsonl").read_text().splitlines()
    ]
    assert {row["member"] for row in rows} == set(range(24))
    assert {row["env.gravity"] for row in rows} == {9.8, 20.0}
    assert names["ended"]
    assert names["policy"](names["observation"]) in (0, 1)

"""The Python in the README runs as it is printed."""

import pathlib
import re

import pytest

README = pathlib.Path(__file__).parent.parent / "README.md"


def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 2
    program = "\n".join(blocks)
    assert program.count("total_steps=100_000") == 2
    names: dict = {}
    exec(program.replace("total_steps=100_000", "total_steps=1_024"), names)
    assert capsys.readouterr().out.startswith("[")
    assert names["results"].evaluations.returns.shape == (64, 10, 32)

"""The documentation's example is run as it stands."""

import pathlib
import re

import numpy as np
import pytest

from jaxrl import registry

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "new_algorithm.md"


@pytest.fixture
def blocks(monkeypatch):
    # What the example registers is forgotten after the test.
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_example_is_short(blocks):
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    assert len(blocks) == 4
    assert len(lines) < 100


def test_example_learns_cartpole(blocks):
    """A random policy reaches about 22, standing still about 9."""
    namespace = {"__name__": "example"}
    for block in blocks:
        exec(block, namespace)
    assert "plain-actor-critic" in registry.names()
    returns = np.asarray(namespace["result"].evaluations.returns).mean(axis=(1, 2))
    assert returns.shape == (4,)
    assert returns.mean() > 200

"""The notebooks are executed from top to bottom; a cell that fails fails the test."""

import importlib
import json
import pathlib
import re

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((pathlib.Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert [path.name for path in NOTEBOOKS] == [
        "01_quickstart.ipynb",
        "02_policy_search.ipynb",
        "03_sweeps.ipynb",
        "04_finance.ipynb",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_what_is_shown_is_of_the_cells_as_they_are(path, monkeypatch):
    monkeypatch.syspath_prepend(str(path.parent.parent / "docs"))
    notebook = nbformat.read(path, as_version=4)
    run_notebooks = importlib.import_module("run_notebooks")
    assert notebook.metadata.executed == run_notebooks.digest(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    texts = " ".join(json.dumps(output) for output in outputs)
    # Of nobody's machine.
    assert not re.search(r"/(home|root|work|tmp|usr)/", texts)
    assert path.stat().st_size < 2_000_000


@pytest.mark.full
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_runs(path, monkeypatch):
    # Notebooks train for longer than they compile, so theirs are programs like the users'.
    monkeypatch.delenv("XLA_FLAGS")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert "image/png" in kinds
    assert ("image/gif" in kinds) == (path.name == "01_quickstart.ipynb")

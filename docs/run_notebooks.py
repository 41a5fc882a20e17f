"""Executes the notebooks and writes their outputs into them.

    python docs/run_notebooks.py                       # all of them
    python docs/run_notebooks.py 01_quickstart.ipynb

A notebook remembers the digest of the cells that were executed, so that a test notices one that was
changed afterwards.
"""

import hashlib
import pathlib
import sys
import tempfile
from typing import Any

NOTEBOOKS = pathlib.Path(__file__).resolve().parent.parent / "notebooks"


def digest(notebook: Any) -> str:
    """What the code of a notebook comes to."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def execute(path: pathlib.Path) -> None:
    """Runs a notebook in an empty folder; what it printed as warnings is left out."""
    import nbformat
    from nbclient import NotebookClient

    notebook: Any = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    for cell in notebook.cells:
        # When a cell began and ended would change with every execution.
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [x for x in cell.outputs if x.get("name") != "stderr"]
    # The kernel writes its version here.
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata["executed"] = digest(notebook)
    nbformat.write(notebook, path)


def main() -> None:
    for name in sys.argv[1:] or sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")):
        print(f"executing {name}", flush=True)
        execute(NOTEBOOKS / name)


if __name__ == "__main__":
    main()

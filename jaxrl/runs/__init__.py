"""The impure shell: the one room that touches the disk, the clock and the terminal.

A run is a folder. `start` trains the seeds of a specification side by side in one compiled program
and writes the folder; `resume` goes on with one that was stopped, to the same bits.

    specification.py   what a run is: config.json
    folder.py          the files of a run, its lock, and what may be overwritten
    plan.py            how a run is cut into chunks, and how far it has come
    programs.py        the compiled programs: initialise, advance one chunk, evaluate
    rows.py            from a chunk's metrics to the rows of a file, and back to arrays
    logs.py            metrics.jsonl and evaluations.jsonl, and their cutting back
    charts.py          tensorboard/, Weights & Biases
    checkpoints.py     the whole state, verified when it is read
    circumstances.py   versions and device
    progress.py        what the terminal shows
    interruption.py    Ctrl-C
    session.py         one process's part of a run: the loop over chunks
    runner.py          start, resume, load
    compilation_cache.py   programs kept on the disk between processes
"""

from jaxrl.runs.compilation_cache import enable_compilation_cache
from jaxrl.runs.folder import ExperimentError
from jaxrl.runs.rows import EvaluationRows, read_evaluations, read_metrics
from jaxrl.runs.runner import Run, evaluate_run, load, resume, start
from jaxrl.runs.session import Outcome
from jaxrl.runs.specification import Specification, build, read_specification

__all__ = [
    "EvaluationRows",
    "ExperimentError",
    "Outcome",
    "Run",
    "Specification",
    "build",
    "enable_compilation_cache",
    "evaluate_run",
    "load",
    "read_evaluations",
    "read_metrics",
    "read_specification",
    "resume",
    "start",
]

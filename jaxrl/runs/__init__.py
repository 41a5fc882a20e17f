"""The impure shell: trains runs and keeps them in folders; here is what runs read and write.

A run is a folder. `start` trains the members of a specification side by side in one compiled
program and writes the folder; `resume` goes on with one that was stopped, to the same bits.
`reports` draws pictures of it, and `cli` prints what it has to say.

    specification.py   a run as data: config.json
    members.py         what the agents of a run may differ in, and its checks
    grouping.py        members as arrays, names in rows, and groups that share settings
    construction.py    from a specification to algorithms
    plan.py            how a run is cut into chunks, and how far it has come
    batched.py         initialise, advance one chunk and evaluate, as functions of all members
    devices.py         each local device runs its share of the members
    memory.py          what a traced program needs at least
    preparation.py     judges a run before anything is compiled or written
    programs.py        the same functions, compiled
    folder.py          the files of a run, its lock, and what may be overwritten
    _reading.py        the one way in for what lies in a folder
    rows.py            from a chunk's metrics to the rows of a file, and back to arrays
    logs.py            metrics.jsonl and evaluations.jsonl, and their cutting back
    charts.py          tensorboard/, Weights & Biases
    checkpoints.py     the whole state, verified when it is read
    provenance.py      versions, device and cores
    learnt.py          what a State has learnt, and whether it is finite
    divergence.py      who diverged, when and by what
    progress.py        the display on the terminal
    interruption.py    Ctrl-C
    session.py         one process's part of a run: the loop over chunks
    runner.py          start, resume, load
    acting.py          a trained policy outside of any program
    compilation_cache.py   programs kept on the disk between processes
"""

from jaxrl.runs.acting import TrainedPolicy, load_policy, save_state
from jaxrl.runs.compilation_cache import enable_compilation_cache
from jaxrl.runs.construction import build
from jaxrl.runs.devices import check_devices
from jaxrl.runs.divergence import read_divergences
from jaxrl.runs.folder import ExperimentError, check_new
from jaxrl.runs.grouping import Group, groups_of
from jaxrl.runs.members import Member, make_members
from jaxrl.runs.preparation import Prepared, prepare
from jaxrl.runs.rows import EvaluationRows, read_evaluations, read_metrics
from jaxrl.runs.runner import Run, evaluate_run, load, resume, start
from jaxrl.runs.session import Outcome
from jaxrl.runs.specification import Specification, read_specification

__all__ = [
    "EvaluationRows",
    "ExperimentError",
    "Group",
    "Member",
    "Outcome",
    "Prepared",
    "Run",
    "Specification",
    "TrainedPolicy",
    "build",
    "check_devices",
    "check_new",
    "enable_compilation_cache",
    "evaluate_run",
    "groups_of",
    "load",
    "load_policy",
    "make_members",
    "prepare",
    "read_divergences",
    "read_evaluations",
    "read_metrics",
    "read_specification",
    "resume",
    "save_state",
    "start",
]

"""Batched sweeps: spaces to search, trials grouped into few programs, halving, validation.

spaces.py           ranges and lists, in Python and as text
sampling.py         the trials: grid, random, Sobol, Latin hypercube
studies.py          the study of an adaptive sampler, as data
optuna_distributions.py  a space as Optuna has it
asking.py           Optuna: trials are asked of the study, and told what they came to
specification.py    a sweep as data: sweep.json
planning.py         trials that share a program, and blocks of them
compiled_groups.py  their programs, cut to fit into memory
batches.py          the trials of an adaptive sampler, batch by batch
processes.py        processes that share a sweep: who they are, and whether all are still there
dealing.py          who trains which trials
execution.py        start, resume: rung after rung, block after block
progress.py         the display on the terminal
results.py          a result per block, and the table of trials
viewers.py          the trials for TensorBoard and Weights & Biases
importance.py       how much each setting matters
population_based.py members that copy better ones and vary their settings, as an algorithm
pbt.py              the same by its name, for the command line
"""

from jaxrl.sweeps.execution import SweepOutcome, check_new_sweep, plan, resume, start, sweep
from jaxrl.sweeps.importance import importance_of_settings, why_no_importance
from jaxrl.sweeps.pbt import PBTConfig, pbt
from jaxrl.sweeps.planning import Group
from jaxrl.sweeps.population_based import (
    Lineage,
    PopulationBasedState,
    best_member,
    population_based,
)
from jaxrl.sweeps.processes import Processes, check_joining, joined
from jaxrl.sweeps.results import (
    BLOCKS,
    VALIDATION,
    BlockResult,
    best_first,
    collect,
    read_block,
    sorted_rows,
    trial_rows,
)
from jaxrl.sweeps.spaces import (
    Choice,
    Distribution,
    Range,
    choice,
    integers,
    is_space,
    log_uniform,
    parse_space,
    uniform,
)
from jaxrl.sweeps.specification import SWEEP, Sweep, make_sweep, read_sweep, split_trial
from jaxrl.sweeps.studies import Study, is_ordered

__all__ = [
    "BLOCKS",
    "SWEEP",
    "VALIDATION",
    "BlockResult",
    "Choice",
    "Distribution",
    "Group",
    "Lineage",
    "PBTConfig",
    "PopulationBasedState",
    "Processes",
    "Range",
    "Study",
    "Sweep",
    "SweepOutcome",
    "best_first",
    "best_member",
    "check_joining",
    "check_new_sweep",
    "collect",
    "choice",
    "importance_of_settings",
    "integers",
    "is_ordered",
    "is_space",
    "joined",
    "log_uniform",
    "make_sweep",
    "parse_space",
    "pbt",
    "plan",
    "population_based",
    "read_block",
    "read_sweep",
    "resume",
    "sorted_rows",
    "split_trial",
    "start",
    "sweep",
    "trial_rows",
    "uniform",
    "why_no_importance",
]

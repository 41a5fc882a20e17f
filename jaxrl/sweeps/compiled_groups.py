"""A group's programs: compiled per number of trials, and cut to fit into memory."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxrl import runs
from jaxrl.runs import batched
from jaxrl.runs.construction import constructor
from jaxrl.runs.grouping import differences_of
from jaxrl.runs.members import MOST_MEMBERS
from jaxrl.runs.memory import free_memory, num_bytes
from jaxrl.runs.preparation import Prepared, with_members
from jaxrl.runs.programs import Programs
from jaxrl.runs.specification import to_json
from jaxrl.sweeps.planning import Group, split_evenly

# Of what is free, where the user gives no limit: other processes live, and the host keeps rows.
_SHARE_OF_FREE_MEMORY = 0.7


# Programs that later groups may take, by what they are compiled for.
Compiled = dict[Any, tuple[Prepared, Programs]]


class Fitted(NamedTuple):
    """A group with its programs and its cut into blocks.

    Attributes:
        group: the group.
        blocks: the trials of each block.
        programs: compiled for the blocks.
    """

    group: Group
    blocks: tuple[tuple[int, ...], ...]
    programs: "GroupPrograms"


class GroupPrograms:
    """The compiled programs of a group, by the number of trials side by side."""

    def __init__(
        self,
        group: Group,
        seeds: Sequence[int],
        stop_steps: int | None,
        compiled: Compiled | None = None,
    ) -> None:
        """Compiles nothing yet.

        Args:
            group: the group.
            seeds: of each trial.
            stop_steps: where its runs end; None: at the budget.
            compiled: programs of earlier groups, to which these are added; None: there are none.
        """
        self._group = group
        self._seeds = seeds
        self._stop_steps = stop_steps
        self._compiled: Compiled = {} if compiled is None else compiled
        self._kind = _kind_of(group, len(seeds), stop_steps)
        self._own: set[int] = set()
        self.compile_seconds = 0.0

    def of(self, trials: Sequence[int]) -> tuple[Prepared, Programs]:
        """Returns the run of some trials and its programs, compiled if their number is new."""
        specification = self._group.run_of(trials, self._seeds, self._stop_steps)
        name = self._kind, len(trials)
        if name not in self._compiled:
            prepared = runs.prepare(specification)
            programs = Programs(prepared, starts_anew=True)
            self.compile_seconds += programs.compile_seconds
            self._compiled[name] = prepared, programs
            self._own.add(len(trials))
        prepared, programs = self._compiled[name]
        prepared = with_members(prepared, specification)
        return prepared, programs.of(prepared)

    def memory(self, trials: Sequence[int]) -> int:
        """Returns the bytes that some trials side by side need; 0 where the compiler is silent."""
        return self.of(trials)[1].memory

    def state_bytes(self) -> int:
        """Returns the bytes of the State of one trial; nothing is compiled."""
        specification = self._group.run_of(self._group.trials[:1], self._seeds, self._stop_steps)
        construct, own = constructor(specification), differences_of(specification)
        return num_bytes(batched.state_type(specification, construct, own))

    def forget_all_but(self, widths: set[int]) -> None:
        """Frees the programs of other numbers of trials, which only measured."""
        for width in self._own - widths:
            del self._compiled[self._kind, width]
        self._own &= widths


def default_memory(num_sharing: int = 1) -> int:
    """Returns the bytes that a block may need where the user gives no limit.

    Args:
        num_sharing: processes that take as much at the same time.
    """
    return int(_SHARE_OF_FREE_MEMORY * free_memory() / num_sharing)


def fit(
    group: Group,
    seeds: Sequence[int],
    stop_steps: int | None,
    *,
    memory: int | None,
    compiled: Compiled | None = None,
) -> Fitted:
    """Compiles a group, in blocks that fit into memory by what the compiler says they need.

    The widest block is compiled first. If it does not fit, what a narrow one needs beside it tells
    what a trial costs, and so the width.

    Args:
        group: the group.
        seeds: of each trial.
        stop_steps: where its runs end.
        memory: bytes that the programs of a block may need; None: most of what is free.
        compiled: programs of earlier groups, to which these are added; None: there are none.

    Raises:
        ValueError: one trial alone does not fit.
    """
    limit = memory if memory is not None else default_memory()
    programs = GroupPrograms(group, seeds, stop_steps, compiled)
    trials = group.trials
    # Before and after a step there is the State, and there is its copy for the checkpoint.
    most = min(len(trials), limit // max(2 * programs.state_bytes(), 1), MOST_MEMBERS // len(seeds))
    most = max(1, most)
    sizes = split_evenly(len(trials), most)
    need = programs.memory(trials[: sizes[0]])
    if need > limit and sizes[0] > 1:
        wide, narrow = sizes[0], max(1, sizes[0] // 8)
        small = programs.memory(trials[:narrow])
        per_trial = max((need - small) / (wide - narrow), 1.0)
        most = max(1, min(wide - 1, int(narrow + (limit - small) / per_trial)))
        sizes = split_evenly(len(trials), most)
        while (need := programs.memory(trials[: sizes[0]])) > limit and sizes[0] > 1:
            sizes = split_evenly(len(trials), max(1, int(0.9 * sizes[0])))
    if need > limit:
        raise ValueError(
            f"one trial with {len(seeds)} seeds needs {need / 2**20:,.0f} MiB, and there are "
            f"{limit / 2**20:,.0f} MiB: allow more memory, or use fewer seeds or environments"
        )
    programs.forget_all_but(set(sizes))
    return Fitted(group=group, blocks=_cut(trials, sizes), programs=programs)


def _kind_of(group: Group, num_seeds: int, stop_steps: int | None) -> str:
    """What a program depends on beside the number of trials; their values are its arguments."""
    names = [sorted(group.settings[0]), sorted(group.parameters[0])]
    return json.dumps([to_json(group.base), names, num_seeds, stop_steps])


def _cut(trials: Sequence[int], sizes: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    blocks: list[tuple[int, ...]] = []
    first = 0
    for size in sizes:
        blocks.append(tuple(trials[first : first + size]))
        first += size
    return tuple(blocks)

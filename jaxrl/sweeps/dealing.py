"""Who trains what: the trials of each rung's groups, dealt out to the processes of a sweep.

What an earlier start has cut into blocks stays as it was cut, for the blocks hold its agents; what
is unfinished of them is dealt out anew. All processes come to the same deal without asking each
other: it depends on what process 0 saw in the folder before anyone began, and on results that all
of them wait for.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxrl import runs
from jaxrl.runs.folder import read_json, write_atomically, writing
from jaxrl.sweeps.planning import Group
from jaxrl.sweeps.processes import DEAL, Processes
from jaxrl.sweeps.results import BLOCKS, collect

_FAILED = "-failed"


class Part(NamedTuple):
    """The trials of one group in one rung that are cut into blocks together, by one process.

    Attributes:
        number: of the group in the sweep.
        stem: begins the names of its files.
        group: the group, with these trials only.
        blocks: how an earlier start cut it; None: it is not cut yet.
        own: places of the blocks that this process trains; None: all, as many as there will be.
        failure_name: of its result, where this process cannot compile its programs.
    """

    number: int
    stem: str
    group: Group
    blocks: tuple[tuple[int, ...], ...] | None
    own: tuple[int, ...] | None
    failure_name: str

    def name_of(self, block: int) -> str:
        """Returns the name of a block's folder."""
        return f"{self.stem}-{block:03d}"

    @property
    def own_trials(self) -> tuple[int, ...]:
        """The trials that this process trains."""
        if self.blocks is None or self.own is None:
            return self.group.trials
        return tuple(trial for block in self.own for trial in self.blocks[block])


class Deal(NamedTuple):
    """What earlier starts have left, and who goes on with it.

    Attributes:
        cuts: stems of the parts that are cut.
        failed: names of the results of parts that failed.
        owners: who trains each of their unfinished blocks, by name.
    """

    cuts: tuple[str, ...]
    failed: tuple[str, ...]
    owners: dict[str, int]


def open_deal(folder: Path, processes: Processes) -> Deal:
    """Sees what is in the folder of a sweep, and lets the other processes begin."""
    results = collect(folder)
    failed = tuple(name for name, result in results.items() if result.reason is not None)
    paths = (folder / BLOCKS).glob("rung*-group*.json")
    cuts = sorted(path.stem for path in paths if not path.stem.endswith("-result"))
    names = [f"{cut}-{i:03d}" for cut in cuts for i in range(len(_read_cut(folder, cut)))]
    unfinished = [name for name in names if name not in results]
    owners = {name: place % processes.count for place, name in enumerate(unfinished)}
    deal = Deal(tuple(cuts), failed, owners)
    if processes.count > 1:
        _write(folder, deal, done=False)
    return deal


def wait_for_deal(folder: Path, processes: Processes) -> Deal:
    """Waits in another process until process 0 has opened the folder."""
    data = processes.wait_for(lambda: _read(folder))
    return Deal(tuple(data["cuts"]), tuple(data["failed"]), data["owners"])


def close_deal(folder: Path, deal: Deal, processes: Processes) -> None:
    """Tells the other processes that the sweep is at its end, table and all."""
    if processes.count > 1:
        _write(folder, deal, done=True)


def wait_for_end(folder: Path, processes: Processes) -> None:
    """Waits in another process until process 0 has come to the end of the sweep."""

    def look() -> bool | None:
        data = _read(folder)
        return True if data is not None and data["done"] else None

    processes.wait_for(look)


def parts_of(
    folder: Path,
    rung: int,
    groups: Sequence[Group],
    alive: set[int],
    *,
    deal: Deal,
    processes: Processes,
) -> Iterator[Part]:
    """Yields the parts of a rung that this process has to do with, group by group.

    Args:
        folder: of the sweep.
        rung: which part of the budget.
        groups: of the sweep.
        alive: the trials that are in the rung.
        deal: what earlier starts have left.
        processes: of the sweep.
    """
    results = collect(folder, rung=rung)
    for number, group in enumerate(groups):
        group = restricted(group, alive)
        if not group.trials:
            continue
        left = list(group.trials)
        stem = f"rung{rung}-group{number:03d}"
        pattern = re.compile(rf"{stem}(?:-part(\d+))?(?:{_FAILED}\d*)?")
        begun = [name for name in deal.cuts if pattern.fullmatch(name)]
        failures = [name for name in deal.failed if pattern.fullmatch(name)]
        lost = {trial for name in failures for trial in results[name].trials}
        for cut in begun:
            blocks = _read_cut(folder, cut)
            trials = [trial for block in blocks for trial in block]
            is_whole = cut != stem or len(trials) == len(group.trials)
            if not (trials and is_whole and _are_among(trials, left)):
                raise _damaged(_cut_path(folder, cut))
            left = [trial for trial in left if trial not in trials]
            own = tuple(
                place
                for place, block in enumerate(blocks)
                if deal.owners.get(f"{cut}-{place:03d}") == processes.index
                and not lost.intersection(block)
            )
            failure = f"{cut}{_FAILED}{'' if processes.count == 1 else processes.index}"
            yield Part(number, cut, restricted(group, set(trials)), blocks, own, failure)
        left = [trial for trial in left if trial not in lost]
        share = processes.share_of(left, turn=number)
        if not share:
            continue
        name = stem
        if processes.count > 1 or begun or failures:
            # Numbers that no earlier start has used.
            matches = [pattern.fullmatch(name) for name in (*begun, *failures)]
            used = [int(match[1]) for match in matches if match and match[1] is not None]
            first = 1 + max(used, default=-1)
            name = f"{stem}-part{first + processes.index}"
        own_group = restricted(group, set(share))
        yield Part(number, name, own_group, None, None, f"{name}{_FAILED}")


def restricted(group: Group, trials: set[int]) -> Group:
    """Returns the group with some of its trials only."""
    keep = [place for place, trial in enumerate(group.trials) if trial in trials]
    return Group(
        base=group.base,
        trials=tuple(group.trials[place] for place in keep),
        settings=tuple(group.settings[place] for place in keep),
        parameters=tuple(group.parameters[place] for place in keep),
    )


def write_cut(folder: Path, part: Part, blocks: Sequence[Sequence[int]]) -> None:
    """Writes down how a part is cut into blocks, so that it is cut alike ever after."""
    path = _cut_path(folder, part.stem)
    with writing(folder):
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps(blocks) + "\n")


def _read_cut(folder: Path, stem: str) -> tuple[tuple[int, ...], ...]:
    path = _cut_path(folder, stem)
    try:
        blocks = tuple(map(tuple, read_json(path)))
        if all(type(trial) is int for block in blocks for trial in block):
            return blocks
    except (OSError, TypeError, ValueError):
        pass
    raise _damaged(path)


def _are_among(trials: Sequence[int], known: Sequence[int]) -> bool:
    return len(set(trials)) == len(trials) and set(trials) <= set(known)


def _damaged(path: Path) -> runs.ExperimentError:
    return runs.ExperimentError(f"{path} cannot be used: it is damaged")


def _cut_path(folder: Path, stem: str) -> Path:
    return folder / BLOCKS / f"{stem}.json"


def _write(folder: Path, deal: Deal, *, done: bool) -> None:
    with writing(folder):
        write_atomically(folder / DEAL, json.dumps(deal._asdict() | {"done": done}) + "\n")


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        return read_json(folder / DEAL)
    except FileNotFoundError:
        return None

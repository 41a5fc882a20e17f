"""From trials to runs: groups that share a program, and blocks of a group that fit in memory."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxrl import runs
from jaxrl.runs.construction import can_differ
from jaxrl.sweeps.specification import Sweep, split_trial

# Rows of metrics of one member: thousands of members write them side by side.
_LOGGED_ROWS = 20


class Group(NamedTuple):
    """Trials that one compiled program can train side by side.

    Attributes:
        base: what they share, as a run without members of its own.
        trials: their places in the sweep.
        settings: the numbers that each sets for itself, by name.
        parameters: the environment's numbers that each sets for itself, by name.
    """

    base: runs.Specification
    trials: tuple[int, ...]
    settings: tuple[dict[str, Any], ...]
    parameters: tuple[dict[str, Any], ...]

    def run_of(
        self, trials: Sequence[int], seeds: Sequence[int], stop_steps: int | None
    ) -> runs.Specification:
        """Makes the run of some of the trials.

        Args:
            trials: places in the sweep; all seeds of one follow one another.
            seeds: of each trial.
            stop_steps: where the run ends; None: at its budget.
        """
        places = {trial: place for place, trial in enumerate(self.trials)}
        members = tuple(
            runs.Member(
                seed=seed,
                settings=self.settings[places[trial]],
                environment_parameters=self.parameters[places[trial]],
            )
            for trial in trials
            for seed in seeds
        )
        return dataclasses.replace(self.base, members=members, stop_steps=stop_steps)


def group_trials(sweep: Sweep, trials: Sequence[int] | None = None) -> list[Group]:
    """Sorts the trials of a sweep by the program that they need, in the order of the first.

    Args:
        sweep: the search.
        trials: the places of those to sort; None: all.

    Raises:
        ValueError: naming the first trial whose settings cannot be.
    """
    base = sweep.base
    places = range(len(sweep.trials)) if trials is None else trials
    split = {place: split_trial(sweep.trials[place]) for place in places}
    fields = {field.name: field for field in dataclasses.fields(base.settings)}
    varying = {
        name
        for name in split[places[0]][1]
        if all(isinstance(parameters[name], int | float) for _, parameters in split.values())
        and can_differ(base, name)
    }
    found: dict[Any, _Shared] = {}
    own: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
    for place, (settings, parameters) in split.items():
        static = {name: x for name, x in settings.items() if _changes_program(fields[name], x)}
        fixed = {name: x for name, x in parameters.items() if name not in varying}
        own[place] = (
            {name: x for name, x in settings.items() if name not in static},
            {name: x for name, x in parameters.items() if name in varying},
        )
        key = _hashable((tuple(static.items()), tuple(fixed.items())))
        found.setdefault(key, _Shared(static, fixed, [])).trials.append(place)
    return [
        Group(
            base=_shared_run(base, shared),
            trials=tuple(shared.trials),
            settings=tuple(own[trial][0] for trial in shared.trials),
            parameters=tuple(own[trial][1] for trial in shared.trials),
        )
        for shared in found.values()
    ]


def split_evenly(count: int, most: int) -> list[int]:
    """Cuts a number of trials into blocks of equal size, where one can be found nearby.

    Programs are compiled per size, so equal sizes are worth up to a third of a block's width.

    Args:
        count: of the trials.
        most: trials of one block.

    Returns:
        The sizes, the largest first.
    """
    fewest = math.ceil(count / most)
    for blocks in range(fewest, math.floor(1.5 * fewest) + 1):
        if count % blocks == 0:
            return [count // blocks] * blocks
    size = math.ceil(count / fewest)
    full, rest = divmod(count, size)
    return [size] * full + ([rest] if rest else [])


class _Shared(NamedTuple):
    """What the trials of a group have in common."""

    static: dict[str, Any]
    fixed: dict[str, Any]
    trials: list[int]


def _shared_run(base: runs.Specification, shared: _Shared) -> runs.Specification:
    """The run of a group, without members of its own."""
    interval = base.log_interval or math.ceil(base.settings.total_steps / _LOGGED_ROWS)
    try:
        return dataclasses.replace(
            base,
            settings=dataclasses.replace(base.settings, **shared.static),
            environment_parameters={**base.environment_parameters, **shared.fixed},
            log_interval=interval,
            # A trial is a run of its own there, which the sweep logs.
            wandb_project=None,
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"trial {shared.trials[0]}: {error}") from None


def _changes_program(field: "dataclasses.Field[Any]", value: Any) -> bool:
    """Whether a setting is no number that members of one program may differ in."""
    return field.metadata["static"] or value is None


def _hashable(value: Any) -> Any:
    """The value, told apart from one that is equal and of another type, as True and 1 are."""
    if isinstance(value, tuple):
        return tuple(map(_hashable, value))
    return type(value).__name__, value

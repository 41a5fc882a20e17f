"""Studies of adaptive samplers as data: how many trials, how many at a time, and where they are."""

import dataclasses
import importlib.util
import math
import uuid
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from jaxrl.runs.specification import require_whole
from jaxrl.sweeps.sampling import MOST_TRIALS
from jaxrl.sweeps.spaces import Choice, Distribution, Range

# Of a sweep that names no other storage: a journal file in its folder.
OWN_JOURNAL = "study.log"

_SQLITE = "sqlite:///"
_BATCHES = 8
_SMALLEST_BATCH = 4
_PACKAGES = {"tpe": ("optuna",), "cmaes": ("optuna", "cmaes")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """An Optuna study that a sweep takes its trials from.

    Attributes:
        num_trials: how many the sweep trains; others that work on the study train their own.
        batch: trials that are asked for at a time, and trained side by side.
        worker: marks the sweep's trials in the study.
        storage: a URL of Optuna's, or the path of a journal file; None: a journal in the folder.
        name: of the study in its storage.
        numbers: those that the study gave to the sweep's trials, in their order.
    """

    num_trials: int
    batch: int
    worker: str
    name: str
    storage: str | None = None
    numbers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require_whole("trials", self.num_trials, minimum=1)
        if self.num_trials > MOST_TRIALS:
            raise ValueError(f"trials={self.num_trials} must be at most {MOST_TRIALS}")
        require_whole("batch", self.batch, minimum=1)
        if self.batch > self.num_trials:
            raise ValueError(f"batch={self.batch} is more than trials={self.num_trials}")
        for field, name in (("study", self.name), ("worker", self.worker)):
            _check_name(field, name)
        if self.storage is not None:
            _check_storage(self.storage)
        if any(type(number) is not int or number < 0 for number in self.numbers):
            raise ValueError("numbers: a trial of a study has a whole number")


def make_study(
    *,
    sampler: str,
    space: Mapping[str, Distribution],
    num_trials: int | None,
    batch: int | None,
    storage: str | None,
    name: str,
) -> Study:
    """Makes the study of a new sweep; nothing is opened or written.

    Args:
        sampler: "tpe" or "cmaes".
        space: what is searched.
        num_trials: how many the sweep trains.
        batch: trials at a time; None: an eighth of them, and at least four.
        storage: a URL of Optuna's, or the path of a journal file; None: in the sweep's folder.
        name: of the study.

    Raises:
        ValueError: something in it is wrong, or a package is missing.
    """
    check_is_installed(sampler)
    if num_trials is None:
        raise ValueError(f"trials is missing: sampler={sampler!r} needs to know how many to ask")
    require_whole("trials", num_trials, minimum=1)
    if sampler == "cmaes":
        _check_ranges(space)
    if batch is None:
        batch = min(num_trials, max(_SMALLEST_BATCH, math.ceil(num_trials / _BATCHES)))
    return Study(
        num_trials=num_trials,
        batch=batch,
        worker=uuid.uuid4().hex,
        name=name,
        storage=None if storage is None else _absolute(storage),
    )


def check_is_installed(sampler: str) -> None:
    """Raises ValueError unless the packages of an adaptive sampler are installed."""
    missing = [name for name in _PACKAGES[sampler] if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f'sampler={sampler!r} needs {" and ".join(missing)}: pip install "jaxrl[sweeps]"'
        )


def is_ordered(values: Distribution) -> bool:
    """Whether a distribution is one of numbers with distances: a range, or evenly spaced values."""
    return isinstance(values, Range) or step_of(values) is not None


def step_of(values: Choice) -> int | float | None:
    """Returns the distance between evenly spaced numbers; None where a list holds anything else.

    The distance is one that decimals can write: thirds have none.

    Args:
        values: the list, in any order.
    """
    given = values.values
    if len(given) < 2 or any(isinstance(x, bool) or not isinstance(x, int | float) for x in given):
        return None
    numbers = sorted(given)
    low, high = Decimal(str(numbers[0])), Decimal(str(numbers[-1]))
    exact = (high - low) / (len(numbers) - 1)
    step = int(exact) if all(isinstance(x, int) for x in given) else float(exact)
    if Decimal(str(step)) * (len(numbers) - 1) != high - low:
        return None
    tolerance = 1e-9 * (numbers[-1] - numbers[0])
    places = enumerate(numbers)
    is_even = all(abs(x - (numbers[0] + place * step)) <= tolerance for place, x in places)
    return step if is_even else None


def _check_ranges(space: Mapping[str, Distribution]) -> None:
    found = [name for name, values in space.items() if is_ordered(values)]
    if len(found) < 2:
        lists = ", ".join(name for name in space if name not in found) or "none"
        raise ValueError(
            "sampler='cmaes' adapts ranges and evenly spaced numbers, and needs at least two of "
            f"them: there is {len(found)} (lists without order: {lists}); use sampler='tpe'"
        )


def _check_name(field: str, name: Any) -> None:
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{field}={name!r} is no name")


def _check_storage(storage: Any) -> None:
    if not isinstance(storage, str) or not storage.strip():
        raise ValueError(f"storage={storage!r} is no URL and no path")
    if storage == "sqlite://" or storage.startswith(_SQLITE + ":memory:"):
        raise ValueError(f"storage={storage!r} is gone with the process: name a file")
    if "://" in storage:
        return
    path = Path(storage)
    if path.suffix in (".db", ".sqlite", ".sqlite3"):
        raise ValueError(f"storage={storage!r}: a database is written {_SQLITE}{storage}")
    if path.is_dir():
        raise ValueError(f"storage={storage!r} is a folder: name a file")


def _absolute(storage: Any) -> str:
    """The storage, its file's path in full: a sweep is resumed from other folders too."""
    _check_storage(storage)
    if "://" not in storage:
        return str(Path(storage).absolute())
    path = storage.removeprefix(_SQLITE)
    if path == storage or path.startswith(("/", "file:")):
        return storage
    return f"{_SQLITE}{Path(path).absolute()}"

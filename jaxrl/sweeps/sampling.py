"""The trials of a sweep, drawn from its space before anything runs."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxrl.runs.specification import require_whole
from jaxrl.sweeps.spaces import Choice, Distribution, identity_of

SAMPLERS = ("grid", "random", "sobol", "latin")
# They ask for trials while the sweep runs, by what earlier ones came to; see studies.py.
ADAPTIVE_SAMPLERS = ("tpe", "cmaes")
MOST_TRIALS = 100_000
# Of points at a time; a space of lists may hold fewer trials than are asked for.
_MOST_ROUNDS_WITHOUT_NEWS = 20

Trial = dict[str, Any]


def sample_trials(
    space: Mapping[str, Distribution], *, sampler: str, num_trials: Any, seed: int
) -> list[Trial]:
    """Draws different trials.

    Args:
        space: what is searched, by name.
        sampler: "grid": every combination of the lists; "random": independent draws; "sobol":
            scrambled Sobol points; "latin": a Latin hypercube.
        num_trials: how many; None with a grid, which says it itself.
        seed: of the draws.

    Returns:
        Values by name, one dictionary per trial; fewer than asked for where a space of lists has no
        more combinations.

    Raises:
        ValueError: the sampler is unknown or adaptive, a grid holds a range, or the number is
            missing or wrong.
    """
    check_sampler(sampler)
    if sampler in ADAPTIVE_SAMPLERS:
        raise ValueError(f"sampler={sampler!r} draws no trials beforehand: it asks a study")
    if sampler == "grid":
        return _grid(space, num_trials)
    if num_trials is None:
        raise ValueError(f"trials is missing: sampler={sampler!r} needs to know how many to draw")
    require_whole("trials", num_trials, minimum=1)
    if num_trials > MOST_TRIALS:
        raise ValueError(f"trials={num_trials} must be at most {MOST_TRIALS}")
    found: dict[Any, Trial] = {}
    rounds_without_news = 0
    for points in _points(sampler, len(space), num_trials, seed):
        before = len(found)
        for point in points:
            pairs = zip(space.items(), point, strict=True)
            trial = {name: values.at(float(share)) for (name, values), share in pairs}
            if len(found) < num_trials:
                found.setdefault(_identity(trial), trial)
        rounds_without_news = rounds_without_news + 1 if len(found) == before else 0
        if len(found) == num_trials or rounds_without_news == _MOST_ROUNDS_WITHOUT_NEWS:
            break
    return list(found.values())


def check_sampler(sampler: str) -> None:
    """Raises ValueError unless a sampler has this name."""
    known = (*SAMPLERS, *ADAPTIVE_SAMPLERS)
    if sampler not in known:
        raise ValueError(f"sampler={sampler!r} is not one of {', '.join(known)}")


def _grid(space: Mapping[str, Distribution], num_trials: int | None) -> list[Trial]:
    if num_trials is not None:
        raise ValueError(
            f"trials={num_trials}: a grid takes every combination, use another sampler"
        )
    lists: list[tuple[Any, ...]] = []
    for name, values in space.items():
        if not isinstance(values, Choice):
            raise ValueError(
                f"{name}={values}: a grid needs a list of values, or points of the range, as in "
                f"{values}:5"
            )
        lists.append(values.values)
    count = math.prod(map(len, lists))
    if count > MOST_TRIALS:
        raise ValueError(f"the grid has {count:,} trials, and at most {MOST_TRIALS:,} can be run")
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*lists)]


def _points(sampler: str, num_names: int, count: int, seed: int) -> Iterator[np.ndarray]:
    """Batches of points of the unit cube, [count, num_names], without end."""
    # Slow to import, and every command imports this module.
    from scipy.stats import qmc

    generator = np.random.default_rng(seed)
    if sampler == "random":
        while True:
            yield generator.random((count, num_names))
    if sampler == "latin":
        while True:
            yield qmc.LatinHypercube(num_names, rng=generator).random(count)
    sobol = qmc.Sobol(num_names, rng=generator)
    # Their balance holds for powers of two, and SciPy warns of other numbers.
    exponent = max(math.ceil(math.log2(count)), 0)
    while True:
        yield sobol.random_base2(exponent)
        sobol = qmc.Sobol(num_names, rng=generator)


def _identity(trial: Trial) -> Any:
    """Equal for trials that a program of float32 cannot tell apart."""
    return tuple(map(identity_of, trial.values()))

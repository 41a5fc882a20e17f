"""Spaces as Optuna has them: its distributions, and the values that stand for one another.

Imported where Optuna is installed only: it needs `pip install "jaxrl[sweeps]"`.
"""

from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from jaxrl.sweeps import spaces
from jaxrl.sweeps.spaces import Choice, Distribution
from jaxrl.sweeps.studies import is_ordered, step_of


def distribution_of(values: Distribution) -> BaseDistribution:
    """Returns Optuna's distribution of what is searched.

    A range is one of floats or whole numbers, logarithmic or not; evenly spaced numbers are a range
    with steps; every other list is of categories.

    Args:
        values: the distribution.
    """
    if not isinstance(values, Choice):
        if values.whole:
            return IntDistribution(int(values.low), int(values.high), log=values.log)
        return FloatDistribution(float(values.low), float(values.high), log=values.log)
    step = step_of(values)
    if step is None:
        return CategoricalDistribution(_categories(values))
    low, high = min(values.values), max(values.values)
    if isinstance(step, int):
        return IntDistribution(low, high, step=step)
    return FloatDistribution(float(low), float(high), step=step)


def value_of(values: Distribution, given: Any) -> Any:
    """Returns the value of a space that Optuna's value stands for.

    Args:
        values: the distribution.
        given: a value of `distribution_of(values)`.
    """
    if isinstance(values, Choice):
        if is_ordered(values):
            return min(values.values, key=lambda value: abs(value - given))
        return values.values[_categories(values).index(given)]
    if values.whole:
        return int(given)
    return float(min(max(given, values.low), values.high))


def parameter_of(values: Distribution, value: Any) -> Any:
    """Returns Optuna's value for a value of a space; undoes `value_of`.

    Args:
        values: the distribution.
        value: one of its values.
    """
    if isinstance(values, Choice) and not is_ordered(values):
        places = map(spaces.identity_of, values.values)
        return _categories(values)[list(places).index(spaces.identity_of(value))]
    return value


def _categories(values: Choice) -> tuple[Any, ...]:
    """The values as Optuna stores them: numbers, flags and names as they are, others as words."""
    given = values.values
    is_plain = all(value is None or isinstance(value, bool | int | float | str) for value in given)
    # Optuna cannot tell 1 from True.
    if is_plain and len(set(given)) == len(given):
        return given
    words = tuple(map(spaces.to_word, given))
    return words if len(set(words)) == len(words) else tuple(map(repr, given))


def suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    """Returns Optuna's value of a trial, drawn by the sampler of its study."""
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        low, high, step = distribution.low, distribution.high, distribution.step
        return trial.suggest_int(name, low, high, step=step, log=distribution.log)
    assert isinstance(distribution, FloatDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    return trial.suggest_float(name, low, high, step=step, log=distribution.log)

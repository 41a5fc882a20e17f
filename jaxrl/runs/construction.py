"""From a specification to algorithms: of one member, and of any inside a traced function."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxrl import environments, registry
from jaxrl.runs.grouping import Differences, differences_of
from jaxrl.runs.members import given_parameters
from jaxrl.runs.memory import check_memory, largest_array
from jaxrl.runs.specification import Specification
from jaxrl.types import Algorithm, Environment, Key

# Each twice the one before.
_SMALL = (16, 32)
_BEYOND = 2**80

# (the run's settings, one member's differences) -> Algorithm
Constructor = Callable[[Any, Differences], Algorithm]


def build(specification: Specification, member: int = 0) -> Algorithm:
    """Builds the algorithm of one member from its concrete settings.

    Args:
        specification: the run.
        member: its place in the run.

    Raises:
        ValueError: the algorithm, the environment or one of its parameters is unknown, or a setting
            is wrong.
    """
    entry = registry.get(specification.algorithm)
    parameters = specification.environment_parameters_of(member)
    environment = environments.make_env(specification.environment, **parameters)
    algorithm = entry.build(environment, specification.settings_of(member))
    return _stopping(algorithm, specification.stop_steps)


def constructor(
    specification: Specification, *, wrap: Callable[[Environment], Environment] | None = None
) -> Constructor:
    """Returns the constructor of any member's algorithm, to be called inside a traced function.

    Float settings, and parameters in which members differ, are then arguments of the compiled
    program; an environment that all members share is made here, once.

    Args:
        specification: the run.
        wrap: around every environment; None: nothing.

    Raises:
        ValueError: the algorithm, the environment or one of its parameters is unknown.
    """
    entry = registry.get(specification.algorithm)
    name, shared = specification.environment, dict(specification.environment_parameters)
    differing = bool(given_parameters(specification.members))
    common = None if differing else environments.make_env(name, **shared)

    def construct(settings: Any, differences: Differences) -> Algorithm:
        environment = common
        if environment is None:
            parameters = shared | differences.environment_parameters
            environment = environments.make_env(name, **parameters)
        if wrap is not None:
            environment = wrap(environment)
        if differences.settings:
            settings = dataclasses.replace(settings, **differences.settings)
        return _stopping(entry.build(environment, settings), specification.stop_steps)

    return construct


def check_environment(specification: Specification) -> None:
    """Weighs what an environment makes, before it is made: XLA ends the process if it is absurd.

    Arrays of ones and zeros are made even while a program is traced. So the need for a large whole
    number is told from how it grows between two small ones.

    Raises:
        ValueError: the device has less memory than it needs.
    """
    parameters = dict(specification.environment_parameters)
    for name, value in parameters.items():
        if type(value) is not int or value <= _SMALL[-1]:
            continue
        try:
            less, more = (
                _largest_of(specification.environment, parameters | {name: small})
                for small in _SMALL
            )
        except (TypeError, ValueError, jax.errors.JAXTypeError):
            # One that cannot be small, or that can be made outside of a traced function only.
            continue
        degree = math.log2(max(more, 1) / max(less, 1))
        needed = more * (value / _SMALL[-1]) ** degree
        advice = f"use a smaller {name} than {value} for {specification.environment}"
        check_memory(int(min(needed, _BEYOND)), advice)


def _largest_of(name: str, parameters: dict[str, Any]) -> int:
    """Bytes of the largest array that a reset of an environment makes."""

    def reset(key: Key) -> Any:
        return environments.make_env(name, **parameters).reset(key)

    return largest_array(jax.make_jaxpr(reset)(jax.random.key(0)).jaxpr)


def check_differences(specification: Specification) -> None:
    """Builds the members with the least and the greatest of each value, and sees that it can vary.

    Raises:
        ValueError: naming a member whose settings or parameters cannot be, or a parameter that
            changes the program.
    """
    differences = differences_of(specification)
    columns = [*differences.settings.values(), *differences.environment_parameters.values()]
    corners = {int(corner) for column in columns for corner in (column.argmin(), column.argmax())}
    for index in sorted(corners):
        try:
            build(specification, index)
        except ValueError as error:
            raise ValueError(f"members[{index}]: {error}") from error
    if not differences.environment_parameters:
        return
    for name in differences.environment_parameters:
        if not can_differ(specification, name):
            raise ValueError(
                f"members[0].environment_parameters: {name} changes the program, which all members "
                "of a run share: set it for the run, or make one run per value"
            )


def can_differ(specification: Specification, parameter: str) -> bool:
    """Whether members of a run may differ in a parameter of its environment."""
    known = environments.parameters_of(specification.environment)
    return known[parameter].kind is float and _can_be_traced(specification, parameter)


def _stopping(algorithm: Algorithm, stop_steps: int | None) -> Algorithm:
    """The same algorithm with a budget that ends earlier; its schedules know nothing of it."""
    if stop_steps is None or stop_steps >= algorithm.total_steps:
        return algorithm
    # One iteration at least: what the first steps collect is nothing to compare.
    stop = min(max(stop_steps, algorithm.first_steps + 1), algorithm.total_steps)
    iterations = algorithm.max_iterations
    if algorithm.steps_per_iteration is not None:
        left = stop - algorithm.first_steps
        iterations = min(iterations, math.ceil(left / algorithm.steps_per_iteration))
    return algorithm._replace(total_steps=stop, max_iterations=iterations)


def _can_be_traced(specification: Specification, name: str) -> bool:
    parameters = specification.environment_parameters_of(0)

    def make(value: Any) -> Any:
        environments.make_env(specification.environment, **parameters | {name: value})
        return value

    try:
        jax.eval_shape(make, jax.ShapeDtypeStruct((), np.float32))
    except (TypeError, ValueError):
        return False
    return True

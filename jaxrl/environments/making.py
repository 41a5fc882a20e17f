"""Making an environment from a name or from a gymnax object."""

from typing import Any

from jaxrl.environments import gymnax_suite, registry
from jaxrl.types import Environment


def make_env(environment: Any, **parameters: Any) -> Environment:
    """Makes an environment from a name or from a gymnax `Environment` object.

    The classic-control tasks are Gymnasium's, step for step, but for two things in gymnax 1.0.1:
    MountainCarContinuous does not stop the car at the left wall, and Acrobot integrates in single
    precision. Episodes of MinAtar and bsuite tasks are as long as gymnax has them.

    Args:
        environment: a name from `available_environments()`; gymnax is the suite of names without a
            prefix, so that "CartPole-v1" and "gymnax/CartPole-v1" are the same. Or an object of a
            class of the user's own that derives from `gymnax.environments.environment.Environment`.
        **parameters: values for the environment's parameters, of which `parameters_of(name)` has
            the defaults. Numbers may be traced, so that a physical constant can be vmapped. Of
            gymnax these are the fields of the `EnvParams` and, for a name, the keyword arguments
            of the environment's constructor, which are static.

    Returns:
        The environment, which tells terminations from time limits.

    Raises:
        ValueError: for an unknown environment or parameter, naming the nearest ones; for a value
            that the parameter cannot take; for a data set that cannot be had.

    Example:
        >>> make_env("CartPole-v1", gravity=1.6).max_episode_steps
        500
    """
    if isinstance(environment, str):
        return registry.make(environment, parameters)
    return gymnax_suite.make_from_object(environment, parameters)

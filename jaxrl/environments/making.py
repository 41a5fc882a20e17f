"""Environments by name: which there are, and `make_env`."""

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from jaxrl.environments.gymnax_adapter import from_gymnax
from jaxrl.environments.parameters import field_names, replace_parameters
from jaxrl.types import Environment

_REFUSALS = (TypeError, ValueError, AssertionError, ArithmeticError, LookupError)


def available_environments() -> list[str]:
    """Names that `make_env` accepts, including those registered with gymnax by the user."""
    import gymnax

    return list(gymnax.registered_envs)


def make_env(environment: Any, **parameters: Any) -> Environment:
    """Makes an environment from a name or from a gymnax `Environment` object.

    The classic-control tasks are Gymnasium's, step for step, but for two things in gymnax 1.0.1:
    MountainCarContinuous does not stop the car at the left wall, and Acrobot integrates in single
    precision. Episodes of MinAtar and bsuite tasks are as long as gymnax has them.

    Args:
        environment: a name from `available_environments()`, or an object of a class of the user's
            own that derives from `gymnax.environments.environment.Environment`.
        **parameters: values for the environment's parameters (fields of its `EnvParams`; they may
            be traced, so that a physical constant can be vmapped), or, for a name, keyword
            arguments of the environment's constructor, which are static.

    Returns:
        The environment; it resets by itself and tells terminations from time limits.

    Raises:
        ValueError: for an unknown environment or parameter, naming the nearest ones; for a value
            that the parameter cannot take; for a data set that cannot be had.
    """
    if not isinstance(environment, str):
        return _make_from_object(environment, parameters)
    factory = _find_factory(environment)
    arguments, fields = _sort_parameters(environment, factory, parameters)
    made = _call_factory(environment, factory, arguments)
    constructor = [p.name for p in _named_arguments(factory)]
    params = replace_parameters(
        made, _default_params(made, environment), fields, name=environment, also_known=constructor
    )
    try:
        return from_gymnax(made, params, name=environment)
    except _REFUSALS as error:
        # Some constructors take what their environment cannot work with.
        if not arguments or isinstance(error, ValueError):
            raise
        raise ValueError(_refusal(environment, arguments, error)) from error


def _make_from_object(environment: Any, parameters: dict[str, Any]) -> Environment:
    if isinstance(environment, Environment):
        raise ValueError(f"{environment.name} is a jaxrl environment already: use it as it is")
    if isinstance(environment, type):
        kind = environment.__name__
        raise ValueError(f"{kind} is a class: pass an object of it, such as {kind}()")
    kind = type(environment).__name__
    protocol = ("default_params", "reset", "step", "action_space", "observation_space")
    if any(not hasattr(environment, method) for method in protocol):
        raise ValueError(
            f"an environment is a name or a gymnax Environment object, not {environment!r}"
        )
    params = replace_parameters(
        environment, _default_params(environment, kind), parameters, name=kind
    )
    return from_gymnax(environment, params)


def _default_params(environment: Any, name: str) -> Any:
    params = environment.default_params
    if params is None:
        raise ValueError(
            f"the default_params of {name} are None: return an EnvParams object "
            "(gymnax.environments.environment.EnvParams has only max_steps_in_episode)"
        )
    return params


def _find_factory(name: str) -> Callable[..., Any]:
    from gymnax import registration

    names = available_environments()
    if name not in names:
        by_lowercase = {known.lower(): known for known in names}
        nearest = difflib.get_close_matches(name.lower(), by_lowercase, n=3, cutoff=0.5)
        hint = " or ".join(by_lowercase[match] for match in nearest)
        rest = f"did you mean {hint}?" if hint else f"there are {', '.join(names)}"
        raise ValueError(f"unknown environment {name!r}: {rest}")
    return registration._registry[name]  # pyright: ignore[reportPrivateUsage]


def _named_arguments(factory: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = inspect.signature(factory).parameters.values()
    return [p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _sort_parameters(
    name: str, factory: Callable[..., Any], parameters: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Splits the given parameters into the constructor's and the `EnvParams` fields'."""
    named = {p.name for p in _named_arguments(factory)}
    arguments = {key: value for key, value in parameters.items() if key in named}
    rest = {key: value for key, value in parameters.items() if key not in named}
    variadic = inspect.Parameter.VAR_KEYWORD
    if rest and any(p.kind is variadic for p in inspect.signature(factory).parameters.values()):
        # Such a constructor takes any name; what is not a field of the parameters is meant for it.
        made = _call_factory(name, factory, arguments)
        fields = field_names(_default_params(made, name))
        arguments |= {key: value for key, value in rest.items() if key not in fields}
        rest = {key: value for key, value in rest.items() if key in fields}
    return arguments, rest


def _call_factory(name: str, factory: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    try:
        return factory(**arguments)
    except (OSError, EOFError) as error:
        advice = (
            ": gymnax looks for the four MNIST files in /tmp/mnist and downloads them if they are "
            "missing; connect to the network or put them there"
            if name == "MNISTBandit-bsuite"
            else ""
        )
        raise ValueError(f"the data of {name} cannot be had ({error}){advice}") from error
    except _REFUSALS as error:
        raise ValueError(_refusal(name, arguments, error)) from error


def _refusal(name: str, arguments: dict[str, Any], error: Exception) -> str:
    given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    reason = (str(error) or "it does not accept them").splitlines()[0]
    return f"cannot make {name} with {given or 'no arguments'}: {reason}"

"""gymnax as a suite: its names, their parameters, and how one is made."""

import inspect
from collections.abc import Callable
from typing import Any

from jaxrl.environments.gymnax_adapter import from_gymnax
from jaxrl.environments.parameters import (
    Parameter,
    field_names,
    replace_parameters,
    signature_parameters,
)
from jaxrl.types import Environment

_REFUSALS = (TypeError, ValueError, AssertionError, ArithmeticError, LookupError)


def names() -> list[str]:
    """The names that gymnax knows, those that the user has registered there included."""
    import gymnax

    return list(gymnax.registered_envs)


def make(name: str, parameters: dict[str, Any]) -> Environment:
    """Makes one of gymnax's environments by its name.

    Args:
        name: one of `names()`.
        parameters: fields of its `EnvParams`, which may be traced, and keyword arguments of its
            constructor, which are static.

    Raises:
        ValueError: a parameter is unknown, or a value is refused, or a data set cannot be had.
    """
    factory = _factory(name)
    arguments, fields = _sort_parameters(name, factory, parameters)
    made = _call_factory(name, factory, arguments)
    constructor = [p.name for p in _named_arguments(factory)]
    params = replace_parameters(
        made, _default_params(made, name), fields, name=name, also_known=constructor
    )
    try:
        return from_gymnax(made, params, name=name)
    except _REFUSALS as error:
        # Some constructors take what their environment cannot work with.
        if not arguments or isinstance(error, ValueError):
            raise
        raise ValueError(_refusal(name, arguments, error)) from error


def parameters_of(name: str) -> dict[str, Parameter]:
    """The arguments of an environment's constructor and the fields of its `EnvParams`.

    Args:
        name: one of `names()`.

    Raises:
        ValueError: a data set cannot be had.
    """
    factory = _factory(name)
    params = _default_params(_call_factory(name, factory, {}), name)
    fields = {
        field: Parameter.with_default(getattr(params, field)) for field in field_names(params)
    }
    return signature_parameters(factory) | fields


def make_from_object(environment: Any, parameters: dict[str, Any]) -> Environment:
    """Makes an environment of an object of gymnax's protocol.

    Args:
        environment: the object.
        parameters: fields of its `EnvParams`; they may be traced.

    Raises:
        ValueError: it is something else, or a parameter is unknown or of a wrong kind.
    """
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


def _factory(name: str) -> Callable[..., Any]:
    from gymnax import registration

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

"""Names of environments: the user's own, and suites, each imported when it is first asked for."""

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxrl.environments import gymnax_suite
from jaxrl.environments.finance import suite as finance_suite
from jaxrl.environments.parameters import Parameter, check_parameters, signature_parameters
from jaxrl.types import Environment

DEFAULT_SUITE = "gymnax"


@dataclasses.dataclass(frozen=True)
class Suite:
    """A collection of environments under one prefix.

    Attributes:
        names: () -> the names, without the prefix.
        make: (name, parameters by name) -> Environment.
        parameters_of: (name) -> the parameters, by name.
    """

    names: Callable[[], Sequence[str]]
    make: Callable[[str, dict[str, Any]], Environment]
    parameters_of: Callable[[str], Mapping[str, Parameter]]


_suites: dict[str, Suite] = {
    DEFAULT_SUITE: Suite(gymnax_suite.names, gymnax_suite.make, gymnax_suite.parameters_of),
    "finance": Suite(finance_suite.names, finance_suite.make, finance_suite.parameters_of),
}
_BUILT_IN = frozenset(_suites)
# The user's own environments by their full names, each as a builder and its parameters.
_own: dict[str, tuple[Callable[..., Any], dict[str, Parameter]]] = {}


def register_environment(name: str, build: Callable[..., Environment]) -> None:
    """Makes an environment known by a name, for `make_env` and the command line.

    Its parameters are those of the builder, with their annotations or defaults as kinds: numbers,
    truth values and strings are flags (`--env.NAME`) of `jaxrl train`. Registering a name again
    replaces it, so that a notebook's cell can run twice. A name that gymnax has too is the user's
    from then on; "gymnax/NAME" still is gymnax's.

    Args:
        name: letters, digits, dots, dashes and underscores; it may have one prefix ("mine/docking")
            that no suite has.
        build: (**parameters) -> Environment; every parameter has a default.

    Raises:
        ValueError: the name or a parameter of the builder cannot be used.

    Example:
        >>> def easy_cart_pole(gravity: float = 1.6) -> Environment:
        ...     return make_env("CartPole-v1", gravity=gravity)
        >>> register_environment("EasyCartPole", easy_cart_pole)
        >>> parameters_of("EasyCartPole")
        {'gravity': Parameter(kind=<class 'float'>, default=1.6)}
    """
    if not re.fullmatch(r"(\w[\w.-]*/)?\w[\w.-]*", name):
        raise ValueError(
            f"environment name {name!r} must be letters, digits, '.', '-' and '_', with at most "
            "one prefix before a '/'"
        )
    prefix, slash, _ = name.partition("/")
    if slash and prefix in _suites:
        raise ValueError(f"{name!r} would be of the suite {prefix}: choose another prefix")
    _own[name] = build, signature_parameters(build)


def register_suite(
    name: str,
    *,
    names: Callable[[], Sequence[str]],
    make: Callable[..., Environment],
    parameters_of: Callable[[str], Mapping[str, Parameter]],
) -> None:
    """Makes all environments of a suite known under a prefix.

    None of the functions is called before an environment of the suite is made or listed, so that
    they can import what is slow to import. Registering a suite again replaces it.

    Args:
        name: the prefix: letters, digits, dots, dashes and underscores.
        names: () -> what the suite has, without the prefix.
        make: (name, **parameters) -> Environment, with a name without the prefix and with known
            parameters, of the right kinds.
        parameters_of: (name) -> the parameters by name; `signature_parameters` finds those of a
            function.

    Raises:
        ValueError: the prefix cannot be used, or is that of a suite of jaxrl's or of an environment
            of the user's.

    Example:
        >>> register_suite(
        ...     "light",
        ...     names=lambda: ["CartPole"],
        ...     make=lambda name, gravity=1.6: make_env(f"{name}-v1", gravity=gravity),
        ...     parameters_of=lambda name: {"gravity": Parameter(float, 1.6)},
        ... )
        >>> make_env("light/CartPole").name
        'CartPole-v1'
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"suite name {name!r} must be letters, digits, '.', '-' and '_'")
    if name in _BUILT_IN or any(own.startswith(f"{name}/") for own in _own):
        raise ValueError(f"{name!r} is the prefix of other environments: choose another one")

    def make_checked(short: str, parameters: dict[str, Any]) -> Environment:
        checked = check_parameters(parameters, parameters_of(short), name=f"{name}/{short}")
        return make(short, **checked)

    _suites[name] = Suite(names, make_checked, parameters_of)


def canonical_name(name: str) -> str:
    """The name that presets, folders and lists have: without the prefix of the default suite."""
    prefix, _, short = name.partition("/")
    return short if prefix == DEFAULT_SUITE and short and short not in _own else name


def available_environments() -> list[str]:
    """The names that `make_env` accepts: gymnax's, the user's own, and those of other suites.

    Names registered with gymnax by the user are among gymnax's.
    """
    found = [canonical_name(f"{DEFAULT_SUITE}/{name}") for name in _suites[DEFAULT_SUITE].names()]
    found += _own
    for prefix, suite in _suites.items():
        if prefix != DEFAULT_SUITE:
            found += [f"{prefix}/{name}" for name in suite.names()]
    return found


def parameters_of(name: str) -> dict[str, Parameter]:
    """The parameters of an environment with their kinds and defaults.

    Args:
        name: one of `available_environments()`.

    Raises:
        ValueError: there is no such environment.

    Example:
        >>> parameters_of("CartPole-v1")["gravity"]
        Parameter(kind=<class 'float'>, default=9.8)
    """
    if name in _own:
        return dict(_own[name][1])
    suite, short = _find(name)
    return dict(suite.parameters_of(short))


def make(name: str, parameters: dict[str, Any]) -> Environment:
    """Makes the environment of a name.

    Args:
        name: one of `available_environments()`.
        parameters: values by name.

    Raises:
        ValueError: there is no such environment or parameter, or a value is of a wrong kind; or
            the builder returns something else than an environment.
    """
    if name in _own:
        build, known = _own[name]
        made: Any = build(**check_parameters(parameters, known, name=name))
    else:
        suite, short = _find(name)
        made = suite.make(short, parameters)
    if not isinstance(made, Environment):
        raise ValueError(
            f"what was registered as {name!r} makes a {type(made).__name__}, but it must make a "
            "jaxrl Environment: jaxrl.make_env(...) makes one of a gymnax object"
        )
    return made


def _find(name: str) -> tuple[Suite, str]:
    """The suite of a name that is not the user's own, and the name within it."""
    prefix, slash, short = name.partition("/")
    if not slash:
        prefix, short = DEFAULT_SUITE, name
    prefixes = {*_suites, *(own.partition("/")[0] for own in _own if "/" in own)}
    if prefix not in prefixes:
        nearest = difflib.get_close_matches(prefix.lower(), prefixes, n=1, cutoff=0.5)
        hint = (
            f"did you mean {nearest[0]}/{short}?" if nearest else f"there are {_listed(prefixes)}"
        )
        raise ValueError(f"unknown environment {name!r}: no suite is called {prefix!r}; {hint}")
    known = list(_suites[prefix].names()) if prefix in _suites else []
    if short in known:
        return _suites[prefix], short
    shown = [canonical_name(f"{prefix}/{one}") for one in known]
    shown += [own for own in _own if not slash or own.startswith(f"{prefix}/")]
    # The prefix is known: it must not make the rest look alike.
    by_lowercase = {one.rpartition("/")[2].lower(): one for one in shown}
    nearest = difflib.get_close_matches(short.lower(), by_lowercase, n=3, cutoff=0.5)
    hint = " or ".join(by_lowercase[match] for match in nearest)
    rest = f"did you mean {hint}?" if hint else f"there are {', '.join(shown)}"
    raise ValueError(f"unknown environment {name!r}: {rest}")


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))

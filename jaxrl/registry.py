"""Names of algorithms, and the settings and constructor behind each."""

import dataclasses
import difflib
import re
from collections.abc import Callable
from typing import Any

from jaxrl.agents.a2c import A2CConfig, a2c
from jaxrl.agents.ppo import PPOConfig, ppo
from jaxrl.agents.reinforce import ReinforceConfig, reinforce
from jaxrl.types import Algorithm, Environment


@dataclasses.dataclass(frozen=True)
class Entry:
    """One algorithm as the command line and the run folder know it.

    Attributes:
        name: what users type.
        settings: the settings class; all of its fields have defaults.
        build: (environment, settings object) -> Algorithm.
        description: one line for people.
    """

    name: str
    settings: type
    build: Callable[[Environment, Any], Algorithm]
    description: str


_entries: dict[str, Entry] = {}
_own_names: set[str] = set()


def register(
    name: str,
    settings: type,
    build: Callable[[Environment, Any], Algorithm],
    *,
    description: str = "",
) -> Entry:
    """Makes an algorithm known by a name, so that `jaxrl train NAME ...` finds it.

    Registering a name again replaces it, so that a notebook's cell can run twice; the names that
    come with the library cannot be replaced.

    Args:
        name: lower-case letters, digits, dots, dashes and underscores, beginning with a letter.
        settings: a class made with `@jaxrl.settings`, with a field `total_steps`.
        build: (environment, settings object) -> Algorithm.
        description: one line; the first line of `build`'s docstring if it is not given.

    Returns:
        The entry.

    Raises:
        ValueError: the name or the settings class cannot be used.
    """
    if not re.fullmatch(r"[a-z][a-z0-9._-]*", name):
        raise ValueError(
            f"algorithm name {name!r} must be lower-case letters, digits, '.', '-' and '_', "
            "beginning with a letter"
        )
    if name in _own_names:
        raise ValueError(f"{name!r} is an algorithm of the library: choose another name")
    _check_settings(name, settings)
    if not description:
        description = (build.__doc__ or "").strip().partition("\n")[0]
    _entries[name] = Entry(name=name, settings=settings, build=build, description=description)
    return _entries[name]


def get(name: str) -> Entry:
    """The algorithm of that name.

    Raises:
        ValueError: there is none; the message gives the nearest names.
    """
    if name not in _entries:
        near = difflib.get_close_matches(name.lower(), _entries, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names())}"
        raise ValueError(f"unknown algorithm {name!r}: {hint}")
    return _entries[name]


def names() -> list[str]:
    """The names of all algorithms, in alphabetical order."""
    return sorted(_entries)


def _check_settings(name: str, settings: type) -> None:
    if not dataclasses.is_dataclass(settings):
        raise ValueError(f"the settings of {name!r} must be a class made with @jaxrl.settings")
    fields = {field.name: field for field in dataclasses.fields(settings)}
    if "total_steps" not in fields:
        raise ValueError(f"the settings of {name!r} lack the field total_steps")
    for field in fields.values():
        if field.default is dataclasses.MISSING or "static" not in field.metadata:
            raise ValueError(
                f"the setting {field.name} of {name!r} must be declared as "
                "jaxrl.settings.number(default) or static(default)"
            )


register("a2c", A2CConfig, a2c, description="Advantage actor-critic (Mnih et al., 2016).")
register("ppo", PPOConfig, ppo, description="Proximal policy optimisation (Schulman et al., 2017).")
register(
    "reinforce", ReinforceConfig, reinforce, description="Score-function gradient (Williams, 1992)."
)
_own_names.update(_entries)

"""`jaxrl list [algorithms | environments | presets]`."""

import dataclasses
import sys
from typing import Literal

import tyro

from jaxrl import environments, presets, registry
from jaxrl.cli.arguments import parse


@dataclasses.dataclass(frozen=True)
class ListArguments:
    """The arguments of `list`."""

    what: tyro.conf.Positional[Literal["all", "algorithms", "environments", "presets"]] = "all"
    """What to list."""


def run(arguments: list[str]) -> int:
    """Lists what there is to train with."""
    values = parse(
        ListArguments,
        arguments,
        prog="jaxrl list",
        description="List algorithms, environments and presets (tuned settings).",
    )
    listers = {
        "algorithms": _algorithms,
        "environments": environments.available_environments,
        "presets": _presets,
    }
    wanted = list(listers) if values.what == "all" else [values.what]
    for kind in wanted:
        if len(wanted) > 1:
            sys.stdout.write(f"{kind}:\n")
        indent = "  " if len(wanted) > 1 else ""
        sys.stdout.write("".join(f"{indent}{line}\n" for line in listers[kind]()))
    return 0


def _algorithms() -> list[str]:
    entries = [registry.get(name) for name in registry.names()]
    width = max(len(entry.name) for entry in entries)
    return [f"{entry.name:<{width}}  {entry.description}".rstrip() for entry in entries]


def _presets() -> list[str]:
    return [f"{algorithm} {environment}" for algorithm, environment in presets.presets()]

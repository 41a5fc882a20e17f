"""Ranges and lists where numbers stood: `--learning-rate log:1e-4..1e-2 --num-steps 16,32`."""

import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from jaxrl import environments, registry, sweeps
from jaxrl.cli.errors import CommandError, one_line
from jaxrl.cli.settings_flags import setting_kinds

_TRUTH = {"true": True, "false": False}


def take_spaces(
    entry: registry.Entry, environment: str, arguments: list[str]
) -> tuple[dict[str, sweeps.Distribution], list[str]]:
    """Takes the flags with a range or a list out of the words.

    Args:
        entry: the algorithm.
        environment: its name.
        arguments: flags and their values.

    Returns:
        What is searched, by the name of a setting, or `env.` and that of a parameter; and the words
        that are left.

    Raises:
        CommandError: a range or a list cannot be read.
    """
    kinds = _kinds(entry, environments.parameters_of(environment))
    space: dict[str, sweeps.Distribution] = {}
    rest: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        name, _, value = word[2:].partition("=") if word.startswith("--") else ("", "", "")
        name = name.replace("-", "_")
        separate = name in kinds and not value and bool(words) and not words[0].startswith("--")
        value = words[0] if separate else value
        is_space = _is_space(value, kinds.get(name))
        if name not in kinds or not is_space:
            rest.append(word)
            continue
        if separate:
            words.pop(0)
        if name in space:
            raise CommandError(f"--{name.replace('_', '-')} is given twice")
        space[name] = _read_space(name, value, kinds[name])
    return space, rest


def _is_space(value: str, kind: Any) -> bool:
    """Whether a flag's word is a range or a list of what the flag takes."""
    if get_args(kind)[:1] == (str,):
        # Words may hold ranges of their own.
        return False
    # Paths have dots, too: a range is of numbers.
    return "," in value if kind is str else sweeps.is_space(value)


def _kinds(
    entry: registry.Entry, parameters: Mapping[str, environments.Parameter]
) -> dict[str, Any]:
    """The type of each setting and parameter, by its name in a space."""
    kinds = setting_kinds(entry.settings)
    return kinds | {f"env.{name}": kind or str for name, (kind, _) in parameters.items()}


def _read_space(name: str, word: str, kind: Any) -> sweeps.Distribution:
    kinds = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)

    def read(value: str) -> Any:
        if type(None) in kinds and value == "none":
            return None
        return _read_value(value, next(kind for kind in kinds if kind is not type(None)))

    try:
        return sweeps.parse_space(word, read, whole=int in kinds and float not in kinds)
    except ValueError as error:
        flag = f"--{name.replace('_', '-')}"
        raise CommandError(f"{flag}: {one_line(str(error))}") from None


def _read_value(word: str, kind: Any) -> Any:
    """One value of a list, as the setting takes it."""
    if get_origin(kind) is Literal:
        if word not in get_args(kind):
            raise ValueError(f"{word!r} is not one of {', '.join(map(str, get_args(kind)))}")
        return word
    if get_origin(kind) is tuple:
        return (
            ()
            if word == "none"
            else tuple(_read_value(x, get_args(kind)[0]) for x in word.split("x"))
        )
    if kind is bool:
        if word.lower() not in _TRUTH:
            raise ValueError(f"{word!r} is neither true nor false")
        return _TRUTH[word.lower()]
    if kind in (int, float):
        try:
            number = float(word)
            if kind is float:
                return number
            if number == int(number):
                return int(number)
        except (ValueError, OverflowError):
            pass
        raise ValueError(f"{word!r} is not a {'whole ' if kind is int else ''}number")
    return word

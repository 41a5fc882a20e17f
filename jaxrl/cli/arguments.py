"""From command-line words to typed values: tyro, with errors of one line and nearest flags."""

import contextlib
import dataclasses
import difflib
import io
import re
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from jaxrl.cli.errors import CommandError, one_line
from jaxrl.runs.folder import check_path

T = TypeVar("T")
HELP = ("-h", "--help")


def parse(arguments_type: type[T], arguments: Sequence[str], *, prog: str, description: str) -> T:
    """Reads command-line words into a dataclass; `--help` prints its help and exits with 0.

    Args:
        arguments_type: a dataclass whose fields are flags; nested ones are groups of flags.
        arguments: the words.
        prog: the command, for the help.
        description: what it does, for the help.

    Raises:
        CommandError: a flag is unknown, or a value is missing or cannot be read.
    """
    if not any(word in HELP for word in arguments):
        _check_flags(arguments, flags(arguments_type))
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                arguments_type,
                args=arguments,
                prog=prog,
                description=description,
                registry=_READERS,
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        message = _message(complaint.getvalue(), prog)
    raise CommandError(message)


def flags(arguments_type: type, prefix: str = "") -> dict[str, Any]:
    """Every flag of a dataclass, without its dashes in front, and its type."""
    found: dict[str, Any] = {}
    hints = get_type_hints(arguments_type, include_extras=True)
    for field in dataclasses.fields(arguments_type):
        kind, name, positional = _unwrap(hints[field.name], field.name)
        if positional:
            continue
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            found |= flags(kind, f"{prefix}{name}." if name else prefix)
            continue
        flag = f"{prefix}{name}".replace("_", "-")
        found[flag] = kind
        if kind is bool:
            found[f"{prefix}no-{name}".replace("_", "-")] = kind
    return found


def given_flags(arguments: Sequence[str]) -> set[str]:
    """The flags among the words, spelt as `flags` spells them."""
    return {flag for flag in map(_flag_name, arguments) if flag is not None}


def value_of(arguments: Sequence[str], flag: str) -> str | None:
    """The word that a flag has as its value; None where the flag or its value is missing."""
    for index, word in enumerate(arguments):
        if _flag_name(word) == flag:
            following = arguments[index + 1 : index + 2]
            words = [word.partition("=")[2]] if "=" in word else following
            return "".join(words) or None
    return None


def take_positionals(
    arguments: Sequence[str], count: int, known: Callable[[str], dict[str, Any]]
) -> tuple[list[str], list[str]]:
    """Splits the words into up to `count` positional ones and the rest, in any order.

    Args:
        arguments: the words.
        count: how many positional words there may be.
        known: the flags, given the first positional word ('' while it has not been seen), since an
            algorithm brings flags of its own. An unknown flag is taken to have a value.
    """
    positionals: list[str] = []
    rest: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        flag = _flag_name(word)
        if flag is None and not word.startswith("-") and len(positionals) < count:
            positionals.append(word)
            continue
        rest.append(word)
        if flag is None or "=" in word:
            continue
        kind = known(positionals[0] if positionals else "").get(flag)
        if kind is bool or word in HELP:
            continue
        while words and not words[0].startswith("--"):
            rest.append(words.pop(0))
            # A list goes on for as long as there are numbers.
            if get_origin(kind) is not tuple or not (words and _is_number(words[0])):
                break
    return positionals, rest


def _unwrap(hint: Any, name: str) -> tuple[Any, str, bool]:
    """Finds the plain type, the name on the command line, and whether it is positional."""
    positional = False
    if get_origin(hint) is Annotated:
        hint, *marks = get_args(hint)
        for mark in marks:
            given = getattr(mark, "name", None)
            name = given if isinstance(given, str) else name
            name = "" if mark is tyro.conf.OmitArgPrefixes else name
            positional = positional or mark is tyro.conf.Positional
    return hint, name, positional


def _flag_name(word: str) -> str | None:
    if not re.match(r"--[A-Za-z]", word):
        return None
    return word[2:].partition("=")[0].replace("_", "-")


def _is_number(word: str) -> bool:
    return re.fullmatch(r"[-+0-9][0-9._e+-]*", word) is not None


def _opposite(flag: str) -> str:
    """`no-preset` of `preset` and the other way round; of `env.x`, `env.no-x`."""
    group, dot, name = flag.rpartition(".")
    name = name.removeprefix("no-") if name.startswith("no-") else f"no-{name}"
    return f"{group}{dot}{name}"


def _check_flags(arguments: Sequence[str], known: dict[str, Any]) -> None:
    given: set[str] = set()
    for word in arguments:
        flag = _flag_name(word)
        if flag is None:
            if re.match(r"-[A-Za-z]", word):
                raise CommandError(f"unknown flag {word}: flags begin with two dashes")
            continue
        if flag in given:
            raise CommandError(f"--{flag} is given twice: which one is meant?")
        given.add(flag)
        other = _opposite(flag)
        if other in given and known.get(other) is bool:
            raise CommandError(f"--{other} and --{flag} exclude each other")
        if flag not in known:
            near = difflib.get_close_matches(flag, known, n=1, cutoff=0.5)
            hint = f"did you mean --{near[0]}?" if near else "see --help for those there are"
            raise CommandError(f"unknown flag --{flag}: {hint}")


def _message(complaint: str, prog: str) -> str:
    """What tyro says in a box over several lines, as one line without the box."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", complaint)
    title, *lines = [line.strip(" │|") for line in text.splitlines()] or [""]
    body: list[str] = []
    for line in lines:
        if not re.match(r"[─╰+-]{4}", line):
            body.append(line)
        elif body:
            # This rule ends the complaint; what follows repeats the help.
            break
    message = one_line(" ".join(body)).rstrip(".")
    message = re.sub(r"^Error parsing ([^:]*): ", r"\1: ", message)
    message = message.replace("Unrecognized options:", "unexpected argument:")
    message = re.sub(r"^Missing from [^:]*: (\S+).*$", r"\1 is missing", message)
    # tyro 1.0.0 shows the flag as a tuple of names.
    missing = r"^Missing value for argument '(?:\(')?([^\s',]+)'.*$"
    message = re.sub(missing, r"\1 needs a value", message)
    return f"{message or title} (see {prog} --help)"


def _read_path(word: str) -> Path:
    check_path(word)
    return Path(word)


def _read_whole(word: str) -> int:
    # "1e6" and "100_000" are whole numbers to people.
    try:
        _refuse_other_digits(word)
        value = float(word) if re.search(r"[.eE]", word) else int(word)
        if value != int(value):
            raise ValueError
    except (ValueError, OverflowError):
        raise ValueError(f"{word!r} is not a whole number") from None
    return int(value)


def _read_number(word: str) -> float:
    try:
        _refuse_other_digits(word)
        return float(word)
    except ValueError:
        raise ValueError(f"{word!r} is not a number") from None


def _refuse_other_digits(word: str) -> None:
    """Raises ValueError for digits of other scripts, which Python reads and few people mean."""
    if not word.isascii():
        raise ValueError(word)


def _read_whole_numbers(words: list[str]) -> tuple[int, ...]:
    if not words:
        raise ValueError("needs at least one whole number, or none")
    if [word.lower() for word in words] == ["none"]:
        return ()
    return tuple(_read_whole(word) for word in words)


def _specification(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """How one type is read; None leaves it to tyro."""
    if info.type_origin is tuple and get_args(info.type) == (int, ...):
        return PrimitiveConstructorSpec(
            nargs="*",
            metavar="INT [INT ...]|none",
            instance_from_str=_read_whole_numbers,
            is_instance=lambda value: isinstance(value, tuple),
            str_from_instance=lambda value: [str(item) for item in value] or ["none"],
        )
    optional = get_origin(info.type) in (Union, types.UnionType)
    kinds = [kind for kind in get_args(info.type) if kind is not type(None)]
    kind = kinds[0] if optional and len(kinds) == 1 else info.type
    readers: dict[Any, Callable[[str], Any]] = {
        int: _read_whole,
        float: _read_number,
        str: str,
        Path: _read_path,
    }
    if kind not in readers:
        return None
    read = readers[kind]

    def from_words(words: list[str]) -> Any:
        return None if optional and words[0].lower() == "none" else read(words[0])

    name = {int: "INT", float: "FLOAT", str: "NAME", Path: "PATH"}[kind]
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=f"{name}|none" if optional else name,
        instance_from_str=from_words,
        is_instance=lambda value: isinstance(value, kind) or (optional and value is None),
        str_from_instance=lambda value: ["none" if value is None else str(value)],
    )


_READERS = ConstructorRegistry()
_READERS.primitive_rule(_specification)

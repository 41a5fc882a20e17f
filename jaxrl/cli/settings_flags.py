"""Flags of an algorithm's settings and of an environment's parameters."""

import ast
import collections.abc
import dataclasses
import functools
import inspect
import operator
import textwrap
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from jaxrl.environments import Parameter
from jaxrl.settings import describe_needs


def settings_arguments(settings: type, defaults: Any) -> type:
    """A dataclass for the parser with one field per setting; its help: what it means and needs.

    Args:
        settings: the algorithm's settings class.
        defaults: a settings object, whose values are the flags' defaults.
    """
    meanings = field_meanings(settings)
    hints = get_type_hints(settings)
    fields = [
        (
            field.name,
            _with_help(
                _flag_type(field, hints[field.name]),
                f"{meanings.get(field.name, '')} {describe_needs(field)}".strip(),
            ),
            dataclasses.field(default=getattr(defaults, field.name)),
        )
        for field in dataclasses.fields(settings)
    ]
    return dataclasses.make_dataclass("settings", fields, frozen=True)


def parameter_arguments(parameters: Mapping[str, Parameter]) -> type:
    """A dataclass for the parser with one field per parameter that can be typed."""
    fields = [
        (name, kind if default is not None else kind | None, dataclasses.field(default=default))
        for name, (given, default) in parameters.items()
        if (kind := given or _numbers(default)) is not None
    ]
    return dataclasses.make_dataclass("environment", fields, frozen=True)


def _numbers(default: Any) -> Any:
    """The type of several numbers behind one flag, where the default is such a tuple."""
    is_tuple = isinstance(default, tuple) and default
    return tuple[float, ...] if is_tuple and all(type(x) is float for x in default) else None


def field_meanings(settings: type) -> dict[str, str]:
    """The string that follows each field in a class's source, by field.

    A class that was typed into an interpreter has no source, and no meanings.
    """
    meanings: dict[str, str] = {}
    for cls in reversed(settings.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
        except (OSError, TypeError, SyntaxError):
            continue
        definition = tree.body[0]
        if not isinstance(definition, ast.ClassDef):
            continue
        for field, after in zip(definition.body, definition.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                meaning = after.value if isinstance(after, ast.Expr) else None
                if isinstance(meaning, ast.Constant) and isinstance(meaning.value, str):
                    meanings[field.target.id] = inspect.cleandoc(meaning.value)
    return meanings


def _flag_type(field: "dataclasses.Field[Any]", hint: Any) -> Any:
    """The type of what is typed: functions and arrays have no place on a command line."""
    if not field.metadata["static"]:
        return float | None if field.metadata["optional"] else float
    if field.metadata["choices"] is not None:
        return Literal[tuple(field.metadata["choices"])]
    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    kinds = [kind for kind in members if get_origin(kind) is not collections.abc.Callable]
    return functools.reduce(operator.or_, kinds)


def _with_help(kind: Any, meaning: str) -> Any:
    return Annotated[kind, tyro.conf.arg(help=meaning)]

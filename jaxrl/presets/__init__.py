"""Tuned settings per algorithm and environment, as data: one TOML file per algorithm."""

import dataclasses
import functools
import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from jaxrl import registry
from jaxrl.environments import canonical_name

__all__ = ["preset", "preset_settings", "preset_text", "presets", "settings_from_file"]


def preset(algorithm: str, environment: str) -> dict[str, Any] | None:
    """The tuned settings of an algorithm in an environment, by field; None if there are none."""
    table = _tables(algorithm).get(canonical_name(environment))
    return None if table is None else {name: _as_setting(value) for name, value in table.items()}


def presets() -> list[tuple[str, str]]:
    """The (algorithm, environment) pairs that have a preset, in alphabetical order."""
    files = (file.name for file in resources.files(__name__).iterdir())
    algorithms = [name.removesuffix(".toml") for name in files if name.endswith(".toml")]
    return sorted((algorithm, name) for algorithm in algorithms for name in _tables(algorithm))


def settings_from_file(path: str | Path, algorithm: str, environment: str) -> Any:
    """A settings object with the values of a file that has the form of our own presets.

    Args:
        path: a TOML file with a table per environment, as `jaxrl best` writes it.
        algorithm: a registered name; its defaults hold for what the table does not list.
        environment: the name of a table.

    Raises:
        ValueError: the file cannot be read, has no table for the environment, or sets what the
            algorithm does not have.
    """
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path} is no preset file: {error}") from None
    named = {canonical_name(name): values for name, values in tables.items()}
    table = named.get(canonical_name(environment))
    if not isinstance(table, dict):
        found = ", ".join(tables) or "nothing"
        raise ValueError(f"{path} has no settings for {environment}: it has {found}")
    try:
        return _settings(algorithm, {name: _as_setting(x) for name, x in table.items()})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def preset_settings(algorithm: str, environment: str, **changes: Any) -> Any:
    """A settings object: the preset's values where it has some, `changes` on top of them.

    Args:
        algorithm: a registered name.
        environment: a name; without a preset for it, the algorithm's own defaults hold.
        **changes: settings by field, such as `total_steps=10_000`.

    Raises:
        ValueError: unknown algorithm, or unknown settings in `changes`.
    """
    return _settings(algorithm, {**(preset(algorithm, environment) or {}), **changes})


def preset_text(environment: str, settings: Any) -> str:
    """A preset file's table: every setting that departs from the algorithm's default.

    Args:
        environment: the table's name.
        settings: a settings object without functions or arrays.
    """
    default = type(settings)()
    lines = [f"[{json.dumps(environment)}]"]
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value != getattr(default, field.name):
            lines.append(f"{field.name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if value is None:
        # TOML has no word for it; a preset file has this one.
        return '"none"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        # JSON has another word for infinity than TOML.
        return repr(value)
    return json.dumps(value)


def _settings(algorithm: str, values: dict[str, Any]) -> Any:
    settings = registry.get(algorithm).settings
    fields = {field.name: field for field in dataclasses.fields(settings)}
    for name, value in values.items():
        if name not in fields:
            raise ValueError(f"{algorithm} has no setting {name!r}: it has {', '.join(fields)}")
        if value == "none" and "none" not in (fields[name].metadata.get("choices") or ()):
            # TOML has no word for it.
            values[name] = value = None
        # TOML and people write 1 where a number such as 1.0 is meant.
        if isinstance(value, int) and not fields[name].metadata["static"]:
            values[name] = float(value)
    return settings(**values)


@functools.cache
def _tables(algorithm: str) -> dict[str, dict[str, Any]]:
    file = resources.files(__name__).joinpath(f"{algorithm}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _as_setting(value: Any) -> Any:
    # Settings must be hashable to be static, and TOML's arrays are lists.
    return tuple(value) if isinstance(value, list) else value

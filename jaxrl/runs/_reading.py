"""The one way in for what lies in a folder: regular files only, bounded, and one line if it is bad.

A folder may be damaged, or come from somebody who wishes us no good. So a file is opened without
following a link and without waiting for a FIFO; its size, its lines and its nesting are bounded;
and what it holds is checked for its kinds before anybody uses it.
"""

import errno
import io
import json
import math
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# A configuration of a hundred thousand members takes some ten million bytes.
MOST_BYTES = 2**28
MOST_OF_A_LINE = 2**26
_MOST_NAMES = 100_000

Kind = Callable[[Any], bool]


class ExperimentError(ValueError):
    """A folder, file or checkpoint cannot be used; the message is one line for people."""


def open_regular(path: Path) -> io.BufferedReader:
    """Opens a file for reading.

    Raises:
        FileNotFoundError: there is none.
        NotADirectoryError: a file lies where a folder should be.
        ExperimentError: it is a link, a folder, a FIFO or a device, or may not be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise ExperimentError(f"cannot read {path}: {_reason(error)}") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ExperimentError(f"cannot read {path}: it is no regular file")
    return os.fdopen(handle, "rb")


def read_bytes(path: Path) -> bytes:
    """Reads a file of at most `MOST_BYTES`.

    Raises:
        FileNotFoundError, NotADirectoryError, ExperimentError: as `open_regular`, or it is larger.
    """
    with open_regular(path) as file:
        try:
            content = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise ExperimentError(f"cannot read {path}: {_reason(error)}") from None
    if len(content) > MOST_BYTES:
        raise ExperimentError(f"{path} cannot be used: it has more than {MOST_BYTES:,} bytes")
    return content


def parse(text: bytes) -> Any:
    """Reads JSON, in which a number is finite.

    Raises:
        ValueError: it is none, or is nested too deeply.
    """
    try:
        return json.loads(text.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON ({error})") from None


def read_json(path: Path) -> Any:
    """Reads a file of JSON.

    Raises:
        FileNotFoundError, NotADirectoryError, ExperimentError: as `read_bytes`, or it is no JSON.
    """
    try:
        return parse(read_bytes(path))
    except ExperimentError:
        raise
    except ValueError as error:
        raise ExperimentError(f"{path} cannot be used: {error}") from None


def read_rows(path: Path, kinds: Callable[[str], Kind]) -> Iterator[dict[str, Any]]:
    """Reads a file of rows, one JSON object in each line.

    A run that is being written, or was killed, may end in half a line, which is left out.

    Args:
        path: of the file.
        kinds: from a column's name to the check of its values.

    Raises:
        FileNotFoundError, NotADirectoryError, ExperimentError: as `read_bytes`, or a line is no
            row, or is longer than any row.
    """
    with open_regular(path) as file:
        number = 0
        while line := file.readline(MOST_OF_A_LINE):
            number += 1
            if not line.endswith(b"\n"):
                if len(line) == MOST_OF_A_LINE:
                    raise ExperimentError(f"{path} cannot be used: line {number} has no end")
                return
            yield _row(path, number, line, kinds)


def _row(path: Path, number: int, line: bytes, kinds: Callable[[str], Kind]) -> dict[str, Any]:
    try:
        row = parse(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise ExperimentError(f"{path} cannot be used: a line is not a row of a run, line {number}")
    for name, value in row.items():
        if not kinds(name)(value):
            raise ExperimentError(
                f"{path} cannot be used: line {number} is not a row of a run, its {name} is not as "
                "a run writes it"
            )
    return row


def require(data: Any, kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """Checks that an object has the given entries, each of its kind.

    Raises:
        ValueError: naming the entry.
    """
    if not isinstance(data, dict):
        raise ValueError("it does not hold a JSON object")
    for name, kind in kinds.items():
        if name not in data:
            raise ValueError(f"its {name} is missing")
        if not kind(data[name]):
            raise ValueError(f"its {name} is not as it was written")
    return data


def list_folder(path: Path) -> list[str]:
    """The names in a folder, in order; none where there is no such folder.

    Raises:
        ExperimentError: it is a link or a file, may not be read, or holds too many.
    """
    try:
        mode = os.lstat(path).st_mode
        if not stat.S_ISDIR(mode):
            what = "a symbolic link" if stat.S_ISLNK(mode) else "a file"
            raise ExperimentError(f"{path} cannot be used: it is {what} and no folder")
        names: list[str] = []
        with os.scandir(path) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) > _MOST_NAMES:
                    raise ExperimentError(f"{path} cannot be used: it holds too many files")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ExperimentError(f"cannot read {path}: {_reason(error)}") from None
    return sorted(names)


def is_whole(value: Any, *, most: int = 2**63 - 1) -> bool:
    """Whether it is a whole number from 0 on."""
    return type(value) is int and 0 <= value <= most


def is_number(value: Any) -> bool:
    """Whether it is a finite number, or null, which stands for one that is not."""
    if value is None:
        return True
    return type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)


def is_list_of(kind: Kind) -> Kind:
    """The check of a list, all of whose elements pass a check."""
    return lambda value: isinstance(value, list) and all(map(kind, value))


def is_mapping_of(kind: Kind) -> Kind:
    """The check of an object, all of whose values pass a check."""
    return lambda value: isinstance(value, dict) and all(map(kind, value.values()))


def is_text(value: Any) -> bool:
    """Whether it is text of a reasonable length."""
    return isinstance(value, str) and len(value) < 10_000


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"it holds {name}, which is no number in JSON")


def _reason(error: OSError) -> str:
    # What `O_NOFOLLOW` says of a link, and `O_RDONLY` of a socket.
    reasons = {errno.ELOOP: "it is a symbolic link", errno.ENXIO: "it is no regular file"}
    return reasons.get(error.errno or 0, error.strerror or str(error))

"""The process's streams and terminal, which may be closed, full, cut off, or of an absurd width."""

import contextlib
import os
import shutil
import sys
import warnings
from typing import Any

_NARROWEST, _WIDEST = 40, 500
BROKEN_PIPE = 141


def prepare_streams() -> None:
    """Opens the streams that are closed, and bounds the width that tables are laid out for.

    A file that is opened while a stream is closed would get its number, and what is printed.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    columns = shutil.get_terminal_size().columns
    if not _NARROWEST <= columns <= _WIDEST:
        # A table in columns of one letter takes half a minute to lay out.
        os.environ["COLUMNS"] = str(min(max(columns, _NARROWEST), _WIDEST))


def say(text: str) -> None:
    """Writes one line to standard error, if that takes it."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"jaxrl: {_printable(text)}\n")
        sys.stderr.flush()


def _printable(text: str) -> str:
    """The text without what a terminal would obey, as names in a folder of others may hold it."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def give_up_stdout() -> None:
    """Keeps Python's own flush of standard output at exit from complaining about it."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def warnings_in_one_line() -> Any:
    """Prints what is warned of as the errors are: one line, without a file's path."""

    def show(message: Any, *unused: Any, **unused_too: Any) -> None:
        del unused, unused_too
        say(f"warning: {' '.join(str(message).split())}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield

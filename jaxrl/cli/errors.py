"""What the user got wrong, as opposed to what the program got wrong."""

import contextlib
from collections.abc import Generator


class CommandError(Exception):
    """The command cannot be carried out as given; the message is one line for people."""


@contextlib.contextmanager
def checking_input() -> Generator[None]:
    """Around code that judges what the user gave: its ValueErrors are the user's to mend.

    Everywhere else a ValueError is a mistake of the program and keeps its traceback.
    """
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise CommandError(one_line(str(error))) from error


def one_line(message: str) -> str:
    """The message with its line breaks and runs of blanks made single blanks."""
    return " ".join(message.split())


def check_range(name: str, value: int, *, minimum: int, maximum: int | None = None) -> None:
    """Raises a CommandError unless a whole number lies in its range."""
    if value < minimum:
        raise CommandError(f"{name}={value} must be at least {minimum}")
    if maximum is not None and value > maximum:
        raise CommandError(f"{name}={value} must be at most {maximum}")

"""Ctrl-C: the first lets the running chunk end and the run be saved, the second ends at once."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

EXIT_CODE = 130


class Interruption(contextlib.AbstractContextManager["Interruption"]):
    """Listens for Ctrl-C while it is entered; elsewhere than in the main thread it cannot.

    Attributes:
        requested: whether Ctrl-C was pressed.
    """

    def __init__(self, *, on_first: Callable[[], None], on_second: Callable[[], None]) -> None:
        """Takes what to tell the user: after the first, and just before the process ends."""
        self.requested = False
        self._on_first = on_first
        self._on_second = on_second
        self._previous: Any = None

    def __enter__(self) -> "Interruption":
        """Takes the signal over, unless the process was told to ignore it."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        """Gives the signal back."""
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, *unused: object) -> None:
        del unused
        if self.requested:
            self._on_second()
            # Not an exception: the chunk in the other thread would be waited for.
            os._exit(EXIT_CODE)
        self.requested = True
        self._on_first()

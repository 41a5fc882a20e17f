"""The display of a run on the terminal: a bar where there is one, else a line now and then."""

import contextlib
import time
from typing import Any

_SECONDS_BETWEEN_LINES = 10.0


class Display:
    """Reports to standard error; standard output is left to results."""

    def __init__(self) -> None:
        """Looks whether there is a terminal."""
        self._console = _make_console()
        self._bar: Any = None
        self._task: Any = None
        self._return: float | None = None
        self._total = 0
        self._first = 0
        self._began = 0.0
        self._last_line = 0.0

    def say(self, text: str) -> None:
        """Prints one line, above the bar if there is one."""
        # A run does not end because nobody can hear of it.
        with contextlib.suppress(OSError):
            self._console.print(text)

    def begin(self, *, done: int, total: int) -> None:
        """Starts to measure: `done` of `total` environment steps of all members are behind us."""
        self._first, self._total = done, total
        self._began = self._last_line = time.monotonic()
        if self._console.is_terminal:
            self._bar = _make_bar(self._console)
            self._bar.start()
            self._task = self._bar.add_task("", total=total, completed=done, text="")

    def update(self, *, done: int, episode_return: float | None) -> None:
        """Shows the steps done, their rate, the last known mean return and the time left."""
        now = time.monotonic()
        rate = (done - self._first) / max(now - self._began, 1e-9)
        text = f"{done:,}/{self._total:,} steps  {rate:,.0f} steps/s"
        if episode_return is not None:
            self._return = episode_return
        if self._return is not None:
            text += f"  return {self._return:.4g}"
        if self._bar is not None:
            with contextlib.suppress(OSError):
                self._bar.update(self._task, completed=done, text=text)
        elif now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            seconds_left = (self._total - done) / max(rate, 1e-9)
            self.say(f"{text}  {_duration(seconds_left)} left")

    def close(self) -> None:
        """Ends the bar and gives the cursor back."""
        if self._bar is not None:
            with contextlib.suppress(OSError):
                self._bar.stop()
            self._bar = None


def _make_console() -> Any:
    from rich.console import Console

    class Quiet(Console):
        """Goes on where the reader has gone; rich would end the process."""

        def on_broken_pipe(self) -> None:
            self.quiet = True

    return Quiet(stderr=True, highlight=False, markup=False, soft_wrap=True)


def _make_bar(console: Any) -> Any:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        BarColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
    )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"

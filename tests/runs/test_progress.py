import io

import pytest
from rich.console import Console

from jaxrl.runs import progress


@pytest.fixture
def clock(monkeypatch):
    """Time passes only when a test says so."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_lines_come_now_and_then_where_there_is_no_terminal(clock, capsys):
    display = progress.Display()
    display.begin(done=1_000, total=5_000)
    clock[0] = 5.0
    display.update(done=2_000, episode_return=12.5)
    assert capsys.readouterr().err == ""
    clock[0] = 10.0
    # No episode ended: the last known return stays.
    display.update(done=3_000, episode_return=None)
    display.close()
    line = capsys.readouterr().err
    assert line == "3,000/5,000 steps  200 steps/s  return 12.5  0:00:10 left\n"


def test_a_bar_where_there_is_one(monkeypatch, clock):
    screen = io.StringIO()
    display = progress.Display()
    display._console = Console(file=screen, force_terminal=True, width=120)
    display.begin(done=0, total=4_000)
    clock[0] = 2.0
    display.update(done=1_000, episode_return=-3.0)
    display.say("a line above [the] bar")
    display.close()
    assert "1,000/4,000 steps  500 steps/s  return -3" in screen.getvalue()
    assert "a line above" in screen.getvalue()
    # The cursor is shown again.
    assert screen.getvalue().rindex("\x1b[?25h") > screen.getvalue().rindex("\x1b[?25l")


def test_nothing_is_written_to_standard_output(clock, capsys):
    display = progress.Display()
    display.say("text with [brackets] and 12 numbers")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "text with [brackets] and 12 numbers\n"

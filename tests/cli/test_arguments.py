"""How words become values."""

import dataclasses
import io
from pathlib import Path

import pytest

from jaxrl.cli.arguments import _message, flags, given_flags, parse, take_positionals
from jaxrl.cli.errors import CommandError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """For the tests."""

    count: int = 1
    """How many."""
    rate: float | None = 0.5
    """How fast."""
    sizes: tuple[int, ...] = (1, 2)
    """How large."""
    loud: bool = False
    """How noisy."""
    out: Path | None = None
    """Where."""
    some_name: str = "x"
    """Who."""


def read(*words):
    return parse(Arguments, words, prog="test", description="")


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["--count", "1e6"], "count", 1_000_000),
        (["--count", "1_000"], "count", 1_000),
        (["--count=-3"], "count", -3),
        (["--count", "-3"], "count", -3),
        (["--rate", "none"], "rate", None),
        (["--rate", "None"], "rate", None),
        (["--rate", "-1e-3"], "rate", -1e-3),
        (["--sizes", "8"], "sizes", (8,)),
        (["--sizes", "8", "16", "32"], "sizes", (8, 16, 32)),
        (["--sizes", "none"], "sizes", ()),
        (["--loud"], "loud", True),
        (["--no-loud"], "loud", False),
        (["--out", "some/where"], "out", Path("some/where")),
        (["--some-name", "y"], "some_name", "y"),
        (["--some_name", "y"], "some_name", "y"),
    ],
)
def test_values_are_read(words, field, value):
    assert getattr(read(*words), field) == value


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--count", "2", "--count", "3"], "--count is given twice"),
        (["--some-name", "x", "--some_name=x"], "--some-name is given twice"),
        (["--loud", "--no-loud"], "--loud and --no-loud exclude each other"),
        (["--count", "٣"], "is not a whole number"),
        (["--rate", "１"], "is not a number"),
    ],
)
def test_what_nobody_means_is_refused(words, message):
    with pytest.raises(CommandError, match=message):
        read(*words)


def test_large_whole_numbers_keep_every_digit():
    assert read("--count", "9007199254740993").count == 9007199254740993


def test_errors_do_not_depend_on_the_terminal(monkeypatch):
    class Plain(io.StringIO):
        encoding = "ascii"

    monkeypatch.setattr("sys.stdout", Plain())
    with pytest.raises(CommandError, match=r"^--count: 'x' is not a whole number"):
        read("--count", "x")


def test_flags_and_their_types():
    found = flags(Arguments)
    assert set(found) == {"count", "rate", "sizes", "loud", "no-loud", "out", "some-name"}
    assert found["loud"] is bool


def test_given_flags_are_found_in_any_spelling():
    words = ["--some_name=a", "--rate", "-1", "word", "--no-loud"]
    assert given_flags(words) == {"some-name", "rate", "no-loud"}


@pytest.mark.parametrize(
    ("line", "positionals", "rest"),
    [
        ("a b --count 3", ["a", "b"], "--count 3"),
        ("--count 3 a b", ["a", "b"], "--count 3"),
        ("--count=3 a --loud b", ["a", "b"], "--count=3 --loud"),
        ("--no-loud a --rate -1 b", ["a", "b"], "--no-loud --rate -1"),
        ("--sizes 1 2 3 a b", ["a", "b"], "--sizes 1 2 3"),
        ("--sizes none a b", ["a", "b"], "--sizes none"),
        ("a --unknown value b", ["a", "b"], "--unknown value"),
        ("a b c", ["a", "b"], "c"),
        ("a --help", ["a"], "--help"),
        ("--count", [], "--count"),
    ],
)
def test_positional_words_are_found_anywhere(line, positionals, rest):
    found = take_positionals(line.split(), 2, lambda first: flags(Arguments))
    assert found == (positionals, rest.split())


@pytest.mark.parametrize("shown", ["--count", "('--count',)", "('--count', '-c')"])
def test_a_missing_value_is_named_in_the_words_of_every_tyro(shown):
    """tyro 1.0.0 shows a tuple of names where later versions show the flag."""
    complaint = f"╭─ Missing argument ─╮\n│ Missing value for argument '{shown}'. Expected 1. │"
    assert _message(complaint, "test") == "--count needs a value (see test --help)"

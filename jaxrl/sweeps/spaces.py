"""The values that a sweep searches: ranges and lists, in Python and as text."""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxrl.types import Key

# Of a list.
MOST_VALUES = 100_000
_LARGEST = float(np.finfo(np.float32).max)
_RANGE = re.compile(r"(?P<log>log:)?(?P<low>[^:]+)\.\.(?P<high>[^:]+?)(?::(?P<points>[^:]*))?")


@dataclasses.dataclass(frozen=True)
class Range:
    """All numbers between two ends, which belong to it.

    Attributes:
        low: the least value.
        high: the greatest.
        log: equal shares of probability lie on equal ratios, not on equal differences.
        whole: whole numbers only.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            value: Any = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.number):
                raise ValueError(f"{name}={value!r} is not a number")
            if not abs(value) <= _LARGEST:
                raise ValueError(f"{name}={value} must be finite, in float32")
            if self.whole and value != int(value):
                raise ValueError(f"{name}={value} is not a whole number")
        if not self.low < self.high:
            raise ValueError(
                f"the range {self.low:g}..{self.high:g} is empty: low must be below high"
            )
        if self.log and self.low <= 0:
            raise ValueError(f"low={self.low:g} must be greater than 0 for a logarithmic range")

    def at(self, quantile: float) -> float | int:
        """Returns the value below which a share of the range lies.

        Args:
            quantile: the share, in [0, 1).
        """
        low, high = (self.low, self.high + 1) if self.whole else (self.low, self.high)
        if self.log:
            value = math.exp(math.log(low) + quantile * (math.log(high) - math.log(low)))
        else:
            value = low + quantile * (high - low)
        if self.whole:
            return int(min(math.floor(value), self.high))
        return float(min(max(value, self.low), self.high))

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
        """Draws float32 numbers, or whole ones as floats, inside a program; the key is consumed."""
        low, high = (self.low, self.high + 1) if self.whole else (self.low, self.high)
        if self.log:
            low, high = math.log(low), math.log(high)
        drawn = jax.random.uniform(key, shape, jnp.float32, low, high)
        drawn = jnp.exp(drawn) if self.log else drawn
        return self.clip(jnp.floor(drawn) if self.whole else drawn)

    def clip(self, values: Any) -> Float[Array, "..."]:
        """Returns the nearest numbers of the range, inside a program."""
        return jnp.clip(jnp.asarray(values, jnp.float32), self.low, self.high)

    def points(self, count: int) -> "Choice":
        """Returns evenly spaced values, the ends among them.

        Args:
            count: how many, at least 2.
        """
        if not 2 <= count <= MOST_VALUES:
            raise ValueError(f"{count} points of a range: at least 2 and at most {MOST_VALUES:,}")
        space = np.geomspace if self.log else np.linspace
        values = [float(value) for value in space(self.low, self.high, count)]
        values[0], values[-1] = float(self.low), float(self.high)
        if self.whole:
            return Choice(tuple(dict.fromkeys(round(value) for value in values)))
        return Choice(tuple(values))

    def __str__(self) -> str:
        return f"{'log:' if self.log else ''}{self.low:g}..{self.high:g}"


@dataclasses.dataclass(frozen=True)
class Choice:
    """A list of values, all as likely.

    Attributes:
        values: numbers, names, flags or tuples of them; none of them twice.
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a choice needs at least one value")
        if len(self.values) > MOST_VALUES:
            raise ValueError(f"a list of {len(self.values):,} values: at most {MOST_VALUES:,}")
        # A frozen dataclass sets its own fields this way too.
        object.__setattr__(self, "values", tuple(map(_plain, self.values)))
        seen: set[Any] = set()
        for value in self.values:
            if identity_of(value) in seen:
                raise ValueError(f"{to_word(value)} stands in the list twice, as float32 has it")
            seen.add(identity_of(value))

    def at(self, quantile: float) -> Any:
        """Returns the value below which a share of the list lies.

        Args:
            quantile: the share, in [0, 1).
        """
        return self.values[min(int(quantile * len(self.values)), len(self.values) - 1)]

    def __str__(self) -> str:
        return ",".join(map(to_word, self.values))


Distribution = Range | Choice


def uniform(low: float, high: float) -> Range:
    """Makes a range whose values are all as likely.

    Example:
        space = {"gae_lambda": uniform(0.8, 1.0)}
    """
    return Range(low, high)


def log_uniform(low: float, high: float) -> Range:
    """Makes a range whose orders of magnitude are all as likely.

    Example:
        space = {"learning_rate": log_uniform(1e-4, 1e-2)}
    """
    return Range(low, high, log=True)


def integers(low: int, high: int, *, log: bool = False) -> Range:
    """Makes a range of whole numbers, both ends among them.

    Example:
        space = {"num_epochs": integers(1, 10)}
    """
    return Range(low, high, log=log, whole=True)


def choice(*values: Any) -> Choice:
    """Makes a list of values, all as likely.

    Example:
        space = {"num_steps": choice(16, 32, 64), "activation": choice("tanh", "relu")}
    """
    return Choice(values)


def identity_of(value: Any) -> Any:
    """Returns what is equal for values that a program of float32 cannot tell apart."""
    if isinstance(value, bool):
        return "flag", value
    return float(np.float32(value)) if isinstance(value, float) else value


def is_space(word: str) -> bool:
    """Whether a word is a range or a list, not one value."""
    return "," in word or ".." in word


def parse_space(word: str, read: Callable[[str], Any], *, whole: bool) -> Distribution:
    """Reads a range or a list: `1e-4..1e-2`, `log:1e-4..1e-2`, `0..1:5` (five points), `a,b,c`.

    Args:
        word: the text.
        read: reads one value of a list; raises ValueError.
        whole: the values of a range are whole numbers.

    Raises:
        ValueError: the text is neither.
    """
    if "," in word:
        words = word.split(",")
        if not all(words):
            raise ValueError(f"{word!r} has an empty place in its list")
        return Choice(tuple(map(read, words)))
    match = _RANGE.fullmatch(word)
    if match is None:
        raise ValueError(f"{word!r} is no range: LOW..HIGH, log:LOW..HIGH or LOW..HIGH:POINTS")
    low, high = (_read_end(match[name], whole=whole) for name in ("low", "high"))
    found = Range(low, high, log=match["log"] is not None, whole=whole)
    if match["points"] is None:
        return found
    if not match["points"].isdecimal():
        raise ValueError(f"{word!r}: {match['points']!r} is not a number of points")
    return found.points(int(match["points"]))


def check_space(space: Mapping[str, Any]) -> dict[str, Distribution]:
    """Returns the space with lists of Python's own as choices.

    Raises:
        ValueError: it is empty, or something in it is no distribution.
    """
    if not space:
        raise ValueError("the space is empty: a sweep varies at least one setting or parameter")
    found: dict[str, Distribution] = {}
    for name, given in space.items():
        values: Any = given
        if isinstance(values, np.ndarray):
            values = values.tolist()
        if isinstance(values, Sequence) and not isinstance(values, str | bytes):
            try:
                values = Choice(tuple(values))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        if not isinstance(values, Range | Choice):
            raise ValueError(
                f"{name}={given!r} is no distribution: use uniform, log_uniform, integers, choice "
                "or a list of values"
            )
        found[name] = values
    return found


def to_json(distribution: Distribution) -> dict[str, Any]:
    """Returns a distribution as plain data."""
    return dataclasses.asdict(distribution)


def from_json(data: Any) -> Distribution:
    """Rebuilds a distribution from what `to_json` returned.

    Raises:
        ValueError: it is something else.
    """
    try:
        if "values" in data:
            values = (tuple(x) if isinstance(x, list) else x for x in data["values"])
            return Choice(tuple(values))
        return Range(**data)
    except TypeError:
        raise ValueError(f"{data!r} is no distribution") from None


def _read_end(word: str, *, whole: bool) -> float:
    try:
        value = float(word)
    except ValueError:
        raise ValueError(f"{word!r} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{word!r} is not finite")
    if whole and value != int(value):
        raise ValueError(f"{word!r} is not a whole number")
    return int(value) if whole else value


def _plain(value: Any) -> Any:
    """The value as Python's own data: no number of NumPy's, no list."""
    if isinstance(value, np.generic):
        return value.item()
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def to_word(value: Any) -> str:
    """Returns a value as it is typed, to six digits."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return "x".join(map(to_word, value)) or "none"
    return str(value)

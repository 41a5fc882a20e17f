"""Prices of the user's own: read, checked, and cut into spans that never overlap."""

import csv
import datetime
import importlib
import itertools
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jax.core import Tracer
from jaxtyping import Float

from jaxrl.environments.finance._requirements import require_number

# Of days of trading, of which some have none after them: no exchange rests for more than a week.
_LONGEST_REST = datetime.timedelta(days=7)
_DATE_NAMES = ("date", "datetime", "day", "time", "timestamp")
# A step is regular where it is within half of itself.
_REGULAR = 1.5


class PriceTable(NamedTuple):
    """A table of prices.

    Attributes:
        prices: [time, assets], in one currency.
        names: of the assets.
        dates: [time], one for each row; None where the table has none.
    """

    prices: Float[np.ndarray, "time assets"]
    names: tuple[str, ...]
    dates: tuple[datetime.datetime, ...] | None


def read_prices(path: str | Path, *, largest_gap: float | None = None) -> PriceTable:
    """Reads a table of prices from a file: a row for each time, a column for each asset.

    The first row names the columns. A first column of dates ("2024-01-31", or with a time) may
    stand before the assets'. Dates must ascend, and none may be missing: where nearly all steps are
    of one length, no step is longer than 1.5 of it; otherwise, as of trading days, no step is
    longer than 7 days or 1.5 times the median, whichever is more. Times with a zone become UTC.

    Args:
        path: of a .csv file, or of a .parquet file, which needs pandas and pyarrow.
        largest_gap: the longest step between two dates, in days, in the place of that rule.

    Returns:
        The table; what is empty or no number in it is nan, which `check_prices` refuses.

    Raises:
        ValueError: the file cannot be read, is no table, its first column has neither a name nor
            dates, or its dates are out of order or have gaps.
    """
    path = Path(path)
    if largest_gap is not None:
        should = "be a number of days above 0"
        require_number("largest_gap", largest_gap, lambda days: days > 0, should)
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    if path.suffix.lower() not in readers:
        raise ValueError(f"prices={str(path)!r} must be the path of a .csv or a .parquet file")
    try:
        names, rows = readers[path.suffix.lower()](path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"cannot read prices from {path}: {reason}") from None
    if not rows:
        raise ValueError(f"{path} holds no prices: a row of names and rows of prices are expected")
    for number, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise ValueError(
                f"{path}, row {number} has {len(row)} cells, but the first {len(names)}"
            )
    dates = _dates(names[0], [row[0] for row in rows], path)
    if dates is not None:
        _check_dates(dates, path, largest_gap)
        names, rows = names[1:], [row[1:] for row in rows]
    elif not names[0]:
        raise ValueError(
            f"{path}: the first column has neither a name nor dates; name it if it is an asset's, "
            "or leave it out if it numbers the rows"
        )
    if not names:
        raise ValueError(f"{path} has dates, but no column of prices")
    return PriceTable(np.array([[_number(cell) for cell in row] for row in rows]), names, dates)


def check_prices(prices: Any) -> Float[np.ndarray, "time assets"]:
    """Lets prices pass that are all there, finite and positive.

    Args:
        prices: [time, assets] or, of one asset, [time].

    Returns:
        Prices [time, assets].

    Raises:
        ValueError: naming the first row and column (from 0) where there is a hole, or a price that
            is not positive; or the array has another form.
    """
    array = price_array(prices)
    check_rows(array, range(len(array)))
    return array


def price_array(prices: Any) -> Float[np.ndarray, "time assets"]:
    """Prices as an array [time, assets] of two rows at least, whatever the numbers are.

    Raises:
        ValueError: they are of another form.
    """
    if isinstance(prices, Tracer):
        raise ValueError("prices change the program and cannot be traced: give a NumPy array")
    try:
        array = np.asarray(prices, np.float64)
    except (TypeError, ValueError):
        raise ValueError("prices must be numbers, an array [time, assets]") from None
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[0] < 2 or array.shape[1] < 1:
        raise ValueError(
            f"prices have shape {np.shape(prices)}, expected [time, assets] with 2 times at least"
        )
    return array


def check_rows(prices: Float[np.ndarray, "time assets"], rows: range) -> None:
    """Refuses a hole, or a price that is not positive, in some rows; others are not looked at."""
    part = prices[rows.start : rows.stop]
    for wrong, message in (
        (~np.isfinite(part), "no number: fill the hole or leave the row out"),
        (~(part > 0), "not positive"),
    ):
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            value = part[row, column]
            raise ValueError(
                f"prices[{rows.start + row}, {column}]={value} (time {rows.start + row}, asset "
                f"{column}) is {message}"
            )


def first_test_row(num_rows: int, test_share: float) -> int:
    """The row of the test span's first price; all rows before are the training span.

    Raises:
        ValueError: the share is not between 0 and 1, or leaves a span without a row.
    """
    if isinstance(test_share, Tracer):
        raise ValueError("test_share changes the program and cannot be traced: give a number")
    if not 0 < test_share < 1:
        raise ValueError(f"test_share={test_share} must lie between 0 and 1")
    first = num_rows - round(num_rows * test_share)
    if not 0 < first < num_rows:
        raise ValueError(f"test_share={test_share} of {num_rows} rows leaves a span without a row")
    return first


def _read_csv(path: Path) -> tuple[tuple[str, ...], list[list[Any]]]:
    if path.exists() and not path.is_file():
        # A FIFO would be waited for, and a device may have no end.
        raise ValueError(f"{path} is no file of prices")
    with path.open(newline="", encoding="utf-8-sig") as file:
        table = [row for row in csv.reader(file) if row]
    if table and all(math.isfinite(_number(cell)) for cell in table[0]):
        raise ValueError(f"{path} has no row of names above its prices")
    return (tuple(name.strip() for name in table[0]) if table else ()), table[1:]


def _read_parquet(path: Path) -> tuple[tuple[str, ...], list[list[Any]]]:
    try:
        pandas: Any = importlib.import_module("pandas")
        importlib.import_module("pyarrow")
    except ImportError:
        raise ValueError(
            f"reading {path} needs pandas and pyarrow: pip install pandas pyarrow"
        ) from None
    try:
        table: Any = pandas.read_parquet(path, engine="pyarrow")
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"cannot read prices from {path}: {error}") from None
    if isinstance(table.index, pandas.DatetimeIndex):
        table = table.reset_index()
    return tuple(str(name) for name in table.columns), table.to_numpy(object).tolist()


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return math.nan


def _date(cell: Any) -> datetime.datetime | None:
    try:
        date = (
            cell
            if isinstance(cell, datetime.datetime)
            else datetime.datetime.fromisoformat(str(cell).strip())
        )
        # Pandas' missing date is one, and is not equal to itself.
        if date != date:
            return None
        # A date that has a zone counts in UTC, where no hour comes twice.
        return date if date.tzinfo is None else date.astimezone(datetime.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _dates(name: str, cells: list[Any], path: Path) -> tuple[datetime.datetime, ...] | None:
    """The dates of a first column, by its name or its first cells; None where it holds prices."""
    dates = [_date(cell) for cell in cells]
    named = name.lower() in _DATE_NAMES
    if not named and (dates[0] is None or math.isfinite(_number(cells[0]))):
        return None
    for number, (date, cell) in enumerate(zip(dates, cells, strict=True), 2):
        if date is None:
            raise ValueError(f"{path}, row {number}: {cell!r} is no date such as 2024-01-31")
    return tuple(date for date in dates if date is not None)


def _check_dates(
    dates: tuple[datetime.datetime, ...], path: Path, largest_gap: float | None
) -> None:
    steps = [later - earlier for earlier, later in itertools.pairwise(dates)]
    for number, step in enumerate(steps, 3):
        if step <= datetime.timedelta(0):
            raise ValueError(
                f"{path}, row {number}: {_shown(dates[number - 2])} does not come after "
                f"{_shown(dates[number - 3])}; rows must be in the order of their dates"
            )
    if not steps:
        return
    median = sorted(steps)[len(steps) // 2]
    regular = sum(abs(step - median) <= (_REGULAR - 1) * median for step in steps)
    longest = _REGULAR * median
    if regular < 0.95 * len(steps):
        longest = max(longest, _LONGEST_REST)
    if largest_gap is not None:
        days = min(float(largest_gap), float(datetime.timedelta.max.days))
        longest = datetime.timedelta(days=days)
    for number, step in enumerate(steps, 3):
        if step > longest:
            raise ValueError(
                f"{path}, row {number}: no prices for {step / datetime.timedelta(days=1):g} days "
                f"after {_shown(dates[number - 3])}; fill the gap, or allow it with largest_gap, "
                "in days"
            )


def _shown(date: datetime.datetime) -> str:
    return str(date).removesuffix(" 00:00:00")

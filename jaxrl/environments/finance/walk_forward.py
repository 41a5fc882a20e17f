"""Walk-forward evaluation: train on the past, test on what comes next, and move on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxrl.environments.finance.portfolio import portfolio
from jaxrl.environments.finance.prices import price_array, read_prices
from jaxrl.types import Environment


class Fold(NamedTuple):
    """One stretch of the past and the one after it.

    Attributes:
        train: the environment of the training rows.
        test: that of the test rows, whose one episode plays all of them in order.
        train_rows: rows of the prices that are traded in training.
        test_rows: rows of the prices that are traded in the test; they follow.
    """

    train: Environment
    test: Environment
    train_rows: range
    test_rows: range


def walk_forward(
    prices: Any, *, train_rows: int, test_rows: int, rolling: bool = False, **parameters: Any
) -> Iterator[Fold]:
    """Cuts prices into folds, in which nothing of a test reaches the training before it.

    The tests of all folds follow one another without overlap; rows at the end that fill no whole
    test are left out. In a test the returns before its first row are seen, but not traded.

    Args:
        prices: [time, assets], or the path of a file, see `read_prices`; `largest_gap` is its.
        train_rows: rows of the first training span, and of all of them if they roll.
        test_rows: rows of each test span, at least 2.
        rolling: whether training spans move on with a fixed length; otherwise they all begin with
            the first row and grow.
        **parameters: of `portfolio`; `num_periods` is that of a training episode.

    Returns:
        An iterator over the folds, in order of time.

    Raises:
        ValueError: there is no whole fold, or a parameter is impossible.

    Example:
        >>> import numpy as np
        >>> from jaxrl.environments.finance import walk_forward
        >>> prices = np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, (100, 2)), axis=0))
        >>> folds = list(walk_forward(prices, train_rows=60, test_rows=20, num_periods=10))
        >>> [(fold.train_rows, fold.test_rows) for fold in folds]
        [(range(0, 60), range(60, 80)), (range(0, 80), range(80, 100))]
    """
    rows: dict[str, Any] = {"train_rows": train_rows, "test_rows": test_rows}
    for name, value in rows.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 2:
            raise ValueError(f"{name}={value!r} must be a whole number, at least 2")
    for name in ("prices", "span", "test_share"):
        if name in parameters:
            raise ValueError(f"walk_forward sets {name} itself")
    if isinstance(prices, str | Path):
        prices = read_prices(prices, largest_gap=parameters.pop("largest_gap", None)).prices
    table = price_array(prices)
    count = (len(table) - train_rows) // test_rows
    if count < 1:
        raise ValueError(
            f"train_rows={train_rows} and test_rows={test_rows} need {train_rows + test_rows} rows "
            f"of prices, but there are {len(table)}"
        )
    starts = [train_rows + fold * test_rows for fold in range(count)]
    return (
        _fold(table, range(start - train_rows if rolling else 0, start), test_rows, parameters)
        for start in starts
    )


def _fold(prices: Any, train_rows: range, test_rows: int, parameters: dict[str, Any]) -> Fold:
    end = train_rows.stop + test_rows
    part = prices[train_rows.start : end]
    training: dict[str, Any] = {**parameters, "prices": part, "test_share": test_rows / len(part)}
    whole: dict[str, Any] = {**training, "num_periods": test_rows - 1}
    return Fold(
        train=portfolio(**training, span="train"),
        test=portfolio(**whole, span="test"),
        train_rows=train_rows,
        test_rows=range(train_rows.stop, end),
    )

"""Prices of the user's own: what is refused, which rows are played, and what a test hides."""

import datetime
import importlib
import itertools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments import make_env
from jaxrl.environments.finance import (
    check_prices,
    equal_weights,
    portfolio,
    read_prices,
    walk_forward,
)
from jaxrl.environments.finance.prices import _dates


def made_up_prices(rows=60, assets=2, seed=0):
    steps = np.random.default_rng(seed).normal(0.001, 0.02, (rows - 1, assets))
    return 100 * np.exp(np.cumsum(np.vstack([np.zeros(assets), steps]), axis=0))


def write(path, rows, header="date,one,two"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def dated_rows(prices, step=1):
    first = datetime.date(2024, 1, 1)
    days = [first + datetime.timedelta(days=step * row) for row in range(len(prices))]
    return [f"{day},{','.join(map(str, row))}" for day, row in zip(days, prices, strict=True)]


def trading_days(prices):
    days = [np.busday_offset("2024-01-01", row) for row in range(len(prices))]
    return [f"{day},{','.join(map(str, row))}" for day, row in zip(days, prices, strict=True)]


def test_reading_a_table(tmp_path):
    prices = made_up_prices()
    table = read_prices(write(tmp_path / "prices.csv", dated_rows(prices)))
    np.testing.assert_array_equal(table.prices, prices)
    assert table.names == ("one", "two")
    assert table.dates[-1] == datetime.datetime(2024, 2, 29)
    rows = [row.partition(",")[2] for row in dated_rows(prices)]
    bare = read_prices(write(tmp_path / "bare.csv", rows, header="one,two"))
    np.testing.assert_array_equal(bare.prices, prices)
    assert bare.dates is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:9] + rows[12:], "row 11: no prices for 4 days after 2024-01-09"),
        (lambda rows: [*rows[:4], rows[5], rows[4], *rows[6:]], "row 7: 2024-01-05 does not come"),
        (lambda rows: [*rows[:4], rows[3], *rows[4:]], "row 6: 2024-01-04 does not come"),
        (lambda rows: [*rows[:4], "soon,1,1", *rows[4:]], "row 6: 'soon' is no date"),
        (lambda rows: [*rows[:4], "2024-01-05,1", *rows[5:]], "row 6 has 2 cells, but the first 3"),
        (lambda rows: [], "holds no prices: a row of names and rows of prices"),
        (lambda rows: [row[:10] for row in rows], "has 1 cells, but the first 3"),
    ],
)
def test_wrong_tables(tmp_path, change, message):
    path = write(tmp_path / "prices.csv", change(dated_rows(made_up_prices())))
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        make_env("finance/portfolio", prices=str(path), num_periods=5)
    assert "\n" not in str(caught.value)


def test_gaps_are_measured_by_the_table(tmp_path):
    prices = made_up_prices()
    # Weekends are no gaps; two weeks without a price are one, unless allowed.
    days = trading_days(prices)
    assert len(read_prices(write(tmp_path / "days.csv", days)).prices) == 60
    holed = write(tmp_path / "holed.csv", days[:20] + days[30:])
    with pytest.raises(ValueError, match="no prices for 17 days after 2024-01-26"):
        read_prices(holed)
    assert len(read_prices(holed, largest_gap=17.0).prices) == 50
    parameters = {"prices": str(holed), "num_periods": 5}
    assert make_env("finance/portfolio", largest_gap=17.0, **parameters).max_episode_steps == 5
    weeks = dated_rows(prices, step=7)
    assert len(read_prices(write(tmp_path / "weeks.csv", weeks)).prices) == 60
    with pytest.raises(ValueError, match="no prices for 14 days"):
        read_prices(write(tmp_path / "weeks.csv", weeks[:9] + weeks[10:]))


def test_wrong_files(tmp_path, monkeypatch):
    for path, message in (
        ("prices.xlsx", "must be the path of a .csv or a .parquet file"),
        (str(tmp_path / "none.csv"), "none.csv: No such file"),
        (str(write(tmp_path / "x.csv", ["1,2"], header="1,2")), "has no row of names above"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            make_env("finance/portfolio", prices=path)
    (tmp_path / "x.parquet").write_bytes(b"no table")
    without = lambda name: (_ for _ in ()).throw(ImportError(name))  # noqa: E731
    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ValueError, match="needs pandas and pyarrow: pip install pandas pyarrow"):
        read_prices(tmp_path / "x.parquet")


def with_value(value, row=3, column=1):
    prices = made_up_prices()
    prices[row, column] = value
    return prices


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        (with_value(np.nan), "prices[3, 1]=nan (time 3, asset 1) is no number: fill the hole"),
        (with_value(np.inf), "prices[3, 1]=inf (time 3, asset 1) is no number"),
        (with_value(0.0), "prices[3, 1]=0.0 (time 3, asset 1) is not positive"),
        (with_value(-2.0), "prices[3, 1]=-2.0 (time 3, asset 1) is not positive"),
        (np.ones((2, 2, 2)), "prices have shape (2, 2, 2), expected [time, assets]"),
        (np.ones((1, 2)), "prices have shape (1, 2), expected [time, assets] with 2 times"),
        ([["a"]], "prices must be numbers, an array [time, assets]"),
        (made_up_prices(10), "num_periods=5 after window=5 needs more rows of prices"),
    ],
)
def test_wrong_prices(prices, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make_env("finance/portfolio", prices=prices, num_periods=5)


def test_holes_in_a_file(tmp_path):
    rows = dated_rows(made_up_prices())
    rows[4] = "2024-01-05,,3"
    path = write(tmp_path / "prices.csv", rows)
    with pytest.raises(ValueError, match=re.escape("prices[4, 0]=nan")):
        make_env("finance/portfolio", prices=str(path), num_periods=5)
    with pytest.raises(ValueError, match="fill the hole"):
        check_prices(read_prices(path).prices)


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5, 0.001, np.nan])
def test_impossible_shares(share):
    with pytest.raises(ValueError, match="test_share="):
        portfolio(prices=made_up_prices(), test_share=share, num_periods=5)


def first_rows(environment, num_episodes=200):
    """The earliest and the latest row that an episode begins with."""
    states, _ = jax.vmap(environment.reset)(jax.random.split(jax.random.key(0), num_episodes))
    return int(states.market.min()), int(states.market.max())


def played(environment, seed=0):
    """The first row of one episode, and the scaled returns that it plays."""
    policy = equal_weights(2)
    action = policy.act(jax.random.key(0), (), jnp.zeros(3))[1]

    def play(key):
        first, _ = environment.reset(key)

        def step(state, _):
            state, _ = environment.step(key, state, action)
            return state, state.history[-1]

        return first.market, jax.lax.scan(step, first, length=environment.max_episode_steps)[1]

    first, returns = jax.jit(play)(jax.random.key(seed))
    return int(first), np.asarray(returns)


def test_spans_never_overlap():
    prices = made_up_prices()
    log_returns = np.diff(np.log(prices), axis=0)
    common = {"prices": prices, "test_share": 0.25, "window": 4}
    rows = {}
    for span, num_periods in (("train", 6), ("test", 6), ("all", 6), ("test", 14)):
        environment = portfolio(**common, span=span, num_periods=num_periods)
        first, last = first_rows(environment)
        rows[span, num_periods] = (first, last + num_periods)
    # Rows 0 .. 44 train and 45 .. 59 test; the return from row 44 to 45 is nobody's.
    assert rows == {
        ("train", 6): (4, 44),
        ("test", 6): (45, 59),
        ("all", 6): (4, 59),
        ("test", 14): (45, 59),
    }
    first, returns = played(environment)
    assert first == 45
    scaled = log_returns[45:59] / log_returns[:44].std(axis=0)
    np.testing.assert_allclose(returns, scaled, atol=1e-4)
    _, seen = environment.reset(jax.random.key(0))
    scaled = log_returns[41:45] / log_returns[:44].std(axis=0)
    np.testing.assert_allclose(seen[:8].reshape(4, 2), scaled, atol=1e-4)
    first, returns = played(portfolio(**common, num_periods=6))
    scaled = log_returns[first : first + 6] / log_returns[:44].std(axis=0)
    np.testing.assert_allclose(returns, scaled, atol=1e-4)


def poison(prices, first):
    """Absurd prices from a row on: enormous, none, negative, and no price at all."""
    poisoned = prices.copy()
    poisoned[first:] = np.resize([1e30, 0.0, -1.0, np.nan, np.inf], (len(prices) - first, 1))
    return poisoned


def test_poison_in_the_test_span_does_not_reach_training():
    clean = made_up_prices()
    poisoned = poison(clean, 45)

    def environment_of(prices, **parameters):
        return make_env("finance/portfolio", prices=prices, num_periods=6, window=2, **parameters)

    def train(prices):
        config = jaxrl.CEMConfig(population_size=4, total_steps=48)
        algorithm = jaxrl.cem(environment_of(prices), config)
        return jax.jit(lambda key: jaxrl.train(key, algorithm))(jax.random.key(0))

    one, other = train(clean), train(poisoned)
    assert np.isfinite(one.metrics["episode_return"]).any()
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.asarray(left).tobytes() == np.asarray(right).tobytes()
    # The last training row does reach it, and the poison the test.
    changed = clean.copy()
    changed[44] *= 1.5
    seen = [environment_of(prices).reset(jax.random.key(0))[1] for prices in (clean, changed)]
    assert not np.array_equal(*seen)
    with pytest.raises(ValueError, match=re.escape("prices[48, 0]=nan")):
        environment_of(poisoned, span="test")


@pytest.mark.parametrize("rolling", [False, True])
def test_walk_forward(rolling):
    prices = made_up_prices(70)
    cut = {"train_rows": 30, "test_rows": 12, "num_periods": 10, "window": 3, "rolling": rolling}
    folds = list(walk_forward(prices, **cut))
    tests = [(fold.test_rows.start, fold.test_rows.stop) for fold in folds]
    assert tests == [(30, 42), (42, 54), (54, 66)]
    assert [len(fold.train_rows) for fold in folds] == [
        30,
        30 if rolling else 42,
        30 if rolling else 54,
    ]
    for fold in folds:
        assert fold.train_rows.stop == fold.test_rows.start
        assert fold.test.max_episode_steps == 11
        assert fold.train.max_episode_steps == 10
        # Of rows counted from the fold's first one.
        assert first_rows(fold.train, 400) == (3, len(fold.train_rows) - 11)
        assert first_rows(fold.test, 10) == (len(fold.train_rows),) * 2
    # The last fold plays its test rows in order.
    log_returns = np.diff(np.log(prices), axis=0)
    scaled = log_returns[54:65] / log_returns[folds[-1].train_rows.start : 53].std(axis=0)
    np.testing.assert_allclose(played(folds[-1].test)[1], scaled, atol=1e-4)
    # Absurd prices after a fold's training do not change it.
    absurd = prices.copy()
    absurd[30::2] *= 1e20
    returns = [played(next(walk_forward(table, **cut)).train)[1] for table in (prices, absurd)]
    np.testing.assert_array_equal(*returns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_rows": 60}, "train_rows=60 and test_rows=12 need 72 rows of prices, but there"),
        ({"test_rows": 1}, "test_rows=1 must be a whole number, at least 2"),
        ({"span": "test"}, "walk_forward sets span itself"),
    ],
)
def test_impossible_folds(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        walk_forward(made_up_prices(60), **{"train_rows": 30, "test_rows": 12, **change})


def test_numbers_of_rows_are_not_taken_for_an_asset(tmp_path):
    path = write(tmp_path / "p.csv", ["1,100,50", "2,101,51"], header='"",one,two')
    with pytest.raises(ValueError, match="first column has neither a name nor dates"):
        read_prices(path)
    dated = write(tmp_path / "p.csv", ["2024-01-01,100,50", "2024-01-02,101,51"], header=",one,two")
    assert read_prices(dated).names == ("one", "two")


def test_an_hour_that_clocks_show_twice_comes_twice(tmp_path):
    hours = ["01:00+02:00", "02:00+02:00", "02:00+01:00", "03:00+01:00"]
    path = write(tmp_path / "p.csv", [f"2024-10-27T{hour},1,2" for hour in hours])
    dates = read_prices(path).dates
    assert {later - earlier for earlier, later in itertools.pairwise(dates)} == {
        datetime.timedelta(hours=1)
    }


def test_largest_gap_is_a_number_above_0_and_may_be_infinite(tmp_path):
    path = write(tmp_path / "p.csv", ["2024-01-01,1,2", "2024-05-01,1,2"])
    assert len(read_prices(path, largest_gap=float("inf")).dates) == 2
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=r"^largest_gap="):
            read_prices(path, largest_gap=wrong)


def test_a_path_is_taken_wherever_prices_are(tmp_path):
    path = write(tmp_path / "p.csv", dated_rows(made_up_prices(40), step=1))
    assert make_env("finance/portfolio", prices=path, num_periods=3).action_space.shape == (3,)
    rows = {"train_rows": 20, "test_rows": 10, "num_periods": 3}
    assert len(list(walk_forward(path, **rows))) == 2
    with pytest.raises(ValueError, match="fill the gap"):
        walk_forward(path, **rows, largest_gap=0.5)


@pytest.mark.filterwarnings("error")
def test_a_test_after_one_row_has_no_deviation_to_scale_by():
    prices = made_up_prices(4)
    given = {"span": "test", "test_share": 0.75, "num_periods": 1, "window": 0}
    assert portfolio(prices=prices, **given).action_space.shape == (3,)


def test_a_share_of_the_test_is_refused_where_all_rows_are_played():
    with pytest.raises(ValueError, match=r"^test_share=0.5 does nothing"):
        portfolio(prices=made_up_prices(), span="all", test_share=0.5, num_periods=3)


def test_a_missing_date_is_none():
    pandas = pytest.importorskip("pandas")
    cells = [pandas.Timestamp("2024-01-01"), pandas.NaT]
    with pytest.raises(ValueError, match="row 3: NaT is no date"):
        _dates("date", cells, Path("p.parquet"))

"""Statistics over seeds."""

import numpy as np
import pytest
from scipy import stats

from jaxrl.reports import seed_interval


def test_the_mean_by_hand_and_equal_seeds():
    interval = seed_interval(np.array([[1.0, 500.0], [3.0, 500.0]]))
    np.testing.assert_allclose(interval.centre, [2.0, 500.0])
    # With two seeds a resample's mean is 1, 2 or 3, the ends with probability 1/4 each.
    np.testing.assert_allclose(interval.low, [1.0, 500.0])
    np.testing.assert_allclose(interval.high, [3.0, 500.0])


def test_the_interquartile_mean_drops_the_outer_quarters():
    values = np.array([-1000.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1e6])
    interval = seed_interval(values, statistic="iqm")
    assert float(interval.centre) == pytest.approx(3.5)


def test_many_seeds_give_the_normal_interval():
    values = np.random.default_rng(0).normal(5.0, 2.0, 400)
    interval = seed_interval(values)
    low, high = stats.norm.interval(0.95, values.mean(), values.std() / 20)
    assert float(interval.low) == pytest.approx(low, abs=0.02)
    assert float(interval.high) == pytest.approx(high, abs=0.02)


def test_the_same_values_give_the_same_interval():
    values = np.random.default_rng(0).normal(size=10)
    assert seed_interval(values) == seed_interval(values)


def test_one_seed_has_no_interval():
    interval = seed_interval(np.array([[3.0, 4.0]]))
    np.testing.assert_array_equal(interval.centre, [3.0, 4.0])
    assert np.isnan(interval.low).all()
    assert np.isnan(interval.high).all()


def test_an_unknown_statistic():
    with pytest.raises(ValueError, match="statistic='median' is not one of mean, iqm"):
        seed_interval(np.zeros(3), statistic="median")

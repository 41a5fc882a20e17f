"""Statistics over seeds."""

import numpy as np
import pytest
from scipy import stats

from jaxrl.reports import mean_interval, seed_interval

# The 0.975 quantiles of Student's t for 1, 2 and 3 degrees of freedom, from its table.
T_1, T_2, T_3 = 12.7062047, 4.3026527, 3.1824463


def test_the_mean_by_hand_and_equal_seeds():
    interval = seed_interval(np.array([[1.0, 500.0], [3.0, 500.0]]))
    np.testing.assert_allclose(interval.centre, [2.0, 500.0])
    # The standard error of 1 and 3 is sqrt(2) / sqrt(2).
    np.testing.assert_allclose(interval.low, [2.0 - T_1, 500.0])
    np.testing.assert_allclose(interval.high, [2.0 + T_1, 500.0])


def test_the_interquartile_mean_drops_the_outer_quarters():
    values = np.array([-1000.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1e6])
    interval = seed_interval(values, statistic="iqm")
    assert float(interval.centre) == pytest.approx(3.5)


def test_the_interquartile_mean_of_two_seeds_by_hand():
    interval = seed_interval(np.array([[1.0, 7.0], [3.0, 7.0]]), statistic="iqm")
    # A resample's mean is 1, 2 or 3, the ends with probability 1/4 each.
    np.testing.assert_allclose(interval, [[2.0, 7.0], [1.0, 7.0], [3.0, 7.0]])


def test_many_seeds_give_the_normal_interval():
    values = np.random.default_rng(0).normal(5.0, 2.0, 400)
    for statistic in ("mean", "iqm"):
        interval = seed_interval(values, statistic=statistic)
        error = values.std() / 20 * (1 if statistic == "mean" else 1.09)
        low, high = stats.norm.interval(0.95, float(interval.centre), error)
        assert float(interval.low) == pytest.approx(low, abs=0.02)
        assert float(interval.high) == pytest.approx(high, abs=0.02)


def test_the_same_values_give_the_same_interval():
    values = np.random.default_rng(0).normal(size=10)
    for statistic in ("mean", "iqm"):
        first = seed_interval(values, statistic=statistic)
        assert first == seed_interval(values, statistic=statistic)


@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_one_seed_has_no_interval(statistic):
    interval = seed_interval(np.array([[3.0, 4.0]]), statistic=statistic)
    np.testing.assert_array_equal(interval.centre, [3.0, 4.0])
    assert np.isnan(interval.low).all()
    assert np.isnan(interval.high).all()


def test_the_mean_over_tasks_has_the_freedom_of_welch_and_satterthwaite():
    one, two = np.array([1.0, 2.0, 3.0]), np.array([0.0, 4.0, 4.0, 8.0])
    interval = mean_interval([one, two])
    # Variances of the means: 1 / 3 and (32 / 3) / 4.
    parts = np.array([1 / 3, 8 / 3])
    freedom = parts.sum() ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 3)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(parts.sum()) / 2
    np.testing.assert_allclose(interval, [3.0, 3.0 - half, 3.0 + half])
    # A task whose seeds agree is a constant: it leaves the other's freedom.
    interval = mean_interval([np.array([7.0, 7.0]), two])
    half = T_3 * np.sqrt(8 / 3) / 2
    np.testing.assert_allclose(interval, [5.5, 5.5 - half, 5.5 + half])


def test_two_tasks_of_one_kind_agree_with_welchs_test():
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=5), rng.normal(size=8)
    # The difference of two means is twice the mean over tasks with the second's sign turned.
    expected = stats.ttest_ind(one, two, equal_var=False).confidence_interval()
    interval = mean_interval([one, -two])
    np.testing.assert_allclose(2 * interval.low, expected.low)
    np.testing.assert_allclose(2 * interval.high, expected.high)


def test_a_mean_of_no_tasks():
    with pytest.raises(ValueError, match="samples is empty"):
        mean_interval([])


def test_a_return_that_is_infinite_has_no_ends_and_no_warning():
    interval = seed_interval(np.array([1.0, np.inf, 2.0]))
    assert interval.centre == np.inf
    assert np.isnan(interval.low)


@pytest.mark.parametrize("num_seeds", [5, 8, 10])
def test_the_means_interval_has_its_nominal_coverage(num_seeds):
    """95 % within 93 to 97 of 2,000 draws: 2 points are four standard errors."""
    values = np.random.default_rng(num_seeds).normal(3.0, 2.0, (num_seeds, 2000))
    interval = seed_interval(values)
    assert 0.93 <= np.mean((interval.low <= 3.0) & (interval.high >= 3.0)) <= 0.97


@pytest.mark.full
@pytest.mark.parametrize("num_seeds", [2, 3, 5, 8, 10])
def test_the_means_interval_has_exactly_its_nominal_coverage(num_seeds):
    """0.3 points are six standard errors at 200,000 draws."""
    values = np.random.default_rng(num_seeds).normal(3.0, 2.0, (num_seeds, 200_000))
    interval = seed_interval(values)
    held = np.mean((interval.low <= 3.0) & (interval.high >= 3.0))
    assert held == pytest.approx(0.95, abs=0.003)


@pytest.mark.full
def test_the_mean_over_tasks_has_its_nominal_coverage():
    """Ten tasks whose deviations differ twentyfold, with 4 to 8 seeds each."""
    rng = np.random.default_rng(0)
    deviations, counts = np.geomspace(0.1, 2.0, 10), [4, 5, 6, 7, 8] * 2
    sizes = [(20_000, count) for count in counts]
    samples = [rng.normal(task, deviations[task], sizes[task]) for task in range(10)]
    interval = mean_interval(samples)
    held = np.mean((interval.low <= 4.5) & (interval.high >= 4.5))
    assert 0.94 <= held <= 0.96


def test_an_unknown_statistic():
    with pytest.raises(ValueError, match="statistic='median' is not one of mean, iqm"):
        seed_interval(np.zeros(3), statistic="median")

"""Scores over tasks and seeds, against the published definitions worked out by hand."""

import doctest
import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxrl import reports
from jaxrl.reports import (
    aggregate_scores,
    performance_profile,
    probability_of_improvement,
)

# Four seeds (rows) of two tasks; as one row: 0, .1, .2, .3, .4, .6, .8, 2.
SCORES = np.array([[0.0, 0.4], [0.1, 0.6], [0.2, 0.8], [0.3, 2.0]])
RAGGED = {"a": [0.0, 0.1, 0.2], "b": [0.4, 0.6]}


def test_aggregates_by_hand():
    found = aggregate_scores(SCORES)
    # Of eight runs two are dropped at either end.
    assert found.iqm.centre == pytest.approx((0.2 + 0.3 + 0.4 + 0.6) / 4)
    # The means of the tasks are .15 and .95.
    assert found.median.centre == pytest.approx(0.55)
    assert found.mean.centre == pytest.approx(0.55)
    # 2 counts as 1.
    assert found.optimality_gap.centre == pytest.approx(1 - (0.6 + 0.4 + 0.6 + 0.8 + 1) / 8)
    gap = aggregate_scores(SCORES, target=0.5).optimality_gap.centre
    assert gap == pytest.approx(0.5 - (0.6 + 0.4 + 3 * 0.5) / 8)


def test_the_median_is_over_tasks():
    found = aggregate_scores({"a": [0.0, 0.2], "b": [0.5, 0.5], "c": [5.0, 9.0]})
    assert found.median.centre == pytest.approx(0.5)
    assert found.mean.centre == pytest.approx((0.1 + 0.5 + 7.0) / 3)


def test_in_ragged_scores_every_task_weighs_the_same():
    found = aggregate_scores(RAGGED)
    assert found.mean.centre == pytest.approx((0.1 + 0.5) / 2)
    assert found.optimality_gap.centre == pytest.approx(1 - (0.1 + 0.5) / 2)
    # Of five runs one is a fifth of the weight, and a run of a weighs 1/6, one of b 1/4:
    # the lowest end takes 0 and 1/30 of .1, the upper one 1/5 of the 1/4 of .6.
    expected = (0.1 * (1 / 6 - 1 / 30) + 0.2 / 6 + 0.4 / 4 + 0.6 * (1 / 4 - 1 / 5)) / 0.6
    assert found.iqm.centre == pytest.approx(expected)


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_a_mapping_and_an_array_agree(num_seeds, num_tasks, seed):
    scores = np.random.default_rng(seed).normal(size=(num_seeds, num_tasks))
    found = aggregate_scores(scores, num_resamples=2)
    assert found.iqm.centre == pytest.approx(stats.trim_mean(scores, 0.25, axis=None))
    tasks = {f"task {i}": scores[:, i] for i in range(num_tasks)}
    np.testing.assert_array_equal(aggregate_scores(tasks, num_resamples=2), found)


def test_the_weighted_trimmed_mean_is_the_plain_one_where_runs_weigh_the_same(monkeypatch):
    from jaxrl.reports import scores as module

    drawn = [np.random.default_rng(i).normal(size=(3, n)) for i, n in enumerate((4, 4, 3))]
    uneven = module._interquartile_mean(drawn)
    # Each run as often as makes the tasks weigh the same.
    repeated = np.concatenate([np.repeat(task, 12 // task.shape[-1], axis=-1) for task in drawn], 1)
    dropped = 2 / 11
    kept = np.clip(np.arange(37) / 36, dropped, 1 - dropped)
    expected = np.sum(np.sort(repeated, axis=-1) * np.diff(kept), axis=-1) / (1 - 2 * dropped)
    np.testing.assert_allclose(uneven, expected)


def test_the_bootstrap_draws_seeds_within_each_task():
    """Against all 27 x 27 resamples of two tasks with three seeds: no seed changes its task."""
    tasks = {"a": [0.0, 0.1, 0.5], "b": [10.5, 10.8, 12.0]}
    medians = [
        (np.mean(a) + np.mean(b)) / 2
        for a in itertools.product(tasks["a"], repeat=3)
        for b in itertools.product(tasks["b"], repeat=3)
    ]
    found = aggregate_scores(tasks, num_resamples=20_000).median
    ends = np.quantile(medians, [0.025, 0.975])
    np.testing.assert_allclose([found.low, found.high], ends, atol=0.04)


def test_the_mean_has_students_interval():
    found = aggregate_scores(SCORES[:, :1]).mean
    low, high = stats.t.interval(0.95, 3, found.centre, stats.sem(SCORES[:, 0]))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_a_profile_by_hand():
    thresholds = np.array([0.8, 0.0, 0.1, 3.0, -1.0])
    found = performance_profile(SCORES, thresholds)
    # Strictly above: 0 is not above 0, nor .8 above .8.
    np.testing.assert_allclose(found.centre, [1 / 8, 7 / 8, 6 / 8, 0, 1])
    # No resample has a run above 3 or below -1, and one task has none above .8.
    np.testing.assert_allclose(found.low[3:], [0, 1])
    np.testing.assert_allclose(found.high[3:], [0, 1])
    # Of the second task's four seeds one is above .8: k of 4 draws, binomial.
    ends = stats.binom.ppf([0.025, 0.975], 4, 1 / 4) / 8
    np.testing.assert_allclose([found.low[0], found.high[0]], ends)
    ragged = performance_profile(RAGGED, np.array([0.15, 0.5]))
    np.testing.assert_allclose(ragged.centre, [(1 / 3 + 1) / 2, (0 + 1 / 2) / 2])


def test_improvement_by_hand_with_ties():
    ours = {"a": [1.0, 2.0, 2.0], "b": [5.0, 7.0]}
    theirs = {"b": [6.0, 6.0, 7.0], "a": [2.0, 0.0]}
    # a: 1 beats 0; each 2 beats 0 and ties with 2. b: 7 beats 6 twice and ties once.
    expected = ((1 + 2 * 1.5) / 6 + 2.5 / 6) / 2
    found = probability_of_improvement(ours, theirs)
    assert found.centre == pytest.approx(expected)
    assert found.low <= found.centre <= found.high
    back = probability_of_improvement(theirs, ours)
    assert back.centre == pytest.approx(1 - expected)


@given(st.lists(st.integers(0, 4), min_size=1), st.lists(st.integers(0, 4), min_size=1))
@settings(max_examples=50, deadline=None)
def test_improvement_of_one_task_is_mann_whitneys_statistic(x, y):
    found = probability_of_improvement({0: x}, {0: y}, num_resamples=2)
    u = sum((a > b) + (a == b) / 2 for a in x for b in y)
    assert found.centre == pytest.approx(u / (len(x) * len(y)))
    expected = stats.mannwhitneyu(x, y, method="asymptotic").statistic if len({*x, *y}) > 1 else u
    assert u == pytest.approx(expected)


def test_improvement_that_is_certain_and_none():
    better, worse = SCORES + 10, SCORES
    np.testing.assert_array_equal(probability_of_improvement(better, worse), [1, 1, 1])
    same = probability_of_improvement(np.ones((3, 2)), np.ones((4, 2)))
    np.testing.assert_array_equal(same, [0.5, 0.5, 0.5])


def test_the_same_seed_gives_the_same_ends_and_another_does_not():
    scores = np.random.default_rng(0).normal(size=(10, 3))
    first = aggregate_scores(scores, seed=1)
    np.testing.assert_array_equal(first, aggregate_scores(scores, seed=1))
    assert first.iqm != aggregate_scores(scores, seed=2).iqm


def test_one_seed_of_a_task_leaves_no_interval():
    found = aggregate_scores({"a": [1.0, 2.0], "b": [3.0]})
    assert found.iqm.centre == pytest.approx(2.25)
    for interval in found:
        assert np.isnan([interval.low, interval.high]).all()
    assert np.isnan(performance_profile(SCORES[:1], np.zeros(2)).low).all()
    assert np.isnan(probability_of_improvement(SCORES[:1], SCORES).low)


def test_a_benchmark_of_26_tasks_takes_well_under_a_second():
    scores = np.random.default_rng(0).normal(size=(10, 26))
    aggregate_scores(scores)
    # The processor's own time: what else the machine does is not counted.
    start = time.process_time()
    aggregate_scores(scores)
    assert time.process_time() - start < 0.7


@pytest.mark.parametrize("module", [reports.intervals, reports.scores])
def test_examples_run(module):
    results = doctest.testmod(module)
    assert results.attempted >= 8
    assert results.failed == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: aggregate_scores(np.zeros(3)), r"scores has shape \(3,\): it must be"),
        (lambda: aggregate_scores(np.zeros((0, 2))), "at least one seed and one task"),
        (lambda: aggregate_scores({}), "at least one seed and one task"),
        (lambda: aggregate_scores({"a": [[1.0]]}), "must be numbers for each task"),
        (lambda: aggregate_scores({"a": [1.0, np.nan]}), "task a are not all finite"),
        (lambda: aggregate_scores(SCORES, target=np.inf), "target=inf must be finite"),
        (lambda: performance_profile(SCORES, np.array([])), "must be a row of at least one"),
        (lambda: performance_profile(SCORES, np.array([np.nan])), "must be a row of at least"),
        (lambda: performance_profile(SCORES, np.zeros((1, 1))), "must be a row of at least"),
        (lambda: probability_of_improvement(SCORES, {0: [1.0]}), "only one has 1"),
        (lambda: probability_of_improvement(SCORES, np.zeros(2)), "others has shape"),
    ],
)
def test_what_cannot_be_aggregated(call, message):
    with pytest.raises(ValueError, match=message):
        call()

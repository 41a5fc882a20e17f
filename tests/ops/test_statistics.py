"""Running moments against NumPy over all samples, and the diagnostics by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl.ops.statistics import (
    RunningStatistics,
    add_to_sums,
    approximate_kl,
    clip_fraction,
    explained_variance,
    init_statistics,
    init_sums,
    merge_sums,
    normalize,
    scale,
    standardize,
    update_statistics,
)

update = jax.jit(update_statistics)


def test_nothing_seen_changes_nothing() -> None:
    statistics = init_statistics((3,))
    np.testing.assert_array_equal(statistics.mean, np.zeros(3))
    np.testing.assert_array_equal(statistics.variance, np.ones(3))
    np.testing.assert_array_equal(statistics.count, np.zeros(3))
    x = jnp.array([-20.0, 0.5, 20.0])
    np.testing.assert_allclose(normalize(statistics, x), [-10.0, 0.5, 10.0], rtol=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_batches_merge_to_the_moments_of_all_samples(seed: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(seed)
    batches = [rng.normal(3.0, [0.1, 5.0], (size, 3, 2)).astype(np.float32) for size in sizes]
    statistics = init_statistics((2,))
    for batch in batches:
        statistics = update(statistics, jnp.asarray(batch))
    samples = np.concatenate(batches).reshape(-1, 2).astype(np.float64)
    np.testing.assert_allclose(statistics.mean, samples.mean(0), rtol=1e-5)
    np.testing.assert_allclose(statistics.variance, samples.var(0), rtol=1e-3)
    np.testing.assert_array_equal(statistics.count, np.full(2, len(samples)))


def added_up(statistics: RunningStatistics, batches: np.ndarray) -> RunningStatistics:
    """Merges batches [*, M, *shape] that are added up one after another."""
    sums = init_sums(statistics, jnp.asarray(batches[0]))
    for batch in batches:
        sums = add_to_sums(sums, jnp.asarray(batch), counted=jnp.ones(len(batch), bool))
    return merge_sums(statistics, sums)


def test_samples_that_are_added_up_merge_as_a_batch_does() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.normal(size=(size, 3)).astype(np.float32) for size in (7, 12))
    for start in (init_statistics((3,)), update(init_statistics((3,)), jnp.asarray(first))):
        merged = added_up(start, second.reshape(3, 4, 3))
        expected = update(start, jnp.asarray(second))
        np.testing.assert_allclose(mean_of(merged), mean_of(expected), rtol=1e-5)
        np.testing.assert_allclose(merged.variance, expected.variance, rtol=1e-5)
        np.testing.assert_array_equal(merged.count, expected.count)


def test_samples_that_do_not_count_are_not_added() -> None:
    samples = jnp.array([[1.0], [50.0], [5.0]])
    sums = init_sums(init_statistics((1,)), samples)
    sums = add_to_sums(sums, samples, counted=jnp.array([True, False, True]))
    merged = merge_sums(init_statistics((1,)), sums)
    np.testing.assert_allclose((*merged.mean, *merged.variance, *merged.count), [3.0, 4.0, 2.0])


def mean_of(statistics: RunningStatistics) -> np.ndarray:
    return np.asarray(statistics.mean, np.float64) + np.asarray(statistics.remainder, np.float64)


@pytest.mark.parametrize("offset", [1e4, 1e6, -1e7])
def test_a_large_offset_that_moves_keeps_the_digits(offset: float) -> None:
    """A hundredth of the last digit of the mean's float32 at a time, over 3,000 batches."""
    rng = np.random.default_rng(0)
    drift = np.linspace(0.0, 3.0, 3_000)[:, None]
    batches = (offset + drift + rng.normal(size=(3_000, 16))).astype(np.float32)

    def merge(statistics: RunningStatistics, batch: jax.Array) -> tuple[RunningStatistics, None]:
        return update_statistics(statistics, batch), None

    statistics, _ = jax.lax.scan(merge, init_statistics(()), jnp.asarray(batches))
    exact = batches.astype(np.float64)
    np.testing.assert_allclose(mean_of(statistics) - exact.mean(), 0.0, atol=1e-5)
    np.testing.assert_allclose(statistics.variance, exact.var(), rtol=1e-5)
    x = batches[-1]
    expected = (x.astype(np.float64) - exact.mean()) / exact.std()
    np.testing.assert_allclose(normalize(statistics, jnp.asarray(x)), expected, atol=1e-4)
    summed = added_up(init_statistics(()), batches[:50])
    np.testing.assert_allclose(mean_of(summed) - exact[:50].mean(), 0.0, atol=1e-4)
    np.testing.assert_allclose(summed.variance, exact[:50].var(), rtol=1e-4)


@pytest.mark.parametrize("value", [12345.678, -3e7, 1e-3])
def test_a_constant_normalizes_to_exactly_zero(value: float) -> None:
    statistics = init_statistics((2,))
    for size in (7, 100, 13):
        batch = jnp.full((size, 2), value).at[0, 1].set(jnp.nan)
        statistics = update(statistics, batch)
        np.testing.assert_array_equal(normalize(statistics, jnp.full(2, value)), [0.0, 0.0])
        np.testing.assert_array_equal(statistics.variance, [0.0, 0.0])
    summed = added_up(init_statistics(()), np.full((3, 7), value, np.float32))
    assert normalize(summed, jnp.float32(value)) == 0.0


@pytest.mark.parametrize("worst", [np.nan, np.inf, -np.inf, 1e20, -1e30, 3e38])
def test_what_is_no_measurement_is_left_out(worst: float) -> None:
    """Each entry alone, in a batch and added up, first or later; the rest counts as if it were not
    there."""
    batch = np.array([[worst, 1.0], [2.0, worst], [4.0, 3.0], [worst, 5.0]], np.float32)
    for merged in (
        update(init_statistics((2,)), jnp.asarray(batch)),
        added_up(init_statistics((2,)), batch.reshape(2, 2, 2)),
    ):
        np.testing.assert_array_equal(merged.count, [2.0, 3.0])
        np.testing.assert_allclose(mean_of(merged), [3.0, 3.0], rtol=1e-6)
        np.testing.assert_allclose(merged.variance, [1.0, 8 / 3], rtol=1e-6)
        again = update(merged, jnp.full((5, 2), worst, jnp.float32))
        jax.tree.map(np.testing.assert_array_equal, again, merged)
    nothing = update(init_statistics((2,)), jnp.full((5, 2), worst, jnp.float32))
    jax.tree.map(np.testing.assert_array_equal, nothing, init_statistics((2,)))


def test_the_largest_that_count_do_not_overflow() -> None:
    batch = np.full((100_000,), 9e17, np.float32)
    batch[::2] *= -1
    for merged in (
        update(init_statistics(()), jnp.asarray(batch)),
        added_up(init_statistics(()), batch.reshape(10, -1)),
    ):
        np.testing.assert_allclose(merged.variance, 81e34, rtol=1e-4)


def test_not_a_number_is_the_mean_and_infinities_are_the_clip() -> None:
    statistics = update(init_statistics(()), jnp.array([1.0, 3.0]))
    x = jnp.array([jnp.nan, jnp.inf, -jnp.inf, 1e30, 3.0])
    np.testing.assert_allclose(normalize(statistics, x), [0.0, 10.0, -10.0, 10.0, 1.0], rtol=1e-6)
    np.testing.assert_allclose(scale(statistics, x), [0.0, 10.0, -10.0, 10.0, 3.0], rtol=1e-6)


def test_billions_of_samples_neither_drift_nor_freeze() -> None:
    """float32 cannot count past 2^24 by ones; 2^23 further samples must still count as new."""
    statistics = init_statistics(())._replace(count=jnp.float32(2**24))
    same = jnp.concatenate([jnp.ones(64), -jnp.ones(64)])

    def after(statistics: RunningStatistics, batch: jax.Array) -> RunningStatistics:
        def merge(statistics: RunningStatistics, _: None) -> tuple[RunningStatistics, None]:
            return update_statistics(statistics, batch), None

        return jax.lax.scan(merge, statistics, length=2**16)[0]

    unchanged = jax.jit(after)(statistics, same)
    np.testing.assert_allclose(unchanged.mean, 0.0, atol=1e-6)
    np.testing.assert_allclose(unchanged.variance, 1.0, rtol=1e-4)
    assert unchanged.count == 2**24

    # The old samples' weight is (1 + 2^-17)^(-2^16) = exp(-1/2).
    shifted = jax.jit(after)(statistics, same + 0.1)
    np.testing.assert_allclose(shifted.mean, 0.1 * (1 - np.exp(-0.5)), rtol=0.02)


def test_one_batch_of_more_samples_than_can_be_counted_replaces_all() -> None:
    statistics = init_statistics(())._replace(
        mean=jnp.float32(5.0), variance=jnp.float32(9.0), count=jnp.float32(2**24)
    )
    merged = update(statistics, jnp.tile(jnp.array([0.0, 2.0]), 2**15))
    share = 2**16 / (2**24 + 2**16)
    expected = (1 - share) * 9 + share * 1 + share * (1 - share) * 16
    np.testing.assert_allclose(merged.variance, expected, rtol=1e-5)


def test_integer_and_boolean_samples() -> None:
    for batch in (jnp.array([0, 4], jnp.uint8), jnp.array([False, True])):
        statistics = update_statistics(init_statistics(()), batch)
        np.testing.assert_allclose(statistics.mean, float(batch.max()) / 2)
        np.testing.assert_allclose(normalize(statistics, batch, clip=5.0), [-1.0, 1.0], rtol=1e-6)


def test_a_constant_feature_normalizes_to_zero() -> None:
    statistics = update(init_statistics((2,)), jnp.full((8, 2), 3.0))
    np.testing.assert_array_equal(normalize(statistics, jnp.full(2, 3.0)), [0.0, 0.0])


def test_normalized_samples_have_moments_zero_and_one() -> None:
    batch = 7 + 3 * jax.random.normal(jax.random.key(0), (1000, 2))
    scaled = normalize(update(init_statistics((2,)), batch), batch)
    np.testing.assert_allclose(scaled.mean(0), 0.0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(0), 1.0, rtol=1e-4)


def test_a_sample_of_another_shape_is_refused() -> None:
    with pytest.raises(AssertionError):
        update_statistics(init_statistics((3,)), jnp.zeros((5, 1)))
    with pytest.raises(AssertionError):
        normalize(init_statistics((3,)), jnp.zeros((3, 1)))


def test_explained_variance_by_hand() -> None:
    target = jnp.array([0.0, 2.0, 4.0])
    assert explained_variance(target, target) == 1.0
    assert explained_variance(jnp.full(3, 9.0), target) == 0.0
    np.testing.assert_allclose(explained_variance(target / 2, target), 0.75, rtol=1e-6)
    np.testing.assert_allclose(explained_variance(-target, target), -3.0, rtol=1e-6)


def test_explained_variance_of_a_constant_target_is_nan() -> None:
    # Such sums round, so that the variance of these equal numbers is not exactly 0.
    target = jnp.full(1000, 0.1)
    assert np.isnan(explained_variance(jnp.arange(1000.0), target))


def test_approximate_kl_of_actions_in_their_exact_frequencies_is_the_divergence() -> None:
    old, new = np.array([0.25, 0.75]), np.array([0.5, 0.5])
    actions = [0, 1, 1, 1]
    log_ratio = jnp.array(np.log(new / old)[actions], jnp.float32)
    expected = np.sum(old * np.log(old / new))
    np.testing.assert_allclose(approximate_kl(log_ratio), expected, rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-(2.0**-10), 2.0**-10, width=32), min_size=3, max_size=3))
def test_approximate_kl_is_never_negative(log_ratio: list[float]) -> None:
    assert approximate_kl(jnp.array(log_ratio)) >= 0
    np.testing.assert_allclose(
        approximate_kl(jnp.array(log_ratio)),
        np.mean(np.expm1(np.array(log_ratio)) - np.array(log_ratio)),
        atol=1e-9,
    )


def test_diagnostics_of_an_unchanged_policy_are_zero() -> None:
    assert approximate_kl(jnp.zeros(5)) == 0.0
    assert clip_fraction(jnp.zeros(5), 0.2) == 0.0


def test_diagnostics_of_overflowing_ratios_are_finite() -> None:
    log_ratio = jnp.array([100.0, 3e38, 0.0, 0.0])
    assert 1e8 < approximate_kl(log_ratio) < 1e9
    assert clip_fraction(log_ratio, 0.2) == 0.5


def test_clip_fraction_by_hand() -> None:
    log_ratio = jnp.log(jnp.array([0.7, 0.9, 1.1, 1.3]))
    assert clip_fraction(log_ratio, 0.2) == 0.5
    assert clip_fraction(log_ratio, 0.05) == 1.0


def test_explained_variance_of_what_counts() -> None:
    prediction = jnp.array([[1.0, 2.0], [4.0, -50.0]])
    target = jnp.array([[1.0, 3.0], [5.0, 99.0]])
    counted = jnp.array([[True, True], [True, False]])
    found = explained_variance(prediction, target, counted=counted)
    np.testing.assert_allclose(found, explained_variance(prediction[counted], target[counted]))
    constant = jnp.where(counted, 7.3, target)
    assert jnp.isnan(explained_variance(prediction, constant, counted=counted))


def test_standardised_numbers_have_mean_0_and_deviation_1() -> None:
    """Mean 5 and deviation 4 of these."""
    found = standardize(jnp.array([[1.0], [9.0], [1.0], [9.0]]))
    np.testing.assert_allclose(found.ravel(), [-1.0, 1.0, -1.0, 1.0], rtol=1e-6)
    np.testing.assert_array_equal(standardize(jnp.full((4, 1), 3.0)), 0.0)


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
@pytest.mark.parametrize("value", [2.5, -1e-3])
def test_a_single_number_is_not_standardised(shape: tuple[int, ...], value: float) -> None:
    np.testing.assert_array_equal(standardize(jnp.full(shape, value)), np.float32(value))

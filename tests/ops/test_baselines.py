"""Baselines by hand: means over the episodes that run, and standardisation that survives zeros."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.ops.baselines import (
    batch_mean_baseline,
    leave_one_out_baseline,
    standardize_counted,
)

# Three episodes of lengths 3, 1 and 2; what stands after an end must not matter.
RETURNS = jnp.array([[3.0, 6.0, 0.0], [2.0, 99.0, 4.0], [1.0, -99.0, 99.0]])
RUNNING = jnp.array([[True, True, True], [True, False, True], [True, False, False]])


def test_mean_over_the_episodes_that_run_at_each_time() -> None:
    expected = [[3.0, 3.0, 3.0], [3.0, 3.0, 3.0], [1.0, 1.0, 1.0]]
    np.testing.assert_allclose(batch_mean_baseline(RETURNS, RUNNING), expected)


def test_mean_over_the_other_episodes_that_run() -> None:
    baseline = leave_one_out_baseline(RETURNS, RUNNING)
    np.testing.assert_allclose(baseline[0], [3.0, 1.5, 4.5])
    np.testing.assert_allclose(baseline[1, jnp.array([0, 2])], [4.0, 2.0])
    assert baseline[2, 0] == 0.0, "there is no other"


def test_nothing_counted_is_zero() -> None:
    nothing = jnp.zeros((3, 3), bool)
    for baseline in (batch_mean_baseline, leave_one_out_baseline):
        np.testing.assert_array_equal(baseline(RETURNS, nothing), 0.0)
    np.testing.assert_array_equal(standardize_counted(RETURNS, nothing, magnitude=1.0), 0.0)


def test_standardised_over_what_counts() -> None:
    scaled = standardize_counted(RETURNS, RUNNING, magnitude=6.0)
    counted = np.asarray(RETURNS)[np.asarray(RUNNING)]
    expected = (counted - counted.mean()) / counted.std()
    np.testing.assert_allclose(np.asarray(scaled)[np.asarray(RUNNING)], expected, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(scaled)[~np.asarray(RUNNING)], 0.0)


@pytest.mark.parametrize("value", [0.0, 9.3, 1e-20, -7e12])
def test_no_spread_becomes_zero(value: float) -> None:
    weight = jnp.where(RUNNING, value, 5.0)
    scaled = standardize_counted(weight, RUNNING, magnitude=abs(value))
    np.testing.assert_array_equal(scaled, 0.0)


def test_rounding_is_no_spread_but_a_small_spread_is() -> None:
    """A difference of equal large returns leaves rounding, which must not become a signal."""
    noise = 1e-7 * jax.random.normal(jax.random.key(0), (3, 3))
    np.testing.assert_array_equal(standardize_counted(100 * noise, RUNNING, magnitude=100.0), 0.0)
    small = standardize_counted(1e-3 * RETURNS, RUNNING, magnitude=6e-3)
    np.testing.assert_allclose(
        small, standardize_counted(RETURNS, RUNNING, magnitude=6.0), rtol=1e-4
    )


@pytest.mark.parametrize("value", [3.0, -0.5, 1e-9])
def test_a_single_weight_stays_as_it_is(value: float) -> None:
    one = standardize_counted(jnp.full((1, 1), value), jnp.ones((1, 1), bool), magnitude=value)
    np.testing.assert_array_equal(one, [[np.float32(value)]])
    alone = jnp.zeros((3, 3), bool).at[0, 1].set(True)
    scaled = standardize_counted(RETURNS, alone, magnitude=6.0)
    np.testing.assert_array_equal(scaled, np.where(alone, 6.0, 0.0))

"""Ranks, elites and failures by hand, and ranks against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from jaxrl.ops.fitness import centered_ranks, elite_weights, failures_last, finite_fitness

NAN, INF = np.nan, np.inf


def test_a_failure_is_the_worst() -> None:
    np.testing.assert_array_equal(failures_last(jnp.array([1.0, NAN, -INF])), [1.0, -INF, -INF])


@pytest.mark.parametrize(
    ("fitness", "expected"),
    [
        ([1.0, NAN, 3.0], [1.0, 1.0, 3.0]),
        ([-INF, 2.0, INF, 5.0], [2.0, 2.0, 5.0, 5.0]),
        ([NAN, NAN], [0.0, 0.0]),
    ],
)
def test_arithmetic_gets_finite_numbers(fitness: list[float], expected: list[float]) -> None:
    np.testing.assert_array_equal(finite_fitness(jnp.array(fitness)), expected)


@pytest.mark.parametrize(
    ("fitness", "ranks"),
    [
        ([10.0, 30.0, 20.0], [-0.5, 0.5, 0.0]),
        ([7.0, 7.0, 7.0], [0.0, 0.0, 0.0]),
        ([5.0, 1.0, 5.0, 9.0], [0.0, -0.5, 0.0, 0.5]),
        ([NAN, 1.0], [-0.5, 0.5]),
    ],
)
def test_ranks_by_hand(fitness: list[float], ranks: list[float]) -> None:
    np.testing.assert_allclose(centered_ranks(jnp.array(fitness)), ranks, atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=7, max_size=7))
def test_ranks_are_those_of_scipy(fitness: list[int]) -> None:
    expected = (rankdata(fitness) - 1) / 6 - 0.5
    ranks = centered_ranks(jnp.array(fitness, jnp.float32))
    np.testing.assert_allclose(ranks, expected, atol=1e-6)
    np.testing.assert_allclose(jnp.sum(ranks), 0.0, atol=1e-5)


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        (0.01, [0.0, 1.0, 0.0, 0.0]),
        (0.5, [0.0, 0.5, 0.5, 0.0]),
        (0.74, [1 / 3, 1 / 3, 1 / 3, 0.0]),
        (1.0, [1 / 3, 1 / 3, 1 / 3, 0.0]),
    ],
)
def test_elites_by_hand(fraction: float, expected: list[float]) -> None:
    """A failure is none of the elite."""
    weights = jax.jit(elite_weights)(jnp.array([2.0, 5.0, 4.0, NAN]), fraction)
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_without_a_candidate_that_did_not_fail_there_is_no_elite() -> None:
    np.testing.assert_array_equal(elite_weights(jnp.array([NAN, -INF]), 0.5), [0.0, 0.0])


def test_of_equals_the_first_are_the_elite() -> None:
    weights = elite_weights(jnp.array([1.0, 1.0, 1.0, 1.0]), 0.5)
    np.testing.assert_array_equal(weights, [0.5, 0.5, 0.0, 0.0])

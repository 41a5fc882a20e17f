"""The cheap permutation: one-to-one for every size, and uniform as far as minibatches can tell."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxrl.ops.shuffling import random_permutation


@functools.partial(jax.jit, static_argnames=("n", "num_keys"))
def permutations(seed: int, n: int, num_keys: int) -> jax.Array:
    """One permutation per key, [num_keys, n]."""
    keys = jax.random.split(jax.random.key(seed), num_keys)
    return jax.vmap(lambda key: random_permutation(key, n))(keys)


def chi_squared_p_value(counts: np.ndarray) -> float:
    return float(scipy.stats.chisquare(counts.ravel()).pvalue)


AROUND_POWERS_OF_TWO = [2**b + d for b in (5, 6, 7, 8, 12) for d in (-1, 0, 1)]


@pytest.mark.parametrize("n", [*range(1, 18), *AROUND_POWERS_OF_TWO, 6000, 100_000, 131_072])
def test_every_index_appears_once(n: int) -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    # Each size is another program, run once: what counts is how fast it compiles.
    permute = jax.jit(
        jax.vmap(lambda key: random_permutation(key, n)),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    drawn = permute(keys)
    assert drawn.dtype == jnp.int32
    np.testing.assert_array_equal(np.sort(drawn, axis=1), np.tile(np.arange(n), (3, 1)))


def test_all_orders_of_four_are_equally_frequent() -> None:
    drawn = np.asarray(permutations(1, 4, 24_000))
    codes = drawn @ np.array([64, 16, 4, 1])
    expected = [np.dot(order, [64, 16, 4, 1]) for order in itertools.permutations(range(4))]
    counts = np.array([np.sum(codes == code) for code in expected])
    assert counts.sum() == len(drawn)
    assert chi_squared_p_value(counts) > 1e-3


@pytest.mark.parametrize("n", [2, 3, 5, 12, 16, 64])
def test_every_index_lands_everywhere_equally_often(n: int) -> None:
    drawn = np.asarray(permutations(2, n, 20_000))
    p_values = [chi_squared_p_value(np.bincount(column, minlength=n)) for column in drawn.T]
    assert min(p_values) > 1e-3 / n


@pytest.mark.parametrize("n", [5, 12, 16])
def test_every_pair_of_indices_lands_everywhere_equally_often(n: int) -> None:
    drawn = np.asarray(permutations(3, n, 40_000))
    p_values = []
    for i, j in itertools.combinations(range(n), 2):
        counts = np.bincount(drawn[:, i] * n + drawn[:, j], minlength=n * n).reshape(n, n)
        assert not counts.diagonal().any()
        p_values.append(chi_squared_p_value(counts[~np.eye(n, dtype=bool)]))
    assert min(p_values) > 1e-3 / len(p_values)


@pytest.mark.parametrize("n", [6000, 8192])
def test_a_minibatch_is_as_mixed_as_one_drawn_without_replacement(n: int) -> None:
    """Counts of each environment, and of each stretch of time, in the first quarter.

    Their variance is the hypergeometric one: neither clumped nor spread more evenly than chance.
    """
    drawn = np.asarray(permutations(4, n, 300))[:, : n // 4]
    for group_of in (
        lambda x: x % 16,
        lambda x: x % 2,
        lambda x: x * 16 // n,
        lambda x: x * 2 // n,
    ):
        groups = np.bincount(group_of(np.arange(n)))
        counts = np.array([np.bincount(group_of(row), minlength=len(groups)) for row in drawn])
        law = scipy.stats.hypergeom(n, groups, n // 4)
        np.testing.assert_allclose(np.mean((counts - law.mean()) ** 2 / law.var()), 1, atol=0.25)


@pytest.mark.parametrize("n", [1000, 8192])
def test_neighbours_and_successive_epochs_are_uncorrelated(n: int) -> None:
    first, second = np.asarray(permutations(5, n, 2))
    assert not np.array_equal(first, second)
    assert np.sum(first == second) < 8  # about one index stays by chance
    limit = 4 / np.sqrt(n)
    assert abs(np.corrcoef(first, second)[0, 1]) < limit
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < limit
    assert abs(np.corrcoef(first, np.arange(n))[0, 1]) < limit
    steps = (first[1:] - first[:-1]) % n * 16 // n
    assert chi_squared_p_value(np.bincount(steps, minlength=16)) > 1e-3


def test_a_key_decides_and_vmap_changes_nothing() -> None:
    together = permutations(6, 300, 3)
    alone = jax.jit(random_permutation, static_argnames="n")
    for i, key in enumerate(jax.random.split(jax.random.key(6), 3)):
        np.testing.assert_array_equal(alone(key, n=300), together[i])
    assert len({tuple(row) for row in np.asarray(together)}) == 3


@pytest.mark.parametrize("n", [0, -1, 2**31 + 1])
def test_an_impossible_size_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match=f"n={n} must be at least 1"):
        random_permutation(jax.random.key(0), n)

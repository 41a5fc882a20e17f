import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.replay.sum_tree import find, init_sum_tree, set_weights, total_weight, weights_at

SET, FIND = jax.jit(set_weights), jax.jit(find)


def tree_of(weights):
    tree = init_sum_tree(len(weights))
    return SET(tree, jnp.arange(len(weights)), jnp.asarray(weights, jnp.float32))


@pytest.mark.parametrize(("num_leaves", "num_levels"), [(1, 1), (64, 1), (65, 2), (4097, 3)])
def test_levels(num_leaves, num_levels):
    tree = init_sum_tree(num_leaves)
    assert len(tree.levels) == num_levels
    assert tree.levels[0].shape == (1, 64)
    assert tree.levels[-1].size >= num_leaves
    assert total_weight(tree) == 0


def test_sums_after_many_changes():
    """Every node is the sum of its children after 300 changes, some of them to the same leaf."""
    random = np.random.default_rng(0)
    tree, weights = init_sum_tree(5000), np.zeros(5000, np.float32)
    for _ in range(300):
        index = random.choice(5000, 40)
        weight = (index % 7) * random.random() * 10.0 ** random.integers(-3, 3)
        tree = SET(tree, jnp.asarray(index), jnp.asarray(weight, jnp.float32))
        weights[index] = weight
    leaves = np.asarray(tree.levels[-1]).reshape(-1)
    np.testing.assert_array_equal(leaves[:5000], weights)
    np.testing.assert_array_equal(leaves[5000:], 0.0)
    for parents, children in itertools.pairwise(tree.levels):
        sums = np.asarray(children, float).sum(axis=1)
        np.testing.assert_allclose(parents.reshape(-1)[: len(sums)], sums, rtol=1e-6)
        np.testing.assert_array_equal(parents.reshape(-1)[len(sums) :], 0.0)
    np.testing.assert_allclose(total_weight(tree), weights.sum(dtype=float), rtol=1e-6)
    index = random.choice(5000, 50)
    np.testing.assert_array_equal(weights_at(tree, jnp.asarray(index)), weights[index])


def test_masses_at_the_edges_by_hand():
    """Shares [0, 2), [2, 3) and [3, 7) of leaves 1, 3 and 64; the others have none."""
    weights = np.zeros(200)
    weights[[1, 3, 64]] = 2.0, 1.0, 4.0
    masses = [0.0, 1.5, 2.0, 2.9, 3.0, 6.9, 7.0, 7.1]
    assert FIND(tree_of(weights), jnp.array(masses))[0].tolist() == [1, 1, 3, 3, 64, 64, 64, 64]


def test_shares_are_laid_end_to_end():
    """Whole weights are exact in float32: every mass has NumPy's place among the running sums."""
    weights = np.random.default_rng(1).integers(0, 4, 5000)
    masses = np.arange(weights.sum()) + 0.5
    found, weight = FIND(tree_of(weights), jnp.asarray(masses, jnp.float32))
    np.testing.assert_array_equal(weight, weights[found])
    np.testing.assert_array_equal(found, np.searchsorted(np.cumsum(weights), masses, "right"))


def test_no_leaf_without_weight_is_found():
    """Weights over 12 orders of magnitude, most of them 0; masses everywhere."""
    random = np.random.default_rng(2)
    weights = np.where(random.random(5000) < 0.9, 0.0, 10.0 ** random.uniform(-9, 3, 5000))
    tree = tree_of(weights)
    shares = jnp.concatenate([jnp.linspace(0, 1, 20_000), jnp.logspace(-12, 0, 1000)])
    found, _ = FIND(tree, shares * total_weight(tree))
    assert (weights[found] > 0).all()
    assert found[0] == np.flatnonzero(weights)[0]


def test_no_weight_spoils_the_sums():
    """nan and less than 0 count as 0; however large, the total stays finite, also of many."""
    weights = [np.nan, -1.0, -np.inf, 2.0, 0.0]
    tree = tree_of(weights)
    assert weights_at(tree, jnp.arange(5)).tolist() == [0.0, 0.0, 0.0, 2.0, 0.0]
    assert total_weight(tree) == 2
    huge = tree_of(np.full(5000, np.inf))
    assert np.isfinite(total_weight(huge))
    leaves = jnp.array([0, 1250, 4999])
    found = FIND(huge, total_weight(huge) * ((leaves + 0.5) / 5000))[0]
    np.testing.assert_array_equal(found, leaves)
    tree = SET(huge, jnp.arange(5000), jnp.ones(5000))
    assert total_weight(tree) == 5000

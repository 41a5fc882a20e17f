"""The commission factor against its fixed point, and against accounts kept in dollars."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments.finance import commission_factor


def iterated(before, after, buying_cost, selling_cost, iterations=10_000):
    """Equation 14 of Jiang, Xu and Liang (2017), iterated in float64."""
    before, after = np.asarray(before, float), np.asarray(after, float)
    both = selling_cost + buying_cost - selling_cost * buying_cost
    factor = 1.0
    for _ in range(iterations):
        sold = np.maximum(before[1:] - factor * after[1:], 0).sum()
        new = (1 - buying_cost * before[0] - both * sold) / (1 - buying_cost * after[0])
        if new == factor:
            break
        factor = new
    return factor


def test_published_example():
    drifted = np.array([0.2, 0.5 * 1.1, 0.3 * 0.9])
    drifted /= drifted.sum()
    factor = commission_factor(jnp.asarray(drifted, jnp.float32), jnp.array([0.1, 0.3, 0.6]))
    assert iterated(drifted, [0.1, 0.3, 0.6], 0.0025, 0.0025) == pytest.approx(0.99856271, abs=1e-8)
    assert float(factor) == pytest.approx(0.99856271, abs=1e-7)


@pytest.mark.parametrize("num_assets", [1, 2, 3, 12, 60])
def test_fixed_point_of_random_trades(num_assets):
    rng = np.random.default_rng(num_assets)
    count = 200
    before, after = rng.dirichlet(np.full(num_assets + 1, 0.3), (2, count)).astype(np.float32)
    costs = rng.uniform(0, 0.3, (2, count)).astype(np.float32)
    of = lambda b, a, c, d: commission_factor(b, a, buying_cost=c, selling_cost=d)  # noqa: E731
    factors = jax.jit(jax.vmap(of))(before, after, *costs)
    expected = [iterated(*trade) for trade in zip(before, after, *costs, strict=True)]
    np.testing.assert_allclose(factors, expected, atol=1e-6)


def test_ends_of_the_range():
    cash, asset = jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])
    costs = {"buying_cost": 0.2, "selling_cost": 0.1}
    assert float(commission_factor(cash, cash, **costs)) == 1
    assert float(commission_factor(asset, asset, **costs)) == 1
    # A purchase loses its share of the money spent, a sale of the proceeds.
    assert float(commission_factor(cash, asset, **costs)) == pytest.approx(0.8, abs=1e-7)
    assert float(commission_factor(asset, cash, **costs)) == pytest.approx(0.9, abs=1e-7)
    free = commission_factor(cash, asset, buying_cost=0.0, selling_cost=0.0)
    assert float(free) == 1
    # From one asset into another, both: 1 - .1, of which 1 - .2 is invested.
    other = commission_factor(jnp.array([0.0, 1.0, 0.0]), jnp.array([0.0, 0.0, 1.0]), **costs)
    assert float(other) == pytest.approx(0.9 * 0.8, abs=1e-7)

"""How targets follow, by hand and against rlax and optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import rlax

from jaxrl.ops.target_updates import periodic_update, soft_update

PARAMS = {"kernel": jnp.array([[1.0, 2.0]]), "bias": jnp.array(10.0)}
TARGET = {"kernel": jnp.array([[3.0, -2.0]]), "bias": jnp.array(0.0)}


def test_soft_update_by_hand():
    """A quarter of the way from (3, -2) to (1, 2), and from 0 to 10."""
    updated = soft_update(PARAMS, TARGET, tau=0.25)
    np.testing.assert_array_equal(updated["kernel"], [[2.5, -1.0]])
    np.testing.assert_array_equal(updated["bias"], 2.5)


def test_soft_update_is_optaxs():
    expected = optax.incremental_update(PARAMS, TARGET, 0.005)
    jax.tree.map(np.testing.assert_allclose, soft_update(PARAMS, TARGET, tau=0.005), expected)


@pytest.mark.parametrize(("tau", "expected"), [(1.0, PARAMS), (0.0, TARGET)])
def test_the_ends_are_exact(tau, expected):
    third = jax.tree.map(lambda x: x / 3, (PARAMS, TARGET, expected))
    updated = soft_update(third[0], third[1], tau=jnp.float32(tau))
    jax.tree.map(np.testing.assert_array_equal, updated, third[2])


def test_many_soft_updates_forget_geometrically():
    """After k updates a share of (1 - tau)^k of the old target is left."""
    target = jnp.float32(1.0)
    for _ in range(20):
        target = soft_update(jnp.float32(0.0), target, tau=0.1)
    np.testing.assert_allclose(target, 0.9**20, rtol=1e-5)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_periodic_copies_are_rlaxs():
    update = jax.jit(lambda i: periodic_update(PARAMS, TARGET, update=i, period=3))
    for i in range(1, 8):
        expected = rlax.periodic_update(PARAMS, TARGET, jnp.int32(i), 3)
        jax.tree.map(np.testing.assert_array_equal, update(i), expected)
        assert (update(i)["bias"] == 10.0) == (i in (3, 6))


def test_periodic_soft_updates_by_hand():
    """Every second update goes a quarter of the way; what is between leaves the bits alone."""
    target, seen = jnp.float32(0.1), []
    for i in range(1, 6):
        target = periodic_update(jnp.float32(4.1), target, update=i, period=2, tau=0.25)
        seen.append(float(target))
    np.testing.assert_allclose(seen, [0.1, 1.1, 1.1, 1.85, 1.85], rtol=1e-6)
    assert seen[0] == np.float32(0.1)
    assert seen[1] == seen[2]


def test_a_period_of_1_is_a_soft_update():
    updated = periodic_update(PARAMS, TARGET, update=jnp.int32(7), period=1, tau=0.25)
    jax.tree.map(np.testing.assert_array_equal, updated, soft_update(PARAMS, TARGET, tau=0.25))


def test_between_two_changes_the_learning_parameters_are_not_read():
    spoilt = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), PARAMS)
    kept = periodic_update(spoilt, TARGET, update=jnp.int32(4), period=3, tau=0.5)
    jax.tree.map(np.testing.assert_array_equal, kept, TARGET)

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.learning.minibatches import over_minibatches


def test_each_pass_shares_out_every_element_once_in_a_fresh_order():
    def learn(carry, index):
        taken, order = carry
        order = jax.lax.dynamic_update_slice(order, index[None], (jnp.sum(taken) // 4, 0))
        return (taken.at[index].add(1), order), {"mean": jnp.mean(index.astype(jnp.float32))}

    start = (jnp.zeros(12, jnp.int32), jnp.zeros((6, 4), jnp.int32))
    (taken, order), metrics = over_minibatches(
        jax.random.key(0), learn, start, size=12, num_epochs=2, num_minibatches=3
    )
    np.testing.assert_array_equal(taken, 2)
    first, second = np.asarray(order).reshape(2, 12)
    np.testing.assert_array_equal(np.sort(first), np.arange(12))
    np.testing.assert_array_equal(np.sort(second), np.arange(12))
    assert (first != second).any()
    assert float(metrics["mean"]) == 5.5

import jax.numpy as jnp
import numpy as np

from jaxrl.policy_gradient.losses import standardize


def test_advantages_get_mean_0_and_deviation_1():
    """Mean 5 and deviation 4 of these."""
    found = standardize(jnp.array([[1.0], [9.0], [1.0], [9.0]]))
    np.testing.assert_allclose(found.ravel(), [-1.0, 1.0, -1.0, 1.0], rtol=1e-6)
    np.testing.assert_array_equal(standardize(jnp.full((4, 1), 3.0)), 0.0)

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.exploration import (
    StateDependentGaussian,
    independent_sampling,
    state_dependent_noise,
)

KEY = jax.random.key(0)
DISTRIBUTION = StateDependentGaussian(
    mean=jnp.array([1.0, -1.0]),
    features=jnp.array([0.5, -2.0, 1.0]),
    log_std=jnp.log(jnp.array([[1.0, 0.1], [0.5, 0.2], [2.0, 0.3]])),
)
# sqrt(sum of (feature * std)^2) per action, by hand.
DEVIATION = np.sqrt([0.25 + 1.0 + 4.0, 0.0025 + 0.16 + 0.09])


def test_marginal_by_hand():
    marginal = DISTRIBUTION.marginal()
    np.testing.assert_allclose(jnp.exp(marginal.log_std), DEVIATION, rtol=1e-4)
    np.testing.assert_array_equal(marginal.mean, DISTRIBUTION.mean)


def test_noise_matrices_give_the_marginal():
    noise = jax.random.normal(KEY, (100_000, 3, 2))
    actions = jax.vmap(DISTRIBUTION.sample_with)(noise)
    np.testing.assert_allclose(actions.mean(0), DISTRIBUTION.mean, atol=0.03)
    np.testing.assert_allclose(actions.std(0), DEVIATION, rtol=0.02)


def test_action_by_hand():
    noise = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    expected = [1 + 0.5 * 1.0 + 1.0 * 2.0, -1 + -2.0 * 0.2 + 1.0 * 0.3]
    np.testing.assert_allclose(DISTRIBUTION.sample_with(noise), expected, rtol=1e-6)


def test_no_gradient_reaches_the_features_through_the_variance():
    def entropy(features):
        return StateDependentGaussian(DISTRIBUTION.mean, features, DISTRIBUTION.log_std).entropy()

    np.testing.assert_array_equal(jax.grad(entropy)(DISTRIBUTION.features), 0.0)


def test_zero_features_keep_everything_finite():
    still = StateDependentGaussian(DISTRIBUTION.mean, jnp.zeros(3), DISTRIBUTION.log_std)
    gradient = jax.grad(
        lambda log_std: StateDependentGaussian(still.mean, still.features, log_std).log_probability(
            still.mean
        )
    )(still.log_std)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("interval", [1, 3])
def test_noise_is_kept_for_the_interval(interval):
    exploration = state_dependent_noise(3, 2, interval=interval)
    carry = exploration.start(KEY)
    actions = []
    for seed in range(7):
        carry, action = exploration.sample(jax.random.key(seed), carry, DISTRIBUTION)
        actions.append(tuple(np.asarray(action).tolist()))
    changes = [a != b for a, b in itertools.pairwise(actions)]
    assert changes == [(i + 1) % interval == 0 for i in range(6)]


def test_independent_sampling_carries_nothing():
    exploration = independent_sampling()
    assert exploration.start(KEY) == ()
    carry, action = exploration.sample(KEY, (), DISTRIBUTION.marginal())
    assert carry == ()
    assert action.shape == (2,)

"""Heads whose actions keep within their bounds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.networks import DeterministicHead, SquashedGaussianHead, policy_of_head
from jaxrl.types import Box

ACTIONS = Box(jnp.array([-2.0, 0.0]), jnp.array([2.0, 10.0]), (2,))
FEATURES = jnp.array([[1.0, -1.0, 2.0], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4]])
KERNEL = jnp.array([[0.1, 0.2], [0.3, -0.1], [0.2, 0.1]])
BIAS = jnp.array([0.05, -0.1])
LAYER = {"kernel": KERNEL, "bias": BIAS}


def test_deterministic_actions_by_hand():
    """tanh(0.25) of 2 around 0, tanh(0.4) of 5 around 5; and the bounds far from the origin."""
    actions = DeterministicHead(ACTIONS).apply({"params": {"action": LAYER}}, FEATURES)
    expected = [2 * np.tanh(0.25), 5 + 5 * np.tanh(0.4)]
    np.testing.assert_allclose(actions[0], expected, rtol=1e-5)
    np.testing.assert_array_equal(actions[1], ACTIONS.high)
    np.testing.assert_array_equal(actions[2], ACTIONS.low)


def test_squashed_gaussian_by_hand():
    """log std = -5 + 3.5 (tanh(x) + 1), from -5 to 2 whatever the features."""
    params = {"params": {"mean": LAYER, "log_std": LAYER}}
    distribution = SquashedGaussianHead(ACTIONS).apply(params, FEATURES)
    np.testing.assert_allclose(distribution.mean[0], [0.25, 0.4], rtol=1e-5)
    np.testing.assert_allclose(
        distribution.log_std[0], -1.5 + 3.5 * np.tanh([0.25, 0.4]), rtol=1e-5
    )
    np.testing.assert_allclose(distribution.log_std[1:], [[2.0, 2.0], [-5.0, -5.0]])
    np.testing.assert_allclose(
        distribution.mode()[0], [2 * np.tanh(0.25), 5 + 5 * np.tanh(0.4)], rtol=1e-5
    )
    samples = distribution.sample(jax.random.key(0))
    assert (samples >= ACTIONS.low).all()
    assert (samples <= ACTIONS.high).all()


@pytest.mark.parametrize(
    ("head", "names"),
    [(DeterministicHead, ("action",)), (SquashedGaussianHead, ("mean", "log_std"))],
)
def test_final_layers_start_small(head, names):
    """Columns of length 0.01 and no bias: the first actions lie in the middle of the bounds."""
    network = policy_of_head(Box(-1.0, 1.0, (3,)), head(ACTIONS), hidden_sizes=(4,))
    observation = jnp.ones(3)
    params = jax.jit(network.init)(jax.random.key(0), observation)
    for name in names:
        layer = params["params"]["head"][name]
        np.testing.assert_allclose(layer["kernel"].T @ layer["kernel"], 1e-4 * np.eye(2), atol=1e-9)
        np.testing.assert_array_equal(layer["bias"], 0.0)
    output = network.apply(params, observation)
    action = output if head is DeterministicHead else output.mode()
    np.testing.assert_allclose(action, [0.0, 5.0], atol=0.2)

"""Networks of action values: each layer by hand, from parameters that NumPy draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.networks import critic, q_network
from jaxrl.types import Box, Discrete

OBSERVATIONS = Box(-1.0, 1.0, (3,))
# -2 to 2 and 0 to 10 are what the network sees as -1 to 1.
ACTIONS = Box(jnp.array([-2.0, 0.0]), jnp.array([2.0, 10.0]), (2,))
OBSERVATION = jnp.array([0.5, -1.0, 0.25])
ACTION, UNIT_ACTION = jnp.array([1.0, 7.5]), np.array([0.5, 0.5])


def drawn_params(network, *inputs):
    """Parameters of the network's shapes, without compiling its initialisation."""
    shapes = jax.eval_shape(network.init, jax.random.key(0), *inputs)
    random = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(random.normal(size=x.shape), x.dtype), shapes)


def dense(params, x):
    return x @ params["kernel"] + params["bias"]


def normalized(params, x):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-6) * params["scale"] + params["bias"]


def test_a_dimension_with_equal_bounds_is_seen_as_0():
    space = Box([-2.0, 7.0], [2.0, 7.0], (2,))
    network = critic(OBSERVATIONS, space, hidden_sizes=(4,))
    params = drawn_params(network, OBSERVATION, ACTION)
    value, gradient = jax.value_and_grad(network.apply, 2)(params, OBSERVATION, jnp.array([1.0, 7]))
    # The middle of other bounds is seen as 0.
    other = critic(OBSERVATIONS, ACTIONS, hidden_sizes=(4,))
    expected = other.apply(params, OBSERVATION, jnp.array([1.0, 5.0]))
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert gradient[0] != 0
    assert gradient[1] == 0


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("action_layer", [0, 1, 2])
def test_the_action_enters_the_critic_at_its_layer(action_layer, layer_norm):
    network = critic(
        OBSERVATIONS,
        ACTIONS,
        hidden_sizes=(5, 4),
        layer_norm=layer_norm,
        action_layer=action_layer,
    )
    params = drawn_params(network, OBSERVATION, ACTION)
    x = OBSERVATION
    for layer in range(2):
        if layer == action_layer:
            x = np.concatenate([x, UNIT_ACTION])
        x = dense(params["params"][f"Dense_{layer}"], x)
        if layer_norm:
            x = normalized(params["params"][f"LayerNorm_{layer}"], x)
        x = np.maximum(x, 0)
    if action_layer == 2:
        x = np.concatenate([x, UNIT_ACTION])
    expected = dense(params["params"]["value"], x)[0]
    np.testing.assert_allclose(
        network.apply(params, OBSERVATION, ACTION), expected, rtol=1e-4, atol=1e-5
    )


def test_a_critic_takes_batches():
    network = critic(OBSERVATIONS, ACTIONS, hidden_sizes=(5,), action_layer=1)
    assert network.batched
    params = drawn_params(network, OBSERVATION, ACTION)
    observations, actions = jnp.stack([OBSERVATION, -OBSERVATION]), jnp.stack([ACTION, ACTION / 2])
    together = network.apply(params, observations, actions)
    alone = [network.apply(params, *pair) for pair in zip(observations, actions, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_dueling_advantages_have_no_mean(layer_norm):
    """Q = V + A - mean A: the mean over the actions is the state's value."""
    network = q_network(
        OBSERVATIONS, Discrete(4), hidden_sizes=(5,), layer_norm=layer_norm, dueling=True
    )
    params = drawn_params(network, OBSERVATION)
    x = dense(params["params"]["torso"]["Dense_0"], OBSERVATION)
    if layer_norm:
        x = normalized(params["params"]["torso"]["LayerNorm_0"], x)
    x = np.maximum(x, 0)
    advantages = dense(params["params"]["values"], x)
    state_value = dense(params["params"]["state_value"], x)
    values = network.apply(params, OBSERVATION)
    np.testing.assert_allclose(values.mean(), state_value[0], rtol=1e-4)
    np.testing.assert_allclose(
        values - values.mean(), advantages - advantages.mean(), rtol=1e-4, atol=1e-5
    )


def test_plain_values_are_one_layer_on_the_features():
    network = q_network(OBSERVATIONS, Discrete(4), hidden_sizes=(5,), activation="tanh")
    params = drawn_params(network, OBSERVATION)
    x = np.tanh(dense(params["params"]["torso"]["Dense_0"], OBSERVATION))
    np.testing.assert_allclose(
        network.apply(params, OBSERVATION), dense(params["params"]["values"], x), rtol=1e-4
    )


def test_a_critics_first_values_are_small():
    """Its last layer is 0.01 long: of no unit features does it make more than 0.01 |features|."""
    network = critic(OBSERVATIONS, ACTIONS, hidden_sizes=(5, 4))
    params = jax.jit(network.init)(jax.random.key(0), OBSERVATION, ACTION)
    np.testing.assert_allclose(np.linalg.norm(params["params"]["value"]["kernel"]), 0.01, rtol=1e-4)
    np.testing.assert_array_equal(params["params"]["value"]["bias"], 0.0)


def test_bfloat16_keeps_float32_parameters_and_values():
    network = critic(OBSERVATIONS, ACTIONS, hidden_sizes=(5,), compute_dtype="bfloat16")
    params = drawn_params(network, OBSERVATION, ACTION)
    exact = critic(OBSERVATIONS, ACTIONS, hidden_sizes=(5,)).apply(params, OBSERVATION, ACTION)
    value = network.apply(params, OBSERVATION, ACTION)
    assert value.dtype == jnp.float32
    assert value != exact
    np.testing.assert_allclose(value, exact, rtol=0.05, atol=0.05)


def test_a_picture_and_an_action():
    """The action joins after the convolution; the dense layer gets 8 x 8 x 16 features and it."""
    pixels = Box(0, 1, (10, 10, 2), jnp.bool_)
    network = critic(pixels, ACTIONS, hidden_sizes=(5,))
    shapes = jax.eval_shape(network.init, jax.random.key(0), np.zeros((10, 10, 2), bool), ACTION)
    assert shapes["params"]["Dense_0"]["kernel"].shape == (8 * 8 * 16 + 2, 5)

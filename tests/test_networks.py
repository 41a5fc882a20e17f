import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.distributions import Categorical, DiagonalGaussian, MultiCategorical
from jaxrl.exploration import StateDependentGaussian
from jaxrl.networks import (
    ActorCritic,
    Dense,
    actor_critic,
    encode_observation,
    from_flax,
    from_one_draw,
    orthogonal,
)
from jaxrl.networks.masked_values import make_q_network
from jaxrl.policy_gradient import make_actor
from jaxrl.types import Box, Discrete, MultiDiscrete

KEY = jax.random.key(0)
VECTOR = Box(-1.0, 1.0, (3,))
IMAGE = Box(0.0, 1.0, (10, 10, 4))


def shapes_of(network, observation):
    params = network.init(KEY, observation)
    return params, network.apply(params, observation)


@pytest.mark.parametrize(
    ("space", "observation", "expected"),
    [
        (Discrete(3), 1, [0, 1, 0]),
        (MultiDiscrete((2, 3)), [1, 2], [0, 1, 0, 0, 1]),
        (Box(0, 9, (2, 2), jnp.int32), [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        (Box(0, 255, (2,), jnp.uint8), [0, 255], [0, 1]),
        (Box(0, 1, (2,), jnp.bool_), [False, True], [0, 1]),
        # Images of integers, and bytes of the whole range, by the bounds that the space declares.
        (Box(0, 1, (2,), jnp.uint8), [0, 1], [0, 1]),
        (Box(0, 10, (2, 2), jnp.uint8), [[0, 10], [3, 5]], [[0, 10], [3, 5]]),
        (Box(0, 10, (1, 2, 1), jnp.uint8), [[[0], [5]]], [[[0], [0.5]]]),
        (Box(0, 1, (1, 2, 1), jnp.uint8), [[[0], [1]]], [[[0], [1]]]),
        (Box(0, 255, (1, 2, 1), jnp.uint8), [[[0], [255]]], [[[0], [1]]]),
        (Box(0, 255, (1, 2, 1), jnp.int32), [[[0], [51]]], [[[0], [0.2]]]),
        (Box(-128, 127, (1, 2, 1), jnp.int8), [[[-128], [127]]], [[[0], [1]]]),
        (Box(0, 65535, (1, 2, 1), jnp.uint16), [[[0], [65535]]], [[[0], [1]]]),
        (Box([0, 10], [4, 30], (1, 1, 2), jnp.uint8), [[[1, 15]]], [[[0.25, 0.25]]]),
        (Box(0, 1, (1, 2, 1), jnp.bool_), [[[0], [1]]], [[[0], [1]]]),
        (Box(7, 7, (1, 2, 1), jnp.uint8), [[[7], [7]]], [[[0], [0]]]),
        # Where no bound says what the values are, they stay.
        (Box(-np.inf, np.inf, (1, 2, 1), jnp.int32), [[[-9], [99]]], [[[-9], [99]]]),
        (Box(-(2**31), 2**31 - 1, (1, 2, 1), jnp.int32), [[[-9], [99]]], [[[-9], [99]]]),
        (Box(0.0, 255.0, (1, 2, 1)), [[[0.0], [255.0]]], [[[0], [255]]]),
    ],
)
def test_observations_become_floats(space, observation, expected):
    encoded = encode_observation(jnp.asarray(observation, space.dtype), space)
    assert encoded.dtype == jnp.float32
    np.testing.assert_allclose(encoded, expected, rtol=1e-6)


def test_images_are_scaled_by_bounds_that_are_traced_and_in_batches():
    def encode(high):
        space = Box(0, high, (1, 1, 2), jnp.uint8)
        return encode_observation(jnp.full((3, 4, 1, 1, 2), 5, jnp.uint8), space)

    np.testing.assert_allclose(jax.jit(encode)(jnp.int32(10)), np.full((3, 4, 1, 1, 2), 0.5))


def test_agents_see_small_whole_numbers_as_they_are():
    """PPO's and DQN's networks of bytes 0 and 1 give what those of floats 0 and 1 give."""
    bytes_, floats = Box(0, 1, (2,), jnp.uint8), Box(0.0, 1.0, (2,))

    def values(space):
        config = jaxrl.DQNConfig(hidden_sizes=(4,))
        network = make_q_network(space, Discrete(3), config)
        return lambda x: network.apply(network.init(KEY, x), x)

    def logits(space):
        actor = make_actor(space, Discrete(3), jaxrl.PPOConfig(hidden_sizes=(4,)))
        params = actor.init(KEY)
        return lambda x: actor.network.apply(params, (), x)[1][0].logits

    for make in (values, logits):
        given = make(bytes_)(jnp.array([0, 1], jnp.uint8))
        np.testing.assert_array_equal(given, make(floats)(jnp.array([0.0, 1.0])))


def test_what_was_standardised_is_not_scaled_again():
    space = Box(0, 255, (1, 1, 2), jnp.uint8)
    standardised = jnp.array([[[-1.5, 2.0]]])
    np.testing.assert_array_equal(encode_observation(standardised, space), standardised)


@pytest.mark.parametrize(
    ("space", "kind"),
    [
        (Discrete(5), Categorical),
        (MultiDiscrete((2, 3)), MultiCategorical),
        (Box(-1.0, 1.0, (2,)), DiagonalGaussian),
    ],
)
def test_head_suits_the_actions(space, kind):
    _, (distribution, value) = shapes_of(actor_critic(VECTOR, space), jnp.ones(3))
    assert isinstance(distribution, kind)
    assert value.shape == ()
    action = distribution.sample(KEY)
    assert action.shape == space.shape
    assert distribution.log_probability(action).shape == ()


def test_state_dependent_exploration_has_a_deviation_per_feature_and_action():
    network = actor_critic(
        VECTOR,
        Box(-1.0, 1.0, (2,)),
        hidden_sizes=(8, 5),
        state_dependent_exploration=True,
        initial_log_std=-1.5,
    )
    _, (distribution, _) = shapes_of(network, jnp.ones(3))
    assert isinstance(distribution, StateDependentGaussian)
    assert distribution.features.shape == (5,)
    np.testing.assert_allclose(distribution.log_std, np.full((5, 2), -1.5))


def test_first_policy_is_nearly_uniform_and_layers_are_orthogonal():
    params, (distribution, _) = shapes_of(actor_critic(VECTOR, Discrete(4)), jnp.ones(3))
    np.testing.assert_allclose(jax.nn.softmax(distribution.logits), 0.25, atol=0.01)
    kernel = params["params"]["actor_torso"]["Dense_1"]["kernel"]
    np.testing.assert_allclose(kernel.T @ kernel, 2 * np.eye(64), atol=1e-5)
    head = params["params"]["head"]["Dense_0"]["kernel"]
    np.testing.assert_allclose(head.T @ head, 1e-4 * np.eye(4), atol=1e-8)


@pytest.mark.parametrize(
    "shape", [(5, 5), (7, 3), (3, 7), (2, 3, 4, 5), (6, 1), (1, 6), (256, 256)]
)
def test_initialiser_is_orthogonal(shape):
    matrix = orthogonal(3.0)(KEY, shape).reshape(-1, shape[-1])
    shorter = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(shorter, 9 * np.eye(min(matrix.shape)), atol=2e-5)


class Layers(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = Dense(4, kernel_init=orthogonal(3.0))(x)
        x = nn.Dense(4, kernel_init=orthogonal(2.0))(x)
        return Dense(4, kernel_init=nn.initializers.uniform(1.0))(x)


def test_kernels_drawn_together_keep_their_own_initialisers():
    network = from_one_draw(from_flax(Layers()))
    first = network.init(KEY, jnp.ones(4))["params"]
    second = network.init(jax.random.key(1), jnp.ones(4))["params"]
    for name, scale in (("Dense_0", 3.0), ("Dense_1", 2.0)):
        kernel = first[name]["kernel"]
        np.testing.assert_allclose(kernel.T @ kernel, scale**2 * np.eye(4), atol=1e-5)
        assert not np.allclose(kernel, second[name]["kernel"])
    assert not np.allclose(first["Dense_0"]["kernel"] / 3, first["Dense_1"]["kernel"] / 2)
    other = first["Dense_2"]["kernel"]
    assert ((other >= 0) & (other < 1)).all()
    assert not np.allclose(other, second["Dense_2"]["kernel"])


def test_initialiser_is_uniform():
    """Flax's own draws from the same distribution: no direction is preferred, signs included."""
    keys = jax.random.split(KEY, 20_000)
    entries = jax.vmap(lambda key: orthogonal(1.0)(key, (3, 2)))(keys)
    np.testing.assert_allclose(entries.mean(0), 0.0, atol=0.02)
    np.testing.assert_allclose(jnp.square(entries).mean(0), 1 / 3, atol=0.01)


def test_actor_and_critic_share_a_torso_only_where_asked():
    def gradient_of_value(shared):
        network = actor_critic(VECTOR, Discrete(2), shared_torso=shared)
        params = network.init(KEY, jnp.ones(3))
        gradient = jax.grad(lambda p: network.apply(p, jnp.ones(3))[1])(params)["params"]
        return {name: float(sum(jnp.abs(x).sum() for x in jax.tree.leaves(tree)))
                for name, tree in gradient.items()}  # fmt: skip

    separate = gradient_of_value(shared=False)
    assert separate["actor_torso"] == separate["head"] == 0
    assert separate["critic_torso"] > 0
    shared = gradient_of_value(shared=True)
    assert set(shared) == {"shared_torso", "head", "value"}
    assert shared["shared_torso"] > 0


def test_pictures_get_a_convolution_and_vectors_none():
    pictures, _ = shapes_of(actor_critic(IMAGE, Discrete(3)), jnp.ones((10, 10, 4)))
    torso = pictures["params"]["actor_torso"]
    assert torso["Conv_0"]["kernel"].shape == (3, 3, 4, 16)
    assert torso["MLP_0"]["Dense_0"]["kernel"].shape == (8 * 8 * 16, 64)
    flat, _ = shapes_of(actor_critic(IMAGE, Discrete(3), torso="mlp"), jnp.ones((10, 10, 4)))
    assert flat["params"]["actor_torso"]["Dense_0"]["kernel"].shape == (400, 64)
    with pytest.raises(ValueError, match=r"needs observations of shape.*got shape \(3,\)"):
        actor_critic(VECTOR, Discrete(3), torso="cnn")


def test_vmapped_network_equals_single_examples():
    network = actor_critic(IMAGE, Discrete(3))
    batch = jax.random.normal(KEY, (5, 10, 10, 4))
    params = network.init(KEY, batch[0])
    together = jax.vmap(network.apply, (None, 0))(params, batch)
    alone = [network.apply(params, x) for x in batch]
    np.testing.assert_allclose(together[1], [a[1] for a in alone], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        together[0].logits, [a[0].logits for a in alone], rtol=1e-4, atol=1e-5
    )


def test_any_flax_module_makes_a_network():
    network = from_flax(
        ActorCritic(
            torso=lambda name: nn.Dense(4, name=name),
            head=nn.Dense(2),
            observation_space=VECTOR,
        )
    )
    _, (output, value) = shapes_of(network, jnp.ones(3))
    assert output.shape == (2,)
    assert value.shape == ()

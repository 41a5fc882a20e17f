"""The feature extractors of images, by the papers' shapes and by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import leading

import jaxrl
from jaxrl.networks import ImpalaCNN, NatureCNN, actor_critic, critic, from_flax, q_network
from jaxrl.networks.initialization import from_one_draw, orthogonal
from jaxrl.types import Box, Discrete

KEY = jax.random.key(0)
ATARI = Box(0, 255, (84, 84, 4), jnp.uint8)


def parameters(module, shape):
    """Shapes of all parameters by their paths, and their number."""
    tree = jax.eval_shape(module.init, KEY, jnp.zeros(shape))["params"]
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    shapes = {"/".join(entry.key for entry in path): leaf.shape for path, leaf in leaves}
    return shapes, sum(math.prod(shape) for shape in shapes.values())


def test_nature_cnn_is_that_of_the_paper():
    """84 x 84 x 4 becomes 20 x 20 x 32, 9 x 9 x 64 and 7 x 7 x 64, then 512."""
    shapes, number = parameters(NatureCNN(), (84, 84, 4))
    assert shapes["Conv_0/kernel"] == (8, 8, 4, 32)
    assert shapes["Conv_1/kernel"] == (4, 4, 32, 64)
    assert shapes["Conv_2/kernel"] == (3, 3, 64, 64)
    assert shapes["MLP_0/Dense_0/kernel"] == (7 * 7 * 64, 512)
    assert number == (8192 + 32) + (32768 + 64) + (36864 + 64) + (1605632 + 512)
    # With the 18 actions of the paper's output layer.
    assert number + 512 * 18 + 18 == 1_693_362


def test_impala_cnn_is_that_of_the_paper():
    """15 convolutions; 72 x 96 x 3 becomes 36 x 48 x 16, 18 x 24 x 32 and 9 x 12 x 32, then 256."""
    shapes, number = parameters(ImpalaCNN(), (72, 96, 3))
    kernels = [shapes[f"Conv_{i}/kernel"] for i in range(15)]
    assert kernels[0] == (3, 3, 3, 16)
    assert kernels[1:5] == [(3, 3, 16, 16)] * 4
    assert kernels[5] == (3, 3, 16, 32)
    assert kernels[6:] == [(3, 3, 32, 32)] * 9
    assert "Conv_15/kernel" not in shapes
    assert shapes["MLP_0/Dense_0/kernel"] == (9 * 12 * 32, 256)
    # 448 + 4 x 2320, 4640 + 4 x 9248, 9248 + 4 x 9248, and the dense layer.
    assert number == 9728 + 41632 + 46240 + (884736 + 256)


def test_convolutions_of_nature_by_hand():
    """On an image of ones with kernels of ones: each layer multiplies by its kernel's size."""
    module = NatureCNN(hidden_sizes=())
    params = module.init(KEY, jnp.zeros((40, 36, 1)))
    params = jax.tree.map(jnp.ones_like, params)
    features = module.apply(params, jnp.ones((40, 36, 1)))
    # 40 x 36 becomes 9 x 8, 3 x 3 (the stride leaves a row out) and 1 x 1.
    assert features.shape == (64,)
    first = 8 * 8 * 1 + 1
    second = 4 * 4 * 32 * first + 1
    np.testing.assert_allclose(features, 3 * 3 * 64 * second + 1, rtol=1e-5)
    np.testing.assert_array_equal(module.apply(params, -jnp.ones((40, 36, 1))), 64 * 9 + 1)


def test_residual_blocks_by_hand():
    """With kernels that copy their channel: pooled maxima, and per block x + relu(relu(x))."""
    module = ImpalaCNN(hidden_sizes=())
    params = module.init(KEY, jnp.zeros((3, 3, 1)))

    def copying(kernel):
        if kernel.ndim == 1:
            return jnp.zeros_like(kernel)
        size = min(kernel.shape[2:])
        return jnp.zeros_like(kernel).at[1, 1, jnp.arange(size), jnp.arange(size)].set(1.0)

    params = jax.tree.map(copying, params)
    image = jnp.arange(9.0).reshape(3, 3, 1) - 6.0
    features = module.apply(params, image).reshape(1, 1, 32)
    # 3 x 3 becomes 2 x 2 with the maxima [-2, -1], [1, 2]; a block doubles what is positive, and
    # leaves the rest; then 1 x 1: four times 2, and twice more in each of the other two sections.
    np.testing.assert_array_equal(features[0, 0, 0], 2.0 * 4**3)
    np.testing.assert_array_equal(features[0, 0, 1:], 0.0)
    negative = module.apply(params, image - 9.0)
    np.testing.assert_array_equal(negative, 0.0)


@pytest.mark.full
def test_features_of_impala_are_about_as_large_as_the_images_values():
    """Six blocks whose last kernels were not smaller would make them eight times as large."""
    module = from_one_draw(from_flax(ImpalaCNN(hidden_sizes=())))
    image = jax.random.normal(KEY, (24, 24, 3))
    features = module.apply(jax.jit(module.init)(jax.random.key(1), image), image)
    size = float(jnp.sqrt(jnp.mean(jnp.square(features))))
    assert 0.5 < size < 4.0


@pytest.mark.parametrize(
    ("torso", "dtype", "layer_norm"),
    leading([("nature_cnn", "float32", True), ("impala_cnn", "bfloat16", True)]),
)
def test_batches_precision_and_normalisation(torso, dtype, layer_norm):
    """Two leading axes at once give what single images do."""
    space = Box(0, 255, (36, 36, 2), jnp.uint8)
    network = q_network(
        space,
        Discrete(3),
        torso=torso,
        hidden_sizes=(8,),
        compute_dtype=dtype,
        layer_norm=layer_norm,
    )
    images = jax.random.randint(KEY, (2, 3, 36, 36, 2), 0, 256).astype(jnp.uint8)
    params = jax.jit(network.init)(KEY, images[0, 0])
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(params))
    assert any("LayerNorm" in name for name in params["params"]["torso"])
    together = jax.jit(network.apply)(params, images)
    assert (together.shape, together.dtype) == ((2, 3, 3), jnp.float32)
    alone = jax.jit(network.apply)(params, images[1, 2])
    tolerance = {"rtol": 0.05, "atol": 0.05} if dtype == "bfloat16" else {"rtol": 1e-4}
    np.testing.assert_allclose(together[1, 2], alone, **tolerance)


@pytest.mark.parametrize(
    ("torso", "shape", "message"),
    [
        ("nature_cnn", (3,), r"torso='nature_cnn' needs observations of shape .*got shape \(3,\)"),
        ("nature_cnn", (35, 84, 4), r"images of at least 36 x 36, got shape \(35, 84, 4\): use t"),
        ("cnn", (2, 2, 1), r"torso='cnn' needs images of at least 3 x 3, got shape \(2, 2, 1\)"),
        ("resnet", (84, 84, 4), "torso='resnet' is not one of auto, mlp, cnn, nature_cnn, impala"),
    ],
)
def test_wrong_torsos_are_named(torso, shape, message):
    with pytest.raises(ValueError, match=message):
        actor_critic(Box(0.0, 1.0, shape), Discrete(2), torso=torso)


def test_the_smallest_images():
    for torso, size in (("nature_cnn", 36), ("impala_cnn", 1)):
        space = Box(0.0, 1.0, (size, size, 1))
        network = critic(space, Box(-1.0, 1.0, (2,)), torso=torso, hidden_sizes=(4,))
        inputs = jnp.zeros((size, size, 1)), jnp.zeros(2)
        params = jax.eval_shape(network.init, KEY, *inputs)
        assert jax.eval_shape(network.apply, params, *inputs).shape == ()


@pytest.mark.parametrize("name", leading(["dqn", "ppo"]))
def test_settings_choose_them(name):
    """The agent's parameters are those of the torso, on stacked frames too."""
    env = jaxrl.make_env("Pong-misc")
    assert env.observation_space.shape == (30, 40, 3)
    entry = jaxrl.registry.get(name)
    config = entry.settings(torso="impala_cnn", hidden_sizes=(16,), activation="relu")
    state = jax.eval_shape(entry.build(env, config).init, KEY)
    shapes = [x.shape for x in jax.tree.leaves(state.agent.params)]
    assert (3, 3, 3, 16) in shapes
    assert (4 * 5 * 32, 16) in shapes
    with pytest.raises(ValueError, match="torso='nature_cnn' needs images of at least 36 x 36"):
        entry.build(env, entry.settings(torso="nature_cnn"))


@pytest.mark.parametrize("shape", [(700, 400), (3, 200, 450), (520, 520), (300, 1000)])
def test_large_kernels_are_orthogonal(shape):
    """A block of columns at a time, the last of which is not full."""
    matrix = jax.jit(lambda key: orthogonal(2.0)(key, shape))(KEY).reshape(-1, shape[-1])
    shorter = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(shorter, 4 * np.eye(min(matrix.shape)), atol=5e-5)


def test_large_kernels_are_those_of_gram_schmidt():
    """As QR gives them with positive entries on the diagonal: the distribution is the same."""
    draw = jax.random.normal(KEY, (700, 400))
    q, r = np.linalg.qr(np.asarray(draw, np.float64))
    np.testing.assert_allclose(orthogonal(1.0)(KEY, (700, 400)), q * np.sign(np.diag(r)), atol=1e-4)


def test_large_kernels_of_a_network_are_drawn_apart():
    module = NatureCNN(hidden_sizes=(96,))
    network = from_one_draw(from_flax(module))
    init = jax.jit(network.init)
    first, second = (init(key, jnp.zeros((84, 84, 1)))["params"] for key in jax.random.split(KEY))
    kernel = first["MLP_0"]["Dense_0"]["kernel"]
    assert kernel.shape == (3136, 96)
    np.testing.assert_allclose(kernel.T @ kernel, 2 * np.eye(96), atol=2e-5)
    assert not np.allclose(kernel, second["MLP_0"]["Dense_0"]["kernel"])
    convolution = first["Conv_2"]["kernel"].reshape(-1, 64)
    np.testing.assert_allclose(convolution.T @ convolution, 2 * np.eye(64), atol=2e-5)


@pytest.mark.parametrize("shape", [(2**17 + 1, 3), (3, 2**17 + 1)])
def test_a_long_kernel_of_few_columns(shape):
    """Larger than what is drawn together, and with fewer columns than a block has."""
    kernel = np.asarray(orthogonal(1.0)(jax.random.key(0), shape), np.float64)
    short = kernel.T @ kernel if shape[0] > shape[1] else kernel @ kernel.T
    np.testing.assert_allclose(short, np.eye(3), atol=1e-4)

"""The GRU, the LSTM and the actor-critic around them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from tiers import leading

from jaxrl.exploration import StateDependentGaussian
from jaxrl.networks import GRU, LSTM, LSTMMemory, recurrent_actor_critic, step_by_step
from jaxrl.types import Box, Discrete

KEY = jax.random.key(0)
SEEN = Box(-1.0, 1.0, (3,))
NUM_STEPS, NUM_SEQUENCES, SIZE = 11, 4, 5


def random_sequences(network):
    """Memories in the midst of something, observations, and ends of episodes."""
    keys = jax.random.split(KEY, 3)
    leaves, structure = jax.tree.flatten(network.start())
    drawn = 0.5 * jax.random.normal(keys[0], (len(leaves), NUM_SEQUENCES, *leaves[0].shape))
    memory = structure.unflatten(list(drawn))
    observation = jax.random.normal(keys[1], (NUM_STEPS, NUM_SEQUENCES, 3))
    ended = jax.random.bernoulli(keys[2], 0.2, (NUM_STEPS, NUM_SEQUENCES))
    assert ended.any()
    return memory, observation, ended


def test_one_step_is_flax_gru():
    """Flax's cell has six dense layers; one of its biases, which starts at zero, we do not have."""
    theirs = nn.GRUCell(SIZE)
    memory, x = jax.random.normal(KEY, (2, SIZE)), jnp.array([[0.3, -1.0], [2.0, 0.5]])
    params = theirs.init(KEY, memory, x)["params"]
    biases = jnp.arange(3 * SIZE) / 10
    names = ("r", "z", "n")
    ours = {
        "input": {
            "kernel": jnp.concatenate([params[f"i{name}"]["kernel"] for name in names], axis=1),
            "bias": biases,
        },
        "kernel": jnp.concatenate([params[f"h{name}"]["kernel"] for name in names], axis=1),
    }
    for i, name in enumerate(names):
        params[f"i{name}"]["bias"] = biases[i * SIZE : (i + 1) * SIZE]
    after = GRU(SIZE).apply({"params": ours}, memory, x)
    np.testing.assert_allclose(
        after, theirs.apply({"params": params}, memory, x)[0], rtol=1e-5, atol=1e-6
    )


def test_units_forget_at_different_speeds():
    """With nothing to see and nothing in the other gates, h' = z h."""
    gru = GRU(3)
    params = gru.init(KEY, jnp.zeros(3), jnp.zeros(2))
    params = {"params": params["params"] | {"kernel": jnp.zeros((3, 9))}}
    after = gru.apply(params, jnp.ones(3), jnp.zeros(2))
    np.testing.assert_allclose(1 / (1 - after), [2, 51, 100], rtol=1e-4)


def lstm_parameters():
    """Of an LSTM of two inputs and two units, by hand: the quarters are of i, f, g and o."""
    kernel = jnp.array([[0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, -0.8]] * 2) * jnp.array([[1], [-2]])
    recurrent = jnp.array(
        [[0.5, 0.1, -0.4, 0.2, 0.3, -0.6, 0.2, 0.9], [0.7, -0.1, 0, 1, 0, 1, 0.5, 0]]
    )
    bias = jnp.array([0.0, 0.1, 1.0, -1.0, 0.2, 0.0, -0.3, 0.5])
    return {"input": {"kernel": kernel, "bias": bias}, "kernel": recurrent}


def test_one_step_is_the_lstm_as_it_is_written():
    """Of the first unit, in plain numbers."""
    memory = LSTMMemory(jnp.array([0.8, -1.2]), jnp.array([0.3, -0.6]))
    x = jnp.array([0.5, -0.25])
    after = LSTM(2).apply({"params": lstm_parameters()}, memory, x)
    # W x is 0.5 k - 2 (-0.25) k = k of the first row.
    i = scipy.special.expit(0.1 + 0.0 + 0.3 * 0.5 - 0.6 * 0.7)
    f = scipy.special.expit(0.3 + 1.0 + 0.3 * -0.4 - 0.6 * 0.0)
    g = np.tanh(-0.5 + 0.2 + 0.3 * 0.3 - 0.6 * 0.0)
    o = scipy.special.expit(0.7 - 0.3 + 0.3 * 0.2 - 0.6 * 0.5)
    cell = f * 0.8 + i * g
    np.testing.assert_allclose(after.cell[0], cell, rtol=1e-5)
    np.testing.assert_allclose(after.output[0], o * np.tanh(cell), rtol=1e-5)


def test_one_step_is_flax_lstm():
    """Flax's cell has the biases beside the memory."""
    theirs = nn.OptimizedLSTMCell(SIZE)
    cell, output, x = (jax.random.normal(KEY, (2, SIZE)) * scale for scale in (1.0, 0.3, 0.7))
    params = theirs.init(KEY, (cell, output), x)["params"]
    biases = jnp.arange(4 * SIZE) / 10 - 1
    names = ("i", "f", "g", "o")
    ours = {
        "input": {
            "kernel": jnp.concatenate([params[f"i{name}"]["kernel"] for name in names], axis=1),
            "bias": biases,
        },
        "kernel": jnp.concatenate([params[f"h{name}"]["kernel"] for name in names], axis=1),
    }
    for i, name in enumerate(names):
        params[f"h{name}"]["bias"] = biases[i * SIZE : (i + 1) * SIZE]
    after = LSTM(SIZE).apply({"params": ours}, LSTMMemory(cell, output), x)
    expected, shown = theirs.apply({"params": params}, (cell, output), x)
    np.testing.assert_array_equal(shown, expected[1])
    np.testing.assert_allclose(after.cell, expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(after.output, expected[1], rtol=1e-5, atol=1e-6)


def test_units_of_an_lstm_forget_at_different_speeds():
    """With nothing to see and nothing in the other gates, c' = f c, and i = 1 - f."""
    lstm = LSTM(3)
    start = LSTMMemory(jnp.ones(3), jnp.zeros(3))
    params = lstm.init(KEY, start, jnp.zeros(2))["params"]
    after = lstm.apply({"params": params}, start, jnp.zeros(2))
    np.testing.assert_allclose(1 / (1 - after.cell), [2, 51, 100], rtol=1e-4)
    bias = params["input"]["bias"]
    np.testing.assert_allclose(bias[:3], -bias[3:6])
    np.testing.assert_array_equal(bias[6:], 0)


@pytest.mark.parametrize(
    ("core", "shared_torso", "shared_core"),
    leading([("gru", False, True), ("lstm", True, False), ("gru", True, False)], 2),
)
def test_sequences_are_steps_one_after_another(core, shared_torso, shared_core):
    """Outputs, memories and all gradients, with starts in the midst of the sequences."""
    network = recurrent_actor_critic(
        SEEN,
        Discrete(4),
        core=core,
        core_size=SIZE,
        hidden_sizes=(6,),
        shared_torso=shared_torso,
        shared_core=shared_core,
    )
    steps = step_by_step(network.init, network.start, network.apply)
    memory, observation, ended = random_sequences(network)
    weight = jax.random.normal(KEY, (NUM_STEPS, NUM_SEQUENCES))

    def summary(params, memory, observation, unroll):
        memories, (distribution, value) = unroll(params, memory, observation, ended)
        squares = sum(jnp.sum(jnp.square(x)) for x in jax.tree.leaves(memories))
        loss = jnp.sum(weight * (distribution.entropy() + 3 * value + distribution.logits[..., 0]))
        return loss + squares, (memories, distribution.logits, value)

    params = jax.jit(network.init)(KEY, observation[0, 0])
    # The heads start near zero, which would hide mistakes before them.
    params = jax.tree.map(lambda x: x + 0.1, params)
    both = [
        jax.jit(jax.value_and_grad(summary, argnums=(0, 1, 2), has_aux=True), static_argnums=3)(
            params, memory, observation, unroll
        )
        for unroll in (network.unroll, steps.unroll)
    ]
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), *both)
    assert all(jnp.abs(x).max() > 1e-3 for x in jax.tree.leaves(both[0][1]))


@pytest.mark.full
@pytest.mark.parametrize("core", ["gru", "lstm"])
def test_gradient_of_the_gradient(core):
    """What a Fisher-vector product by two reverse passes needs."""
    network = recurrent_actor_critic(SEEN, Discrete(2), core=core, core_size=2, hidden_sizes=(3,))
    steps = step_by_step(network.init, network.start, network.apply)
    memory, observation, ended = random_sequences(network)
    params = jax.jit(network.init)(KEY, observation[0, 0])

    def curvature(unroll):
        def value(params):
            return jnp.sum(jnp.square(unroll(params, memory, observation, ended)[1][1]))

        direction = jax.tree.map(jnp.ones_like, params)
        slope = lambda params: sum(  # noqa: E731
            jnp.vdot(x, y)
            for x, y in zip(
                jax.tree.leaves(jax.grad(value)(params)), jax.tree.leaves(direction), strict=True
            )
        )
        return jax.jit(jax.grad(slope))(params)

    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-3),
        curvature(network.unroll),
        curvature(steps.unroll),
    )


@pytest.mark.parametrize("core", ["gru", "lstm"])
def test_an_end_hides_everything_before_it(core):
    network = recurrent_actor_critic(
        SEEN, Discrete(2), core=core, core_size=SIZE, hidden_sizes=(6,)
    )
    memory, observation, _ = random_sequences(network)
    params = jax.jit(network.init)(KEY, observation[0, 0])
    ended = jnp.zeros((NUM_STEPS, NUM_SEQUENCES), bool).at[3].set(True)
    other = observation.at[:4].add(1.0)
    unroll = jax.jit(
        lambda *inputs: jnp.concatenate(jax.tree.leaves(network.unroll(params, *inputs)[0]), -1)
    )
    memories = [unroll(memory, x, ended) for x in (observation, other)]
    np.testing.assert_array_equal(memories[0][4:], memories[1][4:])
    assert not np.allclose(memories[0][3], memories[1][3])
    fresh = jax.tree.map(lambda x: jnp.zeros((NUM_SEQUENCES, *x.shape)), network.start())
    again = unroll(fresh, jnp.roll(observation, -4, axis=0), jnp.roll(ended, -4, axis=0))
    np.testing.assert_allclose(memories[0][4:], again[:-4], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("shared_torso", "shared_core", "read_by_the_value"),
    [
        (False, False, {"critic_torso", "critic_core"}),
        (False, True, {"actor_torso", "critic_torso", "shared_core"}),
        (True, False, {"shared_torso", "critic_core"}),
        (True, True, {"shared_torso", "shared_core"}),
    ],
)
def test_what_actor_and_critic_share(shared_torso, shared_core, read_by_the_value):
    network = recurrent_actor_critic(
        SEEN, Discrete(2), core_size=SIZE, shared_torso=shared_torso, shared_core=shared_core
    )
    assert [x.shape for x in network.start()] == [(SIZE,)] * (1 if shared_core else 2)
    params = jax.jit(network.init)(KEY, jnp.zeros(3))
    value = lambda p: network.apply(p, network.start(), jnp.ones(3))[1][1]  # noqa: E731
    gradient = jax.jit(jax.grad(value))(params)["params"]
    read = {name for name, part in gradient.items() if any(map(jnp.any, jax.tree.leaves(part)))}
    assert read == read_by_the_value | {"value"}


@pytest.mark.parametrize(("core", "width"), [("gru", 24), ("lstm", 32)])
def test_kernels_are_orthogonal_at_first(core, width):
    network = recurrent_actor_critic(SEEN, Discrete(2), core=core, core_size=8)
    params = jax.jit(network.init)(KEY, jnp.zeros(3))["params"]["shared_core"]
    np.testing.assert_allclose(params["kernel"] @ params["kernel"].T, np.eye(8), atol=1e-5)
    kernel = params["input"]["kernel"]
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(width), atol=1e-5)


@pytest.mark.parametrize("core", ["gru", "lstm"])
def test_gsde_sees_the_memory(core):
    network = recurrent_actor_critic(
        SEEN, Box(-1.0, 1.0, (2,)), core=core, core_size=SIZE, state_dependent_exploration=True
    )
    params = jax.jit(network.init)(KEY, jnp.zeros(3))
    memory, (distribution, _) = network.apply(params, network.start(), jnp.ones(3))
    assert isinstance(distribution, StateDependentGaussian)
    shown = memory[0].output if core == "lstm" else memory[0]
    np.testing.assert_array_equal(distribution.features, shown)

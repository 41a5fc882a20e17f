"""The GRU and the actor-critic around it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import leading

from jaxrl.exploration import StateDependentGaussian
from jaxrl.networks import GRU, recurrent_actor_critic, step_by_step
from jaxrl.types import Box, Discrete

KEY = jax.random.key(0)
SEEN = Box(-1.0, 1.0, (3,))
NUM_STEPS, NUM_SEQUENCES, SIZE = 11, 4, 5


def random_sequences(network):
    """Memories in the midst of something, observations, and ends of episodes."""
    keys = jax.random.split(KEY, 3)
    memory = jax.tree.map(
        lambda x: 0.5 * jax.random.normal(keys[0], (NUM_SEQUENCES, *x.shape)), network.start()
    )
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


@pytest.mark.parametrize(("shared_torso", "shared_core"), leading([(False, True), (True, False)]))
def test_sequences_are_steps_one_after_another(shared_torso, shared_core):
    """Outputs, memories and all gradients, with starts in the midst of the sequences."""
    network = recurrent_actor_critic(
        SEEN,
        Discrete(4),
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
        squares = sum(jnp.sum(jnp.square(x)) for x in memories)
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
def test_gradient_of_the_gradient():
    """What a Fisher-vector product by two reverse passes needs."""
    network = recurrent_actor_critic(SEEN, Discrete(2), core_size=2, hidden_sizes=(3,))
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


def test_an_end_hides_everything_before_it():
    network = recurrent_actor_critic(SEEN, Discrete(2), core_size=SIZE, hidden_sizes=(6,))
    memory, observation, _ = random_sequences(network)
    params = jax.jit(network.init)(KEY, observation[0, 0])
    ended = jnp.zeros((NUM_STEPS, NUM_SEQUENCES), bool).at[3].set(True)
    other = observation.at[:4].add(1.0)
    unroll = jax.jit(lambda *inputs: network.unroll(params, *inputs)[0][0])
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


def test_kernels_are_orthogonal_at_first():
    network = recurrent_actor_critic(SEEN, Discrete(2), core_size=8)
    core = jax.jit(network.init)(KEY, jnp.zeros(3))["params"]["shared_core"]
    np.testing.assert_allclose(core["kernel"] @ core["kernel"].T, np.eye(8), atol=1e-5)
    kernel = core["input"]["kernel"]
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(24), atol=1e-5)


def test_gsde_sees_the_memory():
    network = recurrent_actor_critic(
        SEEN, Box(-1.0, 1.0, (2,)), core_size=SIZE, state_dependent_exploration=True
    )
    params = jax.jit(network.init)(KEY, jnp.zeros(3))
    memory, (distribution, _) = network.apply(params, network.start(), jnp.ones(3))
    assert isinstance(distribution, StateDependentGaussian)
    np.testing.assert_array_equal(distribution.features, memory[0])

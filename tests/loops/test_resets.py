"""The settings that say how environments start again reach every loop, and are checked first."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import named

import jaxrl
from jaxrl import registry
from jaxrl.loops.worlds import Resets, resets_of
from jaxrl.types import Box, Discrete, Environment, TimeStep

LIMIT = 3
ROLLOUT = {"num_envs": 4, "num_steps": LIMIT, "total_steps": 48, "hidden_sizes": (4,)}
REPLAY = ROLLOUT | {"random_steps": 0, "batch_size": 2, "buffer_size": 100}
SMALL = {
    "ppo": ROLLOUT | {"num_minibatches": 1, "num_epochs": 1},
    "a3c": ROLLOUT | {"num_workers": 2},
    "dqn": REPLAY,
    "a2c": ROLLOUT,
    "impala": ROLLOUT,
    "trpo": ROLLOUT | {"conjugate_gradient_steps": 1, "line_search_steps": 1},
    "pqn": ROLLOUT | {"num_minibatches": 1, "num_epochs": 1},
    "sac": REPLAY,
    "td3": REPLAY,
    "ddpg": REPLAY,
}
WAYS = {
    "every_step": {},
    "pooled": {"resets": "pooled", "reset_ratio": 2},
    "cached": {"resets": "cached"},
}


def drawn_starts(actions):
    """Episodes of three steps; what is seen all along is the number that their reset drew."""

    def reset(key):
        start = jax.random.uniform(key)
        return (start, jnp.int32(0)), start[None]

    def step(key, state, action):
        del key, action
        start, time = state[0], state[1] + 1
        ended = time >= LIMIT
        return (start, time), TimeStep(start[None], jnp.float32(1), ended, jnp.array(False), {})

    return Environment("starts", Box(0.0, 1.0, (1,)), actions, reset, step, LIMIT)


def starts_of(name, changes, num_iterations=2):
    """The starts of each environment's first episodes, [episodes, workers x environments]."""
    entry = registry.get(name)
    actions = Box(-1.0, 1.0, (1,)) if name in ("td3", "ddpg") else Discrete(2)
    algorithm = entry.build(drawn_starts(actions), entry.settings(**SMALL[name] | changes))
    step = jax.jit(algorithm.step)
    state = jax.jit(algorithm.init)(jax.random.key(0))
    found = [state.worlds.observation]
    for iteration in range(num_iterations):
        state, metrics = step(jax.random.key(iteration), state)
        assert int(metrics["episodes"]) == state.worlds.observation.size
        found.append(state.worlds.observation)
    return np.stack(found).reshape(num_iterations + 1, -1)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", named(SMALL, "ppo", "a3c", "dqn"))
def test_the_setting_reaches_the_loop(name, way):
    """4 environments (of each worker) that end together, twice: 4 starts for them, 2, or none."""
    found = starts_of(name, WAYS[way])
    first, *later = found
    assert np.unique(first).size == first.size
    if way == "every_step":
        assert np.unique(found).size == found.size
    elif way == "cached":
        np.testing.assert_array_equal(later, [first, first])
    else:
        for starts in later:
            groups = starts.reshape(-1, 2, 2)
            np.testing.assert_array_equal(groups[:, 0], groups[:, 1])
            assert np.unique(starts).size == first.size // 2
        assert np.unique(found).size == 2 * first.size


def test_one_start_for_all_of_a_worker():
    changes = {"resets": "pooled", "reset_ratio": 4}
    workers = starts_of("a3c", changes, num_iterations=1)[1].reshape(2, 4)
    np.testing.assert_array_equal(workers, workers[:, :1].repeat(4, axis=1))
    assert workers[0, 0] != workers[1, 0]


def test_every_algorithm_with_the_setting_is_tested():
    assert SMALL.keys() == {
        name
        for name in registry.names()
        if hasattr(registry.get(name).settings, "resets") and name != "toy"
    }


def test_settings_in_short():
    assert resets_of(jaxrl.PPOConfig()) == Resets("every_step")
    assert resets_of(jaxrl.PPOConfig(resets="pooled")) == Resets("pooled", 4)
    assert resets_of(jaxrl.DQNConfig(resets="cached")) == Resets("cached")


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("num_envs", "ratio"), [(6, 4), (2, 4), (1, 2)])
def test_a_pool_that_cannot_be_shared_out_is_refused(name, num_envs, ratio):
    entry = registry.get(name)
    actions = Box(-1.0, 1.0, (1,)) if name in ("td3", "ddpg") else Discrete(2)
    changes = {"resets": "pooled", "reset_ratio": ratio, "num_envs": num_envs, "total_steps": 96}
    config = entry.settings(**SMALL[name] | changes)
    with pytest.raises(ValueError, match=f"reset_ratio={ratio} must divide num_envs={num_envs}"):
        entry.build(drawn_starts(actions), config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resets": "never"}, "resets='never' is not one of every_step, pooled, cached"),
        ({"resets": "pooled", "reset_ratio": 1}, "reset_ratio=1 must be at least 2"),
        ({"resets": "pooled", "reset_ratio": 2.0}, "reset_ratio=2.0 is not a whole number"),
        ({"reset_ratio": 2}, "reset_ratio=2 needs resets='pooled', but resets='every_step'"),
        (
            {"resets": "cached", "reset_ratio": 2},
            "reset_ratio=2 needs resets='pooled', but resets='cached'",
        ),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.ppo(drawn_starts(Discrete(2)), jaxrl.PPOConfig(**changes))

"""A trained policy outside of any program: the same actions, whatever it is given."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from runs import toy
from small_runs import corridor

import jaxrl
from jaxrl import runs
from jaxrl.runs import ExperimentError, TrainedPolicy
from jaxrl.types import Box, Environment, TimeStep

SMALL = {"total_steps": 32, "num_envs": 2, "num_steps": 8, "hidden_sizes": (4,)}


def ppo(environment=None, **changes):
    config = jaxrl.PPOConfig(**SMALL | {"num_minibatches": 1} | changes)
    return jaxrl.ppo(corridor() if environment is None else environment, config)


@pytest.fixture(scope="module")
def policy():
    algorithm = ppo()
    return TrainedPolicy(algorithm, algorithm.init(jax.random.key(0)), name="ppo on corridor")


def wide():
    """Actions of shape (2, 2), of a table of observations."""
    seen, taken = Box(-1.0, 1.0, (2, 3)), Box(-0.1, 0.2, (2, 2))

    def step(key, state, action):
        del key
        over = jnp.array(True)
        return state, TimeStep(state, jnp.sum(action), over, jnp.array(False), {})

    return Environment("wide", seen, taken, lambda key: (jnp.zeros((2, 3)),) * 2, step, 1)


OBSERVATIONS = np.linspace(-2, 2, 5, dtype=np.float32)[:, None]


def test_one_or_a_batch_of_numpy_or_jax(policy):
    inner = policy.algorithm.policy(policy.state)
    expected = [int(inner.act(jax.random.key(0), (), x)[1]) for x in OBSERVATIONS]
    assert len(set(expected)) == 2
    actions = policy(OBSERVATIONS)
    assert isinstance(actions, np.ndarray)
    assert actions.tolist() == expected
    assert policy(jnp.asarray(OBSERVATIONS)).tolist() == expected
    assert policy(OBSERVATIONS.astype(np.float64).tolist()).tolist() == expected
    for x, action in zip(OBSERVATIONS, expected, strict=True):
        assert policy(x) == action
        assert np.shape(policy(x)) == ()


def test_actions_have_the_shape_and_the_bounds_of_the_task():
    algorithm = ppo(wide())
    policy = TrainedPolicy(algorithm, algorithm.init(jax.random.key(0)), environment=wide())
    actions = policy(100.0 * np.ones((7, 2, 3)))
    assert actions.shape == (7, 2, 2)
    assert actions.dtype == np.float32
    assert (actions >= np.float32(-0.1)).all()
    assert (actions <= np.float32(0.2)).all()
    assert policy(np.ones((2, 3))).shape == (2, 2)


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        (np.zeros(2), r"has shape \(2,\), and one of corridor has \(1,\)"),
        (np.zeros((2, 2)), r"has shape \(2, 2\)"),
        (0.0, r"has shape \(\)"),
        (np.zeros((0, 1)), "the batch has no observations"),
        ({"x": np.zeros(1)}, r"has shape \(\)"),
    ],
)
def test_observations_of_another_shape(policy, observation, message):
    with pytest.raises((ValueError, TypeError), match=message):
        policy(observation)


def test_memory_is_kept_until_the_episode_ends():
    algorithm = ppo(core="gru", core_size=4)
    policy = TrainedPolicy(algorithm, algorithm.init(jax.random.key(0)))
    inner = algorithm.policy(policy.state)
    carry = inner.start(jax.random.key(0))
    for x in OBSERVATIONS:
        carry, action = inner.act(jax.random.key(0), carry, x)
        assert policy(x) == action
    kept, own = (jax.tree.leaves(tree)[0] for tree in (policy._carry, carry))
    # One program of a batch, and operations one by one: they are rounded in other places.
    np.testing.assert_allclose(kept[0], own, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match=r"5 observations, and the policy keeps the memory of 1"):
        policy(OBSERVATIONS)
    policy.reset()
    policy(OBSERVATIONS)
    before = np.asarray(jax.tree.leaves(policy._carry)[0])
    assert np.abs(before).min(axis=1).max() > 0
    policy.reset(ended=[False, True, False, False, False])
    after = np.asarray(jax.tree.leaves(policy._carry)[0])
    assert (after[1] == 0).all()
    np.testing.assert_array_equal(np.delete(after, 1, 0), np.delete(before, 1, 0))
    with pytest.raises(ValueError, match=r"ended has shape \(2,\), and the last batch had 5"):
        policy.reset(ended=[True, False])


def test_of_a_run(tmp_path):
    runs.start(toy.specification(), tmp_path / "run")
    policy = jaxrl.load(tmp_path / "run", member=1)
    assert repr(policy) == "<toy on toy, agent 1 of 2, 104 steps>"
    run = runs.load(tmp_path / "run")
    np.testing.assert_array_equal(policy.state.target, run.state_of(1).target)
    assert policy(np.zeros(1)).shape == (1,)
    for wrong in (2, -1, True):
        with pytest.raises(ValueError, match="has the agents 0 to 1"):
            load_any(tmp_path / "run", wrong)
    with pytest.raises(ValueError, match="which knows its algorithm"):
        jaxrl.load(tmp_path / "run", algorithm=ppo())


def load_any(folder, member: Any):
    return jaxrl.load(folder, member)


def test_a_state_of_ones_own(tmp_path):
    algorithm = ppo()
    state = algorithm.init(jax.random.key(3))
    for key in (4, 3):
        jaxrl.save(tmp_path / "policy", algorithm, algorithm.init(jax.random.key(key)))
    policy = jaxrl.load(tmp_path / "policy", algorithm=algorithm)
    jax.tree.map(np.testing.assert_array_equal, policy.state.agent.params, state.agent.params)
    assert repr(policy) == "<a policy on corridor>"
    with pytest.raises(ValueError, match="give the algorithm that it is of"):
        jaxrl.load(tmp_path / "policy")
    with (
        pytest.warns(UserWarning, match="another version of the algorithm or its settings"),
        pytest.raises(ExperimentError, match="can be used"),
    ):
        jaxrl.load(tmp_path / "policy", algorithm=ppo(hidden_sizes=(8,)))


def test_what_cannot_be_saved(tmp_path):
    algorithm = ppo()
    several = jax.vmap(algorithm.init)(jax.random.split(jax.random.key(0), 2))
    with pytest.raises(ValueError, match="not one of this algorithm; of several agents"):
        jaxrl.save(tmp_path / "policy", algorithm, several)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ExperimentError, match="holds something else"):
        jaxrl.save(tmp_path, algorithm, algorithm.init(jax.random.key(0)))
    with pytest.raises(ExperimentError, match="holds no run"):
        jaxrl.load(tmp_path)
    with pytest.raises(ExperimentError, match="holds no State"):
        jaxrl.load(tmp_path, algorithm=algorithm)

"""What the off-policy loop collects, keeps and replays, and that it copies no buffer."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_environments import constant_reward, only_one_door
from tiers import leading

import jaxrl
from jaxrl.environments import mask_actions
from jaxrl.loops.off_policy import off_policy
from jaxrl.replay import prioritized_replay, ring_storage, uniform_replay
from jaxrl.types import Box, Discrete, Environment, Policy, ReplayAgent, TimeStep

KEY = jax.random.key(0)


class Counts(NamedTuple):
    """What the agent below has been given."""

    observed: jax.Array
    updates: jax.Array
    replayed: jax.Array


def counting_agent(batch_size, action=0):
    """Always takes one action; counts; its errors are 1 for each update that there has been."""

    def observe(key, state, transitions):
        return state._replace(observed=state.observed + transitions.reward.size)

    def update(key, state, batch):
        updates = state.updates + 1
        state = state._replace(updates=updates, replayed=batch.observation[:, 0])
        error = jnp.full(batch_size, updates, jnp.float32)
        return state, error, {"value_loss": updates.astype(jnp.float32)}

    return ReplayAgent(
        init=lambda key: Counts(jnp.int32(0), jnp.int32(0), jnp.zeros(batch_size)),
        start=lambda key: (),
        act=lambda key, state, carry, observation: (carry, jnp.int32(action)),
        observe=observe,
        update=update,
        policy=lambda state: Policy(lambda key: (), lambda key, carry, x: (carry, jnp.int32(0))),
    )


def build(env, *, make_replay=uniform_replay, capacity, batch_size, sizes, action=0, **counts):
    storage = ring_storage(env.observation_space, env.action_space, capacity=capacity, **sizes)
    replay = make_replay(storage, batch_size=batch_size, discount=0.9)
    return off_policy(env, counting_agent(batch_size, action), replay, **sizes, **counts)


def test_steps_and_updates_are_counted():
    """T = 4, B = 2, U = 3; 19 random steps are three additions of 8, of a budget of 50."""
    sizes = {"num_steps": 4, "num_envs": 2}
    env = constant_reward(5, terminates=True)
    counts = {"num_updates": 3, "random_steps": 19, "total_steps": 50}
    algorithm = build(env, capacity=64, batch_size=16, sizes=sizes, action=1, **counts)
    assert (algorithm.first_steps, algorithm.steps_per_iteration) == (24, 8)
    # 24 and 4 times 8 are the fewest that reach 50.
    assert algorithm.max_iterations == 4
    state = jax.jit(algorithm.init)(KEY)
    assert (state.steps, state.agent.observed, state.agent.updates) == (24, 24, 0)
    step = jax.jit(algorithm.step)
    for i in range(1, 5):
        state, metrics = step(jax.random.fold_in(KEY, i), state)
        assert (metrics["steps"], state.agent.observed) == (24 + 8 * i, 24 + 8 * i)
        assert state.agent.updates == 3 * i
        assert metrics["value_loss"] == 3 * i - 1
    ring = state.replay
    assert ring.time == 28
    # Each environment's clock goes on from addition to addition, and from the random steps on.
    clock = np.tile(np.arange(5) / 5, 6)[:28]
    np.testing.assert_allclose(ring.observation[:28, :, 0], np.stack([clock, clock], 1), rtol=1e-6)
    random_actions, actions = np.split(np.asarray(ring.action[:28]), [12])
    assert 4 < random_actions.sum() < 20
    np.testing.assert_array_equal(actions, 1)
    np.testing.assert_array_equal(ring.observation[28:], 0.0)
    assert set(np.asarray(state.agent.replayed).tolist()) <= set(np.float32(clock).tolist())


def test_a_run_counts_the_random_steps():
    sizes = {"num_steps": 2, "num_envs": 1}
    counts = {"num_updates": 1, "random_steps": 6, "total_steps": 13}
    algorithm = build(constant_reward(3), capacity=16, batch_size=4, sizes=sizes, **counts)
    result = jax.jit(lambda key: jaxrl.train(key, algorithm))(KEY)
    np.testing.assert_array_equal(result.metrics["steps"], [8, 10, 12, 14])
    np.testing.assert_array_equal(result.metrics["episodes"], [0, 1, 1, 0])


def test_no_random_steps():
    sizes = {"num_steps": 2, "num_envs": 1}
    counts = {"num_updates": 1, "random_steps": 0, "total_steps": 4}
    algorithm = build(constant_reward(3), capacity=16, batch_size=4, sizes=sizes, **counts)
    assert (algorithm.first_steps, algorithm.max_iterations) == (0, 2)
    assert algorithm.init(KEY).replay.time == 0


def test_errors_become_priorities():
    """The last update's steps have priority 2, the first one's 1 or 2, new ones the highest."""
    sizes = {"num_steps": 2, "num_envs": 2}
    counts = {"num_updates": 2, "random_steps": 4, "total_steps": 8}
    env = constant_reward(3)
    algorithm = build(
        env, make_replay=prioritized_replay, capacity=8, batch_size=2, sizes=sizes, **counts
    )
    state = jax.jit(algorithm.init)(KEY)
    np.testing.assert_array_equal(state.replay.tree.levels[-1][0, :8], [1.0] * 4 + [0.0] * 4)
    state, _ = jax.jit(algorithm.step)(KEY, state)
    weights = np.asarray(state.replay.tree.levels[-1][0, :8])
    np.testing.assert_allclose(state.replay.highest, 2.0, rtol=1e-5)
    priorities = np.isclose(weights, 2**0.6, rtol=1e-5)
    assert priorities.sum() in (1, 2)
    np.testing.assert_allclose(weights[~priorities], 1.0, rtol=1e-5)


def test_random_actions_are_allowed_ones():
    """A wrong door costs 2: that no random step gives less than 1 takes the masks."""
    sizes = {"num_steps": 8, "num_envs": 2}
    counts = {"num_updates": 1, "random_steps": 96, "total_steps": 112}
    env = mask_actions(only_one_door())
    algorithm = build(env, capacity=128, batch_size=2, sizes=sizes, **counts)
    ring = jax.jit(algorithm.init)(KEY).replay
    np.testing.assert_array_equal(ring.reward[:48], 1.0)
    assert set(np.asarray(ring.action[:48]).reshape(-1).tolist()) == set(range(6))


def numbering(replay):
    """The same replay, of which each addition is one step whose rewards are its number."""

    def add(state, transitions):
        kept, number = state
        reward = jnp.full_like(transitions.reward, number)
        return replay.add(kept, transitions._replace(reward=reward)), number + 1

    return replay._replace(
        init=lambda: (replay.init(), jnp.float32(1)),
        add=add,
        sample=lambda key, state: replay.sample(key, state[0]),
        can_sample=lambda state: replay.can_sample(state[0]),
        prioritize=lambda state, *errors: (replay.prioritize(state[0], *errors), state[1]),
    )


@pytest.mark.parametrize("prioritized", leading([False, True]))
def test_updates_learn_from_what_was_seen_however_often_a_limit_cuts_off(prioritized):
    """Limits of 1 and 200 side by side, n = 4: rewards are of the newest steps, weights finite.

    Rewards number the steps from the run's beginning on, so that an old one would be seen: with
    discount 1 and episodes of one step, each is that of one of the last 4 steps that are
    remembered.
    """

    def environment(limit):
        def reset(key):
            return jnp.int32(0), jnp.zeros(1)

        def step(key, state, action):
            time = state + 1
            cut, no = time % limit == 0, jnp.array(False)
            return time, TimeStep(jnp.ones(1), jnp.float32(0), no, cut, {})

        space = Box(0.0, 1.0, (1,))
        return Environment("counting", space, Discrete(2), reset, step, max_episode_steps=limit)

    make_replay = prioritized_replay if prioritized else uniform_replay

    def run(limit):
        env = environment(limit)
        storage = ring_storage(
            env.observation_space, env.action_space, capacity=32, num_envs=2, n_step=4
        )
        replay = numbering(make_replay(storage, batch_size=64, discount=1.0))
        agent = counting_agent(64)

        def update(key, state, batch):
            metrics = {"least": jnp.min(batch.reward), "weight": jnp.min(batch.weight)}
            return state, jnp.ones(64), metrics

        counts = {"num_updates": 1, "random_steps": 20, "total_steps": 60}
        agent = agent._replace(update=update)
        algorithm = off_policy(env, agent, replay, num_envs=2, num_steps=1, **counts)
        return jaxrl.train(KEY, algorithm).metrics

    metrics = jax.jit(jax.vmap(run))(jnp.array([1, 200]))
    # The first update comes after the 11th step. The last 4 have final observations.
    np.testing.assert_array_equal(metrics["least"][0], np.arange(11, 31) - 3)
    np.testing.assert_array_equal(metrics["weight"], 1.0)


def test_observations_unlike_their_space_are_refused():
    """[.9], declared int32, would be kept as 0."""
    env = constant_reward(5)._replace(observation_space=Box(0, 1, (1,), jnp.int32))
    config = jaxrl.DQNConfig(total_steps=40, random_steps=8, batch_size=4, hidden_sizes=(4,))
    with pytest.raises(ValueError, match="but its space is of int32: declare"):
        jax.eval_shape(jaxrl.dqn(env, config).init, KEY)


def wide_environment(size):
    """Shows `size` numbers; nothing else happens."""

    def reset(key):
        return jax.random.uniform(key), jnp.zeros(size)

    def step(key, state, action):
        observation = jnp.full(size, state)
        end = jnp.array(False)
        return state, TimeStep(observation, state, end, end, {})

    return Environment("wide", Box(0.0, 1.0, (size,)), Discrete(2), reset, step)


# With observations of one number, most of a prioritised replay is its tree.
@pytest.mark.parametrize(
    ("make_replay", "num_envs", "width", "num_seeds"),
    [
        (uniform_replay, 2, 1024, None),
        (uniform_replay, 2, 1024, 2),
        (prioritized_replay, 1, 1, None),
    ],
)
def test_no_copy_of_the_buffer_is_made(make_replay, num_envs, width, num_seeds):
    """64 MiB of observations or of what is beside them, ten iterations: 1 MiB more is enough."""
    sizes = {"num_steps": 1, "num_envs": num_envs}
    counts = {"num_updates": 2, "random_steps": 4, "total_steps": 1000}
    capacity = 64 * 2**20 // max(4 * width, 16) // (num_seeds or 1)
    algorithm = build(
        wide_environment(width),
        make_replay=make_replay,
        capacity=capacity,
        batch_size=8,
        sizes=sizes,
        **counts,
    )

    def run(state, key):
        return jax.lax.scan(lambda s, k: algorithm.step(k, s), state, jax.random.split(key, 10))

    init = algorithm.init
    shape = () if num_seeds is None else (num_seeds,)
    keys = jax.eval_shape(lambda: jax.random.split(KEY, shape))
    if num_seeds is not None:
        init, run = jax.vmap(init), jax.vmap(run)
    state = jax.eval_shape(init, keys)
    memory = jax.jit(run, donate_argnums=0).lower(state, keys).compile().memory_analysis()
    assert memory.alias_size_in_bytes >= 64 * 2**20
    assert memory.temp_size_in_bytes < 2**20

"""Every stream of random numbers is fresh: in whole runs of every loop no key is used twice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recorded_keys
from recorded_keys import LIMIT, Keys
from tiers import leading

from jaxrl.loops.asynchronous import asynchronous
from jaxrl.loops.episodes import play_population
from jaxrl.loops.off_policy import off_policy
from jaxrl.loops.on_policy import on_policy
from jaxrl.loops.population import VectorPolicy, population
from jaxrl.loops.whole_episodes import whole_episodes
from jaxrl.replay import prioritized_replay, ring_storage, uniform_replay
from jaxrl.training import Progress, advance, evaluate, train
from jaxrl.types import Box, Environment, Strategy, TimeStep

KEY = jax.random.key(0)


def run(algorithm):
    """A run with two evaluations of two episodes each."""
    jax.jit(lambda: train(KEY, algorithm, num_evaluations=2, evaluation_episodes=2).metrics)()


# Of each evaluation: resets, memories, and keys to act and to step for LIMIT steps.
EVALUATIONS = {"evaluation start": 2 * 2, "evaluation act": 2 * 2 * LIMIT}
EVALUATION_STEPS = 2 * 2 * LIMIT


def test_rollouts():
    """3 iterations of 4 steps in 2 environments."""
    keys = Keys()
    env = recorded_keys.environment(keys)
    run(on_policy(env, recorded_keys.agent(keys), num_envs=2, num_steps=4, total_steps=24))
    steps = 3 * 4 * 2
    assert keys.counts() == EVALUATIONS | {
        "init": 1,
        "reset": 2 + steps + 2 * 2,
        "start": 2 + steps,
        "act": steps,
        "step": steps + EVALUATION_STEPS,
        "update": 3,
    }
    keys.require_fresh()


def test_rollouts_without_a_memory():
    """Where no memory starts, there is no key for it."""
    keys = Keys()
    agent = recorded_keys.agent(keys)._replace(start=lambda key: ())
    env = recorded_keys.environment(keys)
    algorithm = on_policy(env, agent, num_envs=2, num_steps=4, total_steps=24)
    jax.jit(lambda: train(KEY, algorithm).metrics)()
    assert keys.counts() == {"init": 1, "reset": 2 + 24, "act": 24, "step": 24, "update": 3}
    keys.require_fresh()


@pytest.mark.parametrize("num_workers", leading([3, 1]))
def test_workers(num_workers):
    """2 ticks of 4 steps in 2 environments of each worker."""
    keys = Keys()
    algorithm = asynchronous(
        recorded_keys.environment(keys),
        recorded_keys.gradient_agent(keys),
        num_workers=num_workers,
        num_envs=2,
        num_steps=4,
        total_steps=16 * num_workers,
    )
    run(algorithm)
    steps = 2 * 4 * 2 * num_workers
    assert keys.counts() == EVALUATIONS | {
        "init": 1,
        "reset": 2 * num_workers + steps + 2 * 2,
        "start": 2 * num_workers + steps,
        "act": steps,
        "step": steps + EVALUATION_STEPS,
        "update": 2 * num_workers,
    }
    keys.require_fresh()


@pytest.mark.parametrize("make_replay", [uniform_replay, prioritized_replay])
@pytest.mark.parametrize("num_updates", leading([3, 1]))
def test_replays(make_replay, num_updates):
    """2 additions of 2 steps in 2 environments at random, then 3 with the agent's actions."""
    keys = Keys()
    env = recorded_keys.environment(keys)
    sizes = {"num_envs": 2, "num_steps": 2}
    storage = ring_storage(env.observation_space, env.action_space, capacity=64, **sizes)
    replay = make_replay(storage, batch_size=2)

    def sample(key, state):
        keys.note("sample", key)
        return replay.sample(key, state)

    algorithm = off_policy(
        env,
        recorded_keys.replay_agent(keys),
        replay._replace(sample=sample),
        num_updates=num_updates,
        random_steps=8,
        total_steps=20,
        **sizes,
    )
    run(algorithm)
    assert keys.counts() == EVALUATIONS | {
        "init": 1,
        "reset": 2 + 20 + 2 * 2,
        "start": 2 + 20,
        "random action": 8,
        "act": 12,
        "step": 20 + EVALUATION_STEPS,
        "observe": 5,
        "sample": 3 * num_updates,
        "update": 3 * num_updates,
    }
    keys.require_fresh()


def test_whole_episodes():
    """2 iterations of 2 episodes of 70 steps, which are played in 3 chunks of 24."""
    keys = Keys()
    env = recorded_keys.environment(keys, limit=70)
    agent = recorded_keys.agent(keys)
    algorithm = whole_episodes(env, agent, num_episodes=2, total_steps=280)
    jax.jit(lambda: train(KEY, algorithm).metrics)()
    steps = 2 * 2 * 3 * 24
    assert keys.counts() == {
        "init": 1,
        "reset": 2 * 2,
        "start": 2 * 2 + steps,
        "act": steps,
        "step": steps,
        "update": 2,
    }
    keys.require_fresh()


def searching(keys, *, common_random_numbers):
    """4 candidates of one number, which play 2 episodes each."""

    def noted(use, result):
        def function(key, *inputs):
            keys.note(use, key)
            return result(*inputs)

        return function

    strategy = Strategy(
        init=lambda vector: vector,
        ask=noted("ask", lambda state: (state, jnp.arange(4.0)[:, None])),
        tell=noted("tell", lambda state, candidates, fitness: (state, {})),
        solution=lambda state: state,
        population_size=4,
    )
    policy = VectorPolicy(
        init=noted("init", lambda: jnp.zeros(1)),
        unravel=lambda vector: vector,
        act=noted("act", lambda params, observation: jnp.int32(0)),
        act_greedily=lambda params, observation: jnp.int32(0),
    )
    return population(
        recorded_keys.environment(keys),
        strategy,
        policy,
        total_steps=2 * 4 * 2 * LIMIT,
        episodes_per_candidate=2,
        common_random_numbers=common_random_numbers,
    )


@pytest.mark.parametrize("common_random_numbers", [False, True])
def test_populations(common_random_numbers):
    """Candidates have keys of their own, or, as documented, the same in their i-th episodes."""
    keys = Keys()
    run(searching(keys, common_random_numbers=common_random_numbers))
    episodes = 2 * 2 * (1 if common_random_numbers else 4)
    assert keys.counts() == {
        "init": 1,
        "ask": 2,
        "tell": 2,
        "reset": episodes + 2 * 2,
        "act": episodes * LIMIT,
        "step": episodes * LIMIT + EVALUATION_STEPS,
    }
    keys.require_fresh()


def played(num_candidates, num_long, *, common_random_numbers):
    """Returns of the long candidates: draws of both kinds of keys, at every step but the first.

    The others end with their first step. From 64 candidates on, the rest goes on in fewer lanes.
    """

    def step(key, state, action):
        drawn = jax.random.uniform(key) + action[1]
        over = (state + 1 >= LIMIT) | (action[0] > 0)
        reward = jnp.where(state > 0, drawn, 0.0)
        end, observation = jnp.array(False), jnp.zeros(1)
        return state + 1, TimeStep(observation, reward, over, end, {})

    space = Box(-1.0, 1.0, (2,))
    env = Environment("drawn", space, space, lambda key: (jnp.int32(0), jnp.zeros(1)), step, LIMIT)

    def act(key, params, observation):
        return jnp.stack([params, 10 * jax.random.uniform(key)])

    params = (jnp.arange(num_candidates) >= num_long).astype(jnp.float32)
    options = {"num_episodes": 1, "common_random_numbers": common_random_numbers}
    result = jax.jit(lambda: play_population(KEY, env, act, params, **options))()
    np.testing.assert_array_equal(result.lengths[:num_long], LIMIT)
    np.testing.assert_array_equal(result.lengths[num_long:], 1)
    return np.asarray(result.returns[:num_long, 0])


def test_populations_in_ever_fewer_lanes():
    """Those that go on keep what is theirs: keys of their own, or those that all have."""
    assert np.unique(played(64, 4, common_random_numbers=False)).size == 4
    common = played(64, 4, common_random_numbers=True)
    np.testing.assert_array_equal(common, common[0])
    np.testing.assert_allclose(common, played(4, 4, common_random_numbers=True), rtol=1e-6)


def test_advancing_uses_the_keys_of_a_whole_run():
    """Two calls of two iterations: keys of their own, and those that one call of four has."""
    seen = []
    for num_rows in (2, 4):
        keys = Keys()
        agent, env = recorded_keys.agent(keys), recorded_keys.environment(keys)
        algorithm = on_policy(env, agent, num_envs=1, num_steps=2, total_steps=8)
        state, progress = algorithm.init(KEY), Progress(jnp.int32(0), jnp.int32(0))
        for _ in range(4 // num_rows):
            state, progress = jax.jit(
                lambda *run: advance(
                    jax.random.key(1),
                    algorithm,  # noqa: B023
                    *run,
                    num_rows=num_rows,  # noqa: B023
                    until_steps=8,
                )[:2]
            )(state, progress)
        keys.require_fresh()
        assert keys.counts()["update"] == 4
        seen.append(dict(keys.seen))
    assert {use: set(found) for use, found in seen[0].items()} == {
        use: set(found) for use, found in seen[1].items()
    }


def test_evaluation():
    """3 episodes; those of another key share nothing with them."""
    keys = Keys()
    env, policy = recorded_keys.environment(keys), recorded_keys.policy(keys)(None)
    for seed in range(2):
        jax.jit(lambda key: evaluate(key, env, policy, num_episodes=3))(jax.random.key(seed))
    assert keys.counts() == {
        "reset": 6,
        "evaluation start": 6,
        "evaluation act": 6 * LIMIT,
        "step": 6 * LIMIT,
    }
    keys.require_fresh()

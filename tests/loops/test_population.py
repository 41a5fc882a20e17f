"""Whole episodes of a population, counted by hand in a world without chance."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import scale_reward, time_limit
from jaxrl.loops.episode_counts import PlayedEpisodes, episode_metrics
from jaxrl.loops.episodes import play_population
from jaxrl.loops.population import population, vector_policy
from jaxrl.networks import policy_network
from jaxrl.ops.statistics import init_statistics, merge_sums
from jaxrl.training import evaluate, train
from jaxrl.types import Box, Discrete, Environment, Network, Strategy, TimeStep


class Clock(NamedTuple):
    time: jax.Array
    luck: jax.Array


def countdown(limit=6, max_episode_steps=6):
    """Ends by itself at the time that the action asks for; each step is worth its number.

    The observation is the time; the luck is drawn at a reset and added to the last reward.
    """

    def reset(key):
        state = Clock(jnp.int32(0), jax.random.uniform(key))
        return state, state.time[None].astype(jnp.float32)

    def step(key, state, action):
        time = state.time + 1
        terminated = time >= action[0]
        truncated = time >= limit
        ended = terminated | truncated
        reward = time.astype(jnp.float32) + jnp.where(ended, state.luck, 0.0)
        observation = time[None].astype(jnp.float32)
        return Clock(time, state.luck), TimeStep(observation, reward, terminated, truncated, {})

    space = Box(0.0, 100.0, (1,))
    return Environment("countdown", space, space, reset, step, max_episode_steps)


def constant_action(key, params, observation):
    return params


def play(lengths, *, num_episodes=2, environment=None, **options):
    return play_population(
        jax.random.key(3),
        countdown() if environment is None else environment,
        constant_action,
        jnp.asarray(lengths, jnp.float32)[:, None],
        num_episodes=num_episodes,
        **options,
    )


def test_each_candidate_plays_whole_episodes_and_no_step_more():
    played = play([2.0, 5.0, 50.0])
    np.testing.assert_array_equal(played.lengths, [[2, 2], [5, 5], [6, 6]])
    luck = np.asarray(played.returns) - [[3.0], [15.0], [21.0]]
    assert (luck >= 0).all()
    assert (luck <= 1).all()
    np.testing.assert_array_equal(played.fitness, played.returns)


@pytest.mark.parametrize("common", [True, False])
def test_a_large_population_is_played_with_ever_fewer_lanes(common):
    """1,200 episodes, of which the last 300, 75 and 18 go on by themselves."""
    lengths = np.repeat([1, 2, 3, 4, 5, 6], [400, 100, 70, 20, 8, 2])
    order = np.random.default_rng(0).permutation(600)
    options = {"common_random_numbers": common, "statistics": init_statistics((1,))}
    played = play(lengths[order] - 0.5, **options)
    np.testing.assert_array_equal(played.lengths, np.stack([lengths[order]] * 2, axis=1))
    luck = np.asarray(played.returns) - (lengths * (lengths + 1) / 2)[order, None]
    assert ((luck >= 0) & (luck <= 1)).all()
    # Every candidate has the luck of its own first reset, or that of all.
    assert np.unique(luck.round(4)).size == 2 if common else np.unique(luck).size > 600
    seen = np.concatenate([np.arange(length) for length in lengths] * 2)
    moments = merge_sums(options["statistics"], played.observations)
    assert moments.count == seen.size
    np.testing.assert_allclose(moments.mean + moments.remainder, [seen.mean()], rtol=1e-5)
    np.testing.assert_allclose(moments.variance, [seen.var()], rtol=1e-4)


def test_a_state_may_hold_an_array_without_numbers():
    """As one that keeps the last 0 prices does."""
    environment = countdown()

    def reset(key):
        state, observation = environment.reset(key)
        return (state, jnp.zeros((0, 3))), observation

    def step(key, state, action):
        inner, timestep = environment.step(key, state[0], action)
        return (inner, state[1]), timestep

    lengths = np.tile([1.0, 2.0, 6.0], 100)
    played = play(lengths, environment=environment._replace(reset=reset, step=step))
    np.testing.assert_array_equal(played.lengths[:, 0], lengths)
    np.testing.assert_array_equal(played.returns, play(lengths).returns)


@pytest.mark.parametrize("common", [True, False])
def test_common_random_numbers_are_common_to_the_candidates_only(common):
    played = play([2.0, 2.0, 2.0], common_random_numbers=common)
    luck = np.asarray(played.returns) - 3.0
    assert np.unique(luck[0]).size == 2
    assert np.unique(luck[:, 0]).size == (1 if common else 3)


def test_a_task_that_overruns_its_limit_is_left():
    played = play([50.0], environment=countdown(limit=1000, max_episode_steps=4))
    np.testing.assert_array_equal(played.lengths, [[0, 0]])
    assert np.isnan(played.returns).all()
    assert np.isnan(played.fitness).all()


def test_a_time_limit_by_wrapper_is_kept():
    endless = countdown(limit=10**6, max_episode_steps=None)
    played = play([2.0, 50.0], environment=time_limit(endless, max_steps=5))
    np.testing.assert_array_equal(played.lengths, [[2, 2], [5, 5]])


def test_fitness_is_the_reward_and_the_return_is_the_tasks_own():
    played = play([2.0], environment=scale_reward(countdown(), scale=-10.0))
    np.testing.assert_allclose(played.fitness, -10.0 * played.returns, rtol=1e-6)


def test_moments_are_those_of_what_actions_were_chosen_from():
    """Times 0, 1 of the one and 0, 1, 2, 3, 4 of the other, two episodes each."""
    seen = np.array([0, 1, 0, 1, 2, 3, 4] * 2)
    statistics = init_statistics((1,))._replace(mean=jnp.array([7.0]))
    moments = merge_sums(statistics, play([2.0, 5.0], statistics=statistics).observations)
    assert moments.count == seen.size
    np.testing.assert_allclose(moments.mean, [seen.mean()], rtol=1e-6)
    np.testing.assert_allclose(moments.variance, [seen.var()], rtol=1e-5)


def seen_as(change):
    """The countdown, with observations changed by (action, observation) -> observation."""
    inner = countdown()

    def step(key, state, action):
        state, timestep = inner.step(key, state, action)
        return state, timestep._replace(observation=change(action, timestep.observation))

    def reset(key):
        state, observation = inner.reset(key)
        return state, change(jnp.zeros(1), observation)

    return inner._replace(reset=reset, step=step)


def test_moments_far_from_zero_keep_their_digits():
    """The very first ones too, when no mean is known to take differences from."""
    far = seen_as(lambda action, observation: observation + 1e5)
    seen = np.array([0, 1, 0, 1, 2, 3, 4] * 2)
    statistics = init_statistics((1,))
    played = play([2.0, 5.0], environment=far, statistics=statistics)
    moments = merge_sums(statistics, played.observations)
    np.testing.assert_allclose(moments.mean, [1e5 + seen.mean()], rtol=1e-6)
    np.testing.assert_allclose(moments.variance, [seen.var()], rtol=1e-5)


@pytest.mark.parametrize("worst", [jnp.inf, jnp.nan, 1e30])
def test_a_candidate_whose_world_blows_up_does_not_spoil_the_moments(worst):
    burst = seen_as(lambda action, observation: jnp.where(action > 4, worst, observation))
    seen = np.array([0, 0, 1] * 2)
    statistics = init_statistics((1,))
    played = play([5.0, 2.0], environment=burst, statistics=statistics)
    moments = merge_sums(statistics, played.observations)
    assert moments.count == seen.size
    np.testing.assert_allclose(moments.mean, [seen.mean()], rtol=1e-6)
    np.testing.assert_allclose(moments.variance, [seen.var()], rtol=1e-5)


def test_where_nothing_finite_was_seen_the_moments_stay():
    nowhere = seen_as(lambda action, observation: observation + jnp.nan)
    algorithm = searching([[2.0]], nowhere, normalize_observations=True)
    state = algorithm.init(jax.random.key(0))
    after, metrics = algorithm.step(jax.random.key(1), state)
    assert metrics["observations_left_out"] == metrics["steps"]
    np.testing.assert_array_equal(after.statistics.mean, [0.0])
    np.testing.assert_array_equal(after.statistics.variance, [1.0])
    assert after.statistics.count == 0


def test_metrics_leave_failures_out():
    returns = jnp.array([[1.0, 3.0], [jnp.nan, 9.0], [4.0, 0.0]])
    played = PlayedEpisodes(returns, returns, jnp.ones((3, 2), jnp.int32), {}, None)
    metrics = episode_metrics(played)
    np.testing.assert_allclose(metrics["episode_return"], 17 / 5, rtol=1e-6)
    np.testing.assert_allclose(metrics["best_return"], 2.0)


class Told(NamedTuple):
    candidates: jax.Array
    fitness: jax.Array


def listener(candidates):
    """Proposes the same candidates for ever and remembers what it was told."""
    candidates = jnp.asarray(candidates, jnp.float32)

    def tell(key, state, candidates, fitness):
        return Told(candidates, fitness), {"noise_scale": jnp.float32(0)}

    return Strategy(
        init=lambda vector: Told(candidates, jnp.zeros(len(candidates))),
        ask=lambda key, state: (state, candidates),
        tell=tell,
        solution=lambda state: state.candidates[0],
        population_size=len(candidates),
    )


class Chosen(NamedTuple):
    """A distribution of one possible action, and another that is drawn."""

    action: jax.Array

    def mode(self):
        return self.action

    def sample(self, key):
        return self.action + 1


CONSTANT = Network(init=lambda key, x: {"a": jnp.ones(1)}, apply=lambda p, x: Chosen(p["a"]))


def searching(candidates, environment=None, *, is_stochastic=False, **options):
    environment = countdown() if environment is None else environment
    policy = vector_policy(
        CONSTANT, environment.observation_space, is_stochastic=is_stochastic, scale=2.0
    )
    return population(environment, listener(candidates), policy, **{"total_steps": 40} | options)


def test_an_iteration_tells_the_mean_return_and_counts_the_steps():
    algorithm = searching([[2.0], [5.0]], episodes_per_candidate=3)
    state = algorithm.init(jax.random.key(0))
    state, metrics = algorithm.step(jax.random.key(1), state)
    state, metrics = algorithm.step(jax.random.key(2), state)
    assert int(metrics["steps"]) == int(state.steps) == 2 * 3 * (2 + 5)
    assert int(metrics["episodes"]) == 6
    np.testing.assert_allclose(metrics["episode_length"], 3.5)
    fitness = np.asarray(state.search.fitness)
    assert (np.floor(fitness) == [3.0, 15.0]).all()
    np.testing.assert_allclose(metrics["episode_return"], fitness.mean(), rtol=1e-6)
    np.testing.assert_allclose(metrics["best_return"], fitness[1], rtol=1e-6)


@pytest.mark.parametrize("num_episodes", [1, 40])
def test_a_candidate_whose_episode_is_cut_has_failed(num_episodes):
    """Two steps end in time, five do not; their steps count, their part of a return does not."""
    algorithm = searching(
        [[2.0], [5.0]],
        countdown(max_episode_steps=4),
        episodes_per_candidate=num_episodes,
    )
    state = algorithm.init(jax.random.key(0))
    state, metrics = algorithm.step(jax.random.key(1), state)
    fitness = np.asarray(state.search.fitness)
    assert np.isfinite(fitness[0])
    assert np.isnan(fitness[1])
    assert int(metrics["steps"]) == num_episodes * (2 + 4)
    assert int(metrics["episodes"]) == num_episodes
    np.testing.assert_allclose(metrics["episode_length"], 2.0)
    np.testing.assert_allclose(metrics["episode_return"], fitness[0], rtol=1e-6)
    np.testing.assert_allclose(metrics["best_return"], fitness[0], rtol=1e-6)


def test_the_budget_and_its_bound():
    algorithm = searching([[2.0], [3.0]], total_steps=13)
    assert algorithm.steps_per_iteration is None
    assert algorithm.max_iterations == 7
    metrics = train(jax.random.key(0), algorithm).metrics
    np.testing.assert_array_equal(metrics["steps"], [5, 10, 15, -1, -1, -1, -1])


def test_the_recommended_policy_takes_the_mode():
    for is_stochastic in (False, True):
        algorithm = searching([[3.0]], is_stochastic=is_stochastic)
        state = algorithm.init(jax.random.key(0))
        policy = algorithm.policy(state)
        lengths = evaluate(jax.random.key(1), countdown(), policy, num_episodes=2).lengths
        np.testing.assert_array_equal(lengths, [3, 3])
        _, metrics = algorithm.step(jax.random.key(1), state)
        assert metrics["episode_length"] == 3 + is_stochastic


def test_normalisation_follows_the_iteration_and_reaches_the_policy():
    """A network that acts by what it sees: time 0 is -1 deviation of the times 0, 1, 2."""
    network = Network(
        init=lambda key, x: {"a": jnp.ones(1)}, apply=lambda p, x: Chosen(3.0 - p["a"] * x)
    )
    environment = countdown()
    policy = vector_policy(network, environment.observation_space)
    algorithm = population(
        environment, listener([[0.0]]), policy, total_steps=9, normalize_observations=True
    )
    state = algorithm.init(jax.random.key(0))
    assert state.statistics.count == 0
    state, _ = algorithm.step(jax.random.key(1), state)
    assert state.statistics.count == 3
    np.testing.assert_allclose(state.statistics.mean, [1.0], rtol=1e-6)
    np.testing.assert_allclose(state.statistics.variance, [2 / 3], rtol=1e-5)
    state = state._replace(search=state.search._replace(candidates=jnp.array([[1.0]])))
    _, action = algorithm.policy(state).act(jax.random.key(0), (), jnp.zeros(1))
    np.testing.assert_allclose(action, [3.0 + np.sqrt(1.5)], rtol=1e-5)


def test_vectors_are_the_parameters():
    network = policy_network(Box(-1.0, 1.0, (3,)), Discrete(2), hidden_sizes=(5,))
    policy = vector_policy(network, Box(-1.0, 1.0, (3,)), scale=2.0)
    vector = policy.init(jax.random.key(0))
    assert vector.shape == (3 * 5 + 5 + 5 * 2 + 2,)
    params = network.init(jax.random.key(0), jnp.zeros(3))
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, 2 * y, rtol=1e-6), policy.unravel(vector), params
    )


def test_at_least_one_episode_is_played():
    with pytest.raises(ValueError, match="episodes_per_candidate=0 must be at least 1"):
        searching([[2.0]], episodes_per_candidate=0)


def test_no_time_limit_asks_for_one():
    with pytest.raises(ValueError, match=r"countdown has no time limit.*time_limit\(env"):
        searching([[2.0]], countdown(max_episode_steps=None))

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.learning.normalization import (
    normalize_observations,
    normalize_replayed_observations,
    normalize_rewards,
)
from jaxrl.types import (
    Agent,
    Box,
    Discrete,
    Policy,
    ReplayAgent,
    Replayed,
    Rollout,
    Transition,
)


def seeing_agent():
    """Acts with what it sees, and keeps what it last learnt from."""

    def policy(state):
        return Policy(lambda key: (), lambda key, carry, observation: (carry, observation))

    return Agent(
        init=lambda key: {},
        start=lambda key: (),
        act=lambda key, state, carry, observation: (carry, observation, ()),
        update=lambda key, state, batch: ({"seen": batch.transitions}, {}),
        policy=policy,
    )


def rollout(observation, reward=None, ended=None):
    observation = jnp.asarray(observation, jnp.float32)
    shape = observation.shape[:2]
    zeros = jnp.zeros(shape, bool)
    transitions = Transition(
        observation=observation,
        action=jnp.zeros(shape),
        reward=jnp.zeros(shape) if reward is None else jnp.asarray(reward, jnp.float32),
        terminated=zeros if ended is None else jnp.asarray(ended),
        truncated=zeros,
        next_observation=observation + 1,
        extras=(),
    )
    return Rollout(transitions=transitions, carry=())


KEY = jax.random.key(0)


class TestObservations:
    def test_learner_sees_what_the_actor_saw(self):
        agent = normalize_observations(seeing_agent(), Box(-1.0, 1.0, (2,)))
        state = agent.init(KEY)
        for seed in range(3):
            batch = rollout(5 + 3 * jax.random.normal(jax.random.key(seed), (4, 3, 2)))
            act = jax.vmap(jax.vmap(lambda x: agent.act(KEY, state, (), x)[1]))  # noqa: B023
            acted = act(batch.transitions.observation)
            state, _ = agent.update(KEY, state, batch)
            np.testing.assert_allclose(state.agent["seen"].observation, acted, rtol=1e-6)

    def test_statistics_are_those_of_all_observations(self):
        agent = normalize_observations(seeing_agent(), Box(-1.0, 1.0, (2,)))
        state = agent.init(KEY)
        batches = [rollout(5 + 3 * jax.random.normal(jax.random.key(s), (4, 3, 2))) for s in (1, 2)]
        for batch in batches:
            state, _ = agent.update(KEY, state, batch)
        everything = np.concatenate([b.transitions.observation.reshape(-1, 2) for b in batches])
        _, action = agent.policy(state).act(KEY, (), jnp.array([6.0, -100.0]))
        expected = (6.0 - everything[:, 0].mean()) / everything[:, 0].std()
        np.testing.assert_allclose(action, [expected, -10.0], rtol=1e-4)
        _, acted, _ = agent.act(KEY, state, (), jnp.array([6.0, -100.0]))
        np.testing.assert_array_equal(acted, action)

    def test_successors_are_scaled_with_the_same_statistics(self):
        agent = normalize_observations(seeing_agent(), Box(-1.0, 1.0, (1,)))
        state, _ = agent.update(KEY, agent.init(KEY), rollout([[[0.0]], [[4.0]]]))
        state, _ = agent.update(KEY, state, rollout([[[2.0]], [[4.0]]]))
        seen = state.agent["seen"]
        np.testing.assert_allclose(seen.observation.ravel(), [0.0, 1.0], atol=1e-6)
        np.testing.assert_allclose(seen.next_observation.ravel(), [0.5, 1.5], atol=1e-6)

    def test_categories_are_refused(self):
        with pytest.raises(ValueError, match="needs Box observations"):
            normalize_observations(seeing_agent(), Discrete(3))


class TestReplayedObservations:
    """Observations 0 and 4, mean 2 and deviation 2, whose successors are 1 and 5."""

    def observed(self):
        agent = ReplayAgent(
            init=lambda key: {},
            start=lambda key: (),
            act=lambda key, state, carry, observation: (carry, observation),
            observe=lambda key, state, transitions: {"observed": transitions},
            update=lambda key, state, batch: ({"replayed": batch}, batch.reward, {}),
            policy=seeing_agent().policy,
        )
        agent = normalize_replayed_observations(agent, Box(-1.0, 1.0, (1,)))
        steps = rollout([[[0.0]], [[4.0]]]).transitions
        return agent, agent.observe(KEY, agent.init(KEY), steps)

    def test_statistics_are_those_of_what_actions_were_chosen_from(self):
        _, state = self.observed()
        np.testing.assert_allclose(state.statistics.mean, [2.0], rtol=1e-6)
        np.testing.assert_allclose(state.statistics.variance, [4.0], rtol=1e-6)
        assert state.statistics.count == 2
        seen = state.agent["observed"]
        np.testing.assert_allclose(seen.observation.ravel(), [-1.0, 1.0], rtol=1e-6)
        np.testing.assert_allclose(seen.next_observation.ravel(), [-0.5, 1.5], rtol=1e-6)

    def test_what_is_replayed_and_its_successor_are_seen_alike(self):
        agent, state = self.observed()
        batch = Replayed(
            observation=jnp.array([[6.0]]),
            action=jnp.zeros(1),
            reward=jnp.ones(1),
            discount=jnp.ones(1),
            next_observation=jnp.array([[8.0]]),
            weight=jnp.ones(1),
            index=jnp.zeros(1, jnp.int32),
        )
        after, _, _ = agent.update(KEY, state, batch)
        np.testing.assert_allclose(after.agent["replayed"].observation, [[2.0]], rtol=1e-6)
        np.testing.assert_allclose(after.agent["replayed"].next_observation, [[3.0]], rtol=1e-6)
        assert after.statistics.count == 2
        for act in (agent.act, lambda key, state, *rest: agent.policy(state).act(key, *rest)):
            np.testing.assert_allclose(act(KEY, state, (), jnp.array([4.0]))[1], [1.0], rtol=1e-6)


class TestRewards:
    def test_by_hand(self):
        """One environment, discount 0.5; the episode ends at the second step."""
        agent = normalize_rewards(seeing_agent(), num_envs=1, discount=0.5)
        state = agent.init(KEY)
        nothing = jnp.zeros((3, 1, 1))
        first = rollout(nothing, reward=[[2.0], [4.0], [8.0]], ended=[[False], [True], [False]])
        state, _ = agent.update(KEY, state, first)
        # Before any statistics the scale is 1.
        np.testing.assert_allclose(state.agent["seen"].reward.ravel(), [2, 4, 8], rtol=1e-6)
        returns = [2.0, 4 + 0.5 * 2, 8.0]
        np.testing.assert_allclose(state.statistics.variance, np.var(returns), rtol=1e-6)
        np.testing.assert_allclose(state.discounted_return, [8.0])
        second = rollout(nothing[:1], reward=[[1.0]])
        state, _ = agent.update(KEY, state, second)
        expected = 1 / np.std(returns)
        np.testing.assert_allclose(state.agent["seen"].reward, [[expected]], rtol=1e-5)
        # The episode goes on over the end of the rollout.
        np.testing.assert_allclose(state.discounted_return, [1 + 0.5 * 8])

    def test_scaled_rewards_are_clipped(self):
        agent = normalize_rewards(seeing_agent(), num_envs=1, discount=0.0, clip=3.0)
        state, _ = agent.update(KEY, agent.init(KEY), rollout([[[0.0]]], reward=[[-50.0]]))
        np.testing.assert_array_equal(state.agent["seen"].reward, [[-3.0]])


SPOILT = [jnp.nan, jnp.inf, -jnp.inf, 1e20, 1e30]


@pytest.mark.parametrize("worst", SPOILT)
def test_one_observation_does_not_spoil_the_normaliser(worst):
    agent = normalize_observations(seeing_agent(), Box(-1.0, 1.0, (2,)))
    batch = rollout([[[1.0, worst]], [[3.0, 4.0]], [[worst, 8.0]]])
    state, metrics = agent.update(KEY, agent.init(KEY), batch)
    assert metrics["observations_left_out"] == 2
    np.testing.assert_array_equal(state.statistics.count, [2, 2])
    np.testing.assert_allclose(state.statistics.mean, [2.0, 6.0])
    np.testing.assert_allclose(state.statistics.variance, [1.0, 4.0])
    for seen in (state.agent["seen"].observation, agent.act(KEY, state, (), jnp.full(2, worst))[1]):
        assert np.isfinite(seen).all()
        assert np.abs(seen).max() <= 10


@pytest.mark.parametrize("worst", SPOILT)
def test_one_reward_does_not_spoil_the_scale(worst):
    """Nor what comes after it in its episode."""
    agent = normalize_rewards(seeing_agent(), num_envs=1, discount=0.5)
    rewards = [[2.0], [worst], [4.0]]
    state, metrics = agent.update(
        KEY, agent.init(KEY), rollout(jnp.zeros((3, 1, 1)), reward=rewards)
    )
    assert metrics["rewards_left_out"] == 1
    returns = [2.0, 1.0, 4.5]
    np.testing.assert_allclose(state.statistics.variance, np.var(returns), rtol=1e-6)
    np.testing.assert_allclose(state.discounted_return, [4.5])
    clipped = {jnp.nan: 0.0, -jnp.inf: -10.0}.get(worst, 10.0)
    np.testing.assert_allclose(state.agent["seen"].reward.ravel(), [2.0, clipped, 4.0])

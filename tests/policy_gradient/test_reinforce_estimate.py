"""The REINFORCE estimate: by hand, and its exact expectation in a small tabular problem."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl import ReinforceConfig
from jaxrl.distributions import Categorical
from jaxrl.policy_gradient._actor import ActorCarry, PolicyExtras, make_actor
from jaxrl.policy_gradient.reinforce import (
    score_and_entropy_loss,
    value_regression_loss,
    weigh_episodes,
)
from jaxrl.types import Discrete, Episodes, Network, Transition

TWO = Discrete(2)


def whole_episodes(observations, actions, rewards, lengths, *, terminated=True):
    """Episodes from arrays [T, m] and lengths [m]."""
    observations, actions, rewards = map(jnp.asarray, (observations, actions, rewards))
    time = jnp.arange(actions.shape[0])[:, None]
    last = time == jnp.asarray(lengths) - 1
    return Episodes(
        transitions=Transition(
            observation=observations,
            action=actions.astype(jnp.int32),
            reward=rewards.astype(jnp.float32),
            terminated=last & jnp.asarray(terminated),
            truncated=last & ~jnp.asarray(terminated),
            next_observation=(),
            extras=PolicyExtras(log_probability=jnp.zeros(actions.shape)),
        ),
        mask=time < jnp.asarray(lengths),
        carry=ActorCarry(memory=(), noise=()),
    )


def estimate(params, episodes, actor, config):
    """The estimate of the gradient that the library makes."""
    batch = weigh_episodes(params, episodes, actor=actor, config=config)
    loss = jax.grad(score_and_entropy_loss, has_aux=True)
    gradient, _ = loss(params, batch, actor=actor, entropy_coefficient=config.entropy_coefficient)
    return jax.tree.map(jnp.negative, gradient)


def weights_and_estimate(params, episodes, apply, config):
    """What `weigh_episodes` makes of the episodes, and the estimate, in one program."""
    actor = actor_of(apply)

    @jax.jit
    def both(params, episodes):
        batch = weigh_episodes(params, episodes, actor=actor, config=config)
        return batch.experience, estimate(params, episodes, actor, config)

    return both(params, episodes)


def actor_of(apply):
    """An actor for parameters of the tests' own: `init` only has to have their shapes."""

    def init(key, observation):
        return {
            "theta": jnp.float32(0.5),
            "logits": jnp.zeros((2, 2)),
            "value": jnp.zeros(2),
        }

    return make_actor(TWO, TWO, ReinforceConfig(), network=Network(init=init, apply=apply))


def coin(params, observation):
    """Moves with probability theta, whatever it sees; the value is 0."""
    theta = params["theta"]
    logits = jnp.log(jnp.stack([1 - theta, theta]))
    return Categorical(logits=logits), 0.0 * observation


def table(params, observation):
    """Logits and a value for each of two states."""
    return Categorical(logits=params["logits"][observation]), params["value"][observation]


class TestByHand:
    """One parameter, theta = P(move) = 1/2: the score of moving is 2, that of resting -2."""

    GAMES = (
        ((1, 0, 1), (1, 0, 1)),
        ((1, 0, 0), (0, 0, 1)),
        ((0, 1, 0), (1, 0, 1)),
    )

    def play(self, *games, credit="reward_to_go", **settings):
        actions, rewards = np.transpose(games, (1, 2, 0))
        config = ReinforceConfig(
            credit=credit,
            num_episodes=len(games),
            **({"baseline": "none", "discount": 1.0} | settings),
        )
        episodes = whole_episodes(np.zeros_like(actions), actions, rewards, [3] * len(games))
        params = {"theta": jnp.float32(0.5)}
        experience, gradient = weights_and_estimate(params, episodes, coin, config)
        return experience, float(gradient["theta"])

    def test_first_game(self):
        experience, gradient = self.play(self.GAMES[0])
        np.testing.assert_array_equal(experience.target[:, 0], [2, 1, 1])
        assert gradient == pytest.approx(2 * 2 - 2 * 1 + 2 * 1)

    def test_second_game(self):
        experience, gradient = self.play(self.GAMES[1])
        np.testing.assert_array_equal(experience.target[:, 0], [1, 1, 1])
        assert gradient == pytest.approx(-2)

    @pytest.mark.parametrize("credit", ["total", "reward_to_go"])
    def test_third_game(self, credit):
        """Steps two and three cancel, so both kinds of credit agree."""
        experience, gradient = self.play(self.GAMES[2], credit=credit)
        scores = np.array([-2, 2, -2])
        terms = scores * np.asarray(experience.advantage[:, 0])
        assert terms[1] + terms[2] == 0
        assert gradient == pytest.approx(-4)
        assert terms[0] == pytest.approx(-4)

    def test_all_games_are_averaged(self):
        _, gradient = self.play(*self.GAMES)
        assert gradient == pytest.approx((4 - 2 - 4) / 3)

    def test_leave_one_out_by_hand(self):
        """Rewards to go (2, 1, 1), (1, 1, 1), (2, 1, 1): only the first step has a spread."""
        experience, gradient = self.play(*self.GAMES, baseline="leave_one_out")
        np.testing.assert_allclose(experience.advantage[0], [0.5, -1, 0.5])
        np.testing.assert_allclose(experience.advantage[1:], 0)
        assert gradient == pytest.approx((2 * 0.5 - 2 * 1 - 2 * 0.5) / 3)

    def test_discounts_by_hand(self):
        experience, _ = self.play(self.GAMES[0], discount=0.5)
        np.testing.assert_array_equal(experience.target[:, 0], [1.25, 0.5, 1])
        experience, _ = self.play(self.GAMES[0], discount=0.5, discount_time=True)
        np.testing.assert_array_equal(experience.advantage[:, 0], [1.25, 0.25, 0.25])
        experience, _ = self.play(self.GAMES[0], discount=0.5, credit="total")
        np.testing.assert_array_equal(experience.advantage[:, 0], [1.25, 1.25, 1.25])

    def test_entropy_is_summed_over_time(self):
        """dH/dtheta = log((1 - theta) / theta) = log 3 at a quarter, at each of three steps."""
        episodes = whole_episodes(np.zeros((3, 1), int), [[1], [0], [1]], np.zeros((3, 1)), [3])
        config = ReinforceConfig(entropy_coefficient=0.5, baseline="none")
        params = {"theta": jnp.float32(0.25)}
        _, gradient = weights_and_estimate(params, episodes, coin, config)
        assert float(gradient["theta"]) == pytest.approx(3 * 0.5 * np.log(3), rel=1e-6)


# The tabular problem: outcomes of (state, action) are the next states 0 and 1, and the end.
START = np.array([0.6, 0.4])
OUTCOMES = np.array([[[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]], [[0.4, 0.6, 0.0], [0.2, 0.1, 0.7]]])
REWARDS = np.array([[1.0, -0.5], [2.0, 0.7]])
DISCOUNT = 0.8
PARAMS = {
    "logits": jnp.array([[0.3, -0.4], [-0.2, 0.9]]),
    "value": jnp.array([1.7, -0.6]),
}


def trajectories(horizon):
    """All of them, as (states, actions, probability of the world's part, terminated)."""
    found = []

    def extend(states, actions, probability):
        for action in (0, 1):
            taken = [*actions, action]
            if len(taken) == horizon:
                found.append((states, taken, probability, False))
                continue
            *onward, end = OUTCOMES[states[-1], action]
            if end > 0:
                found.append((states, taken, probability * end, True))
            for state, chance in enumerate(onward):
                extend([*states, state], taken, probability * chance)

    for state, chance in enumerate(START):
        extend([state], [], chance)
    return found


def padded(horizon):
    """Trajectories as arrays [N, T], with nonsense after their ends."""
    found = trajectories(horizon)
    lengths = np.array([len(actions) for _, actions, _, _ in found])
    observations = np.array([s + [1] * (horizon - len(s)) for s, _, _, _ in found])
    actions = np.array([a + [1] * (horizon - len(a)) for _, a, _, _ in found])
    rewards = np.where(np.arange(horizon) < lengths[:, None], REWARDS[observations, actions], 99.0)
    world = np.array([chance for _, _, chance, _ in found])
    terminated = np.array([end for _, _, _, end in found])
    return observations, actions, rewards, lengths, world, terminated


def log_policy(logits):
    return jax.nn.log_softmax(logits, axis=-1)


def trajectory_probabilities(logits, data):
    observations, actions, _, lengths, world, _ = data
    running = np.arange(actions.shape[1]) < lengths[:, None]
    return world * jnp.exp(jnp.sum(log_policy(logits)[observations, actions], 1, where=running))


def objective(logits, data):
    """The expected discounted return, by enumeration."""
    _, actions, rewards, lengths, _, _ = data
    time = np.arange(actions.shape[1])
    returns = np.sum(np.where(time < lengths[:, None], rewards * DISCOUNT**time, 0), 1)
    return jnp.sum(trajectory_probabilities(logits, data) * returns)


def terms_by_time(logits, horizon):
    """sum_s P_t(s) sum_a grad pi(a|s) Q_t(s, a) for each t, and P(running at t).

    The policy gradient theorem by dynamic programming: no trajectories, no score function.
    """
    policy = np.asarray(jnp.exp(log_policy(logits)), np.float64)
    quality = [REWARDS]
    for _ in range(horizon - 1):
        value = np.sum(policy * quality[0], 1)
        quality.insert(0, REWARDS + DISCOUNT * OUTCOMES[..., :2] @ value)
    visits = [START]
    for _ in range(horizon - 1):
        visits.append(np.einsum("s,sa,san->n", visits[-1], policy, OUTCOMES[..., :2]))

    def surrogate(logits, visit, quality):
        return jnp.sum(visit[:, None] * jnp.exp(log_policy(logits)) * quality)

    pairs = zip(visits, quality, strict=True)
    terms = [np.asarray(jax.grad(surrogate)(logits, *pair)) for pair in pairs]
    return np.array(terms), np.array([visit.sum() for visit in visits])


@functools.cache
def groups(horizon, num_episodes):
    """All tuples of trajectories with their probabilities, as `Episodes` with a leading axis."""
    data = padded(horizon)
    observations, actions, rewards, lengths, _, terminated = data
    members = np.array(list(itertools.product(range(len(lengths)), repeat=num_episodes)))
    single = np.asarray(trajectory_probabilities(PARAMS["logits"], data), np.float64)
    episodes = jax.jit(
        jax.vmap(lambda o, a, r, n, t: whole_episodes(o.T, a.T, r.T, n, terminated=t))
    )(*(x[members] for x in (observations, actions, rewards, lengths, terminated)))
    return episodes, single[members].prod(1), members


def all_estimates(episodes, config):
    actor = actor_of(table)
    return jax.jit(jax.vmap(lambda e: estimate(PARAMS, e, actor, config)))(episodes)


def expectation(config, horizon, num_episodes):
    episodes, probability, _ = groups(horizon, num_episodes)
    assert probability.sum() == pytest.approx(1, abs=1e-6)
    estimates = all_estimates(episodes, config)
    np.testing.assert_array_equal(estimates["value"], 0, "the baseline is a constant to the loss")
    return np.einsum("n,nsa->sa", probability, np.asarray(estimates["logits"], np.float64))


def config_of(credit, baseline, *, discount_time=False, normalize=False, num_episodes=2):
    return ReinforceConfig(
        credit=credit,
        baseline=baseline,
        discount=DISCOUNT,
        discount_time=discount_time,
        normalize_returns=normalize,
        num_episodes=num_episodes,
    )


CREDITS = [("total", False), ("reward_to_go", False), ("reward_to_go", True)]


class TestExpectation:
    """Summed over all that can happen, the estimate is the gradient."""

    def test_enumeration_and_dynamic_programming_agree(self):
        data = padded(3)
        assert len(data[0]) == 3 + 12 + 64
        assert trajectory_probabilities(PARAMS["logits"], data).sum() == pytest.approx(1)
        true = jax.grad(objective)(PARAMS["logits"], data)
        terms, _ = terms_by_time(PARAMS["logits"], 3)
        weights = DISCOUNT ** np.arange(3)
        np.testing.assert_allclose(np.einsum("t,tsa->sa", weights, terms), true, atol=1e-6)

    @pytest.mark.parametrize(
        ("baseline", "horizon", "num_episodes"),
        [
            ("none", 3, 2),
            pytest.param("value", 3, 2, marks=pytest.mark.full),
            pytest.param("batch_mean", 3, 2, marks=pytest.mark.full),
            ("batch_mean", 2, 3),
            pytest.param("leave_one_out", 3, 2, marks=pytest.mark.full),
            ("leave_one_out", 2, 3),
        ],
    )
    @pytest.mark.parametrize(("credit", "discount_time"), CREDITS)
    def test_expected_estimate(self, credit, discount_time, baseline, horizon, num_episodes):
        config = config_of(credit, baseline, discount_time=discount_time, num_episodes=num_episodes)
        found = expectation(config, horizon, num_episodes)
        terms, running = terms_by_time(PARAMS["logits"], horizon)
        # The gradient of the discounted objective weighs the terms so; practice does not.
        true_objective = credit == "total" or discount_time
        weights = DISCOUNT ** np.arange(horizon) if true_objective else np.ones(horizon)
        if baseline == "batch_mean":
            weights = weights * own_share(credit, running, num_episodes)
        elif true_objective:
            true = jax.grad(objective)(PARAMS["logits"], padded(horizon))
            np.testing.assert_allclose(found, true, atol=1e-5)
        expected = np.einsum("t,tsa->sa", weights, terms)
        assert np.abs(expected).max() > 0.05
        np.testing.assert_allclose(found, expected, atol=1e-5)

    @pytest.mark.parametrize("baseline", ["none", "value"])
    def test_one_episode(self, baseline):
        config = config_of("reward_to_go", baseline, discount_time=True, num_episodes=1)
        true = jax.grad(objective)(PARAMS["logits"], padded(3))
        np.testing.assert_allclose(expectation(config, 3, 1), true, atol=1e-5)


def own_share(credit, running, num_episodes):
    """What a baseline that includes the episode itself leaves of each time's term: 1 - E[1 / n].

    n counts the episode and those of the m - 1 others that run, each with probability `running`.
    """
    if credit == "total":
        return 1 - 1 / num_episodes
    others = num_episodes - 1
    return 1 - sum(
        math.comb(others, k) * running**k * (1 - running) ** (others - k) / (k + 1)
        for k in range(num_episodes)
    )


def by_loops(data, members, config):
    """The normalised estimate of one group, in plain Python."""
    observations, actions, rewards, lengths, _, _ = data
    policy = np.exp(np.asarray(log_policy(PARAMS["logits"]), np.float64))
    values = np.asarray(PARAMS["value"], np.float64)
    returns = {}
    for i, member in enumerate(members):
        for t in range(lengths[member]):
            first = 0 if config.credit == "total" else t
            rest = range(first, lengths[member])
            returns[i, t] = sum(DISCOUNT ** (k - first) * rewards[member, k] for k in rest)
    weights = {}
    for (i, t), own in returns.items():
        at = 0 if config.credit == "total" else t
        running = [j for j in range(len(members)) if (j, at) in returns]
        if config.baseline == "leave_one_out":
            running.remove(i)
        baseline = np.mean([returns[j, at] for j in running]) if running else 0.0
        if config.baseline in ("none", "value"):
            baseline = values[observations[members[i], t]] if config.baseline == "value" else 0.0
        weights[i, t] = own - baseline
    mean, deviation = np.mean(list(weights.values())), np.std(list(weights.values()))
    if deviation < 1e-9:
        return np.zeros((2, 2))
    weights = {key: (weight - mean) / deviation for key, weight in weights.items()}
    total = np.zeros((2, 2))
    for (i, t), weight in weights.items():
        state, action = observations[members[i], t], actions[members[i], t]
        factor = DISCOUNT**t if config.discount_time else 1.0
        total[state] += factor * weight * (np.eye(2)[action] - policy[state])
    return total / len(members)


@pytest.mark.parametrize("baseline", ["none", "batch_mean", "leave_one_out", "value"])
@pytest.mark.parametrize(("credit", "discount_time"), CREDITS)
def test_normalised_estimates_equal_plain_loops(credit, discount_time, baseline):
    """They are biased, so every single estimate is compared with its definition."""
    data = padded(2)
    episodes, _, members = groups(2, 2)
    config = config_of(credit, baseline, discount_time=discount_time, normalize=True)
    found = all_estimates(episodes, config)["logits"]
    expected = [by_loops(data, group, config) for group in members]
    np.testing.assert_allclose(found, expected, atol=2e-5)


class TestValueRegression:
    def test_mean_over_the_steps_that_are_the_episodes(self):
        """Two steps of one episode and one of the other; the fourth place is nobody's."""
        episodes = whole_episodes(
            [[0, 0], [1, 0]], [[0, 0], [0, 0]], [[1.0, 1.0], [2.0, 99.0]], [2, 1]
        )
        config = config_of("reward_to_go", "value")
        actor = actor_of(table)
        batch = weigh_episodes(PARAMS, episodes, actor=actor, config=config)
        targets = np.array([1 + DISCOUNT * 2, 2, 1])
        errors = np.array([1.7, -0.6, 1.7]) - targets
        loss_and_gradient = jax.jit(
            jax.value_and_grad(lambda params: value_regression_loss(params, batch, actor=actor))
        )
        loss, gradient = loss_and_gradient(PARAMS)
        assert float(loss) == pytest.approx(np.mean(errors**2) / 2, rel=1e-6)
        expected = [(errors[0] + errors[2]) / 3, errors[1] / 3]
        np.testing.assert_allclose(gradient["value"], expected, rtol=1e-5)
        np.testing.assert_array_equal(gradient["logits"], 0)


def test_a_time_limit_is_not_bootstrapped():
    """Terminated or cut off, the episode is worth what it gave."""
    config = config_of("reward_to_go", "value")

    def targets(terminated):
        episodes = whole_episodes(
            [[0], [1]], [[0], [1]], [[1.0], [2.0]], [2], terminated=terminated
        )
        return weights_and_estimate(PARAMS, episodes, table, config)[0].target

    cut, ended = targets(False), targets(True)
    np.testing.assert_allclose(cut[:, 0], [1 + DISCOUNT * 2, 2])
    np.testing.assert_array_equal(cut, ended)


@pytest.mark.parametrize("credit", ["total", "reward_to_go"])
@pytest.mark.parametrize("baseline", ["none", "batch_mean", "leave_one_out"])
def test_equal_returns_normalise_to_nothing(credit, baseline):
    """One reward at the end: all returns are equal, and no gradient is left; never NaN."""
    episodes = whole_episodes(
        np.zeros((2, 3), int), np.ones((2, 3)), [[0.0] * 3, [9.3] * 3], [2] * 3
    )
    config = ReinforceConfig(
        credit=credit, baseline=baseline, discount=1.0, normalize_returns=True, num_episodes=3
    )
    _, gradient = weights_and_estimate(PARAMS, episodes, table, config)
    np.testing.assert_array_equal(gradient["logits"], 0)


@pytest.mark.parametrize(
    ("credit", "baseline", "normalize"),
    [
        ("total", "none", False),
        ("total", "batch_mean", True),
        ("total", "leave_one_out", False),
        ("reward_to_go", "value", True),
    ],
)
def test_an_episode_that_was_cut_might_not_have_been_played(credit, baseline, normalize):
    config = config_of(credit, baseline, normalize=normalize)
    columns = ([[0, 1, 0], [1, 0, 1]], [[0, 1, 1], [1, 1, 0]], [[1.0, -2.0, 50.0], [2.0, 0.5, 9.0]])
    three = whole_episodes(*columns, [2, 1, 0])
    two = whole_episodes(*([row[:2] for row in column] for column in columns), [2, 1])
    estimates = [
        weights_and_estimate(PARAMS, episodes, table, config)[1] for episodes in (three, two)
    ]
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), *estimates)


def test_nothing_is_learnt_where_all_episodes_were_cut():
    config = config_of("reward_to_go", "value")
    episodes = whole_episodes([[0], [1]], [[0], [1]], [[1.0], [2.0]], [0])
    batch = weigh_episodes(PARAMS, episodes, actor=actor_of(table), config=config)
    gradient = jax.grad(lambda params: value_regression_loss(params, batch, actor=actor_of(table)))
    for change in (estimate(PARAMS, episodes, actor_of(table), config), gradient(PARAMS)):
        jax.tree.map(lambda x: np.testing.assert_array_equal(x, 0.0), change)

"""Portfolio choice: accounts, drift, rewards, what is seen, and what is refused."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import make_env, parameters_of
from jaxrl.environments.finance import differential_sharpe, portfolio

SIMULATORS = ["walks", "regimes", "jumps"]


def play(environment, actions, seed=0):
    """States and time steps of one episode, the first state before the first action."""

    def run(key, actions):
        key_reset, key_steps = jax.random.split(key)
        first, seen = environment.reset(key_reset)

        def step(state, inputs):
            state, time_step = environment.step(*inputs[:1], state, inputs[1])
            return state, (state, time_step)

        keys = jax.random.split(key_steps, len(actions))
        return first, seen, jax.lax.scan(step, first, (keys, actions))[1]

    first, seen, (states, steps) = jax.jit(run)(jax.random.key(seed), jnp.asarray(actions))
    return first, seen, states, steps


@pytest.mark.parametrize(
    ("simulator", "action"), [("walks", "weights"), ("regimes", "softmax"), ("jumps", "weights")]
)
def test_accounts_in_shares_and_dollars(simulator, action):
    costs = {"buying_cost": 0.01, "selling_cost": 0.004}
    environment = portfolio(
        simulator=simulator, action=action, num_periods=30, periods_per_year=12.0, **costs
    )
    rng = np.random.default_rng(1)
    actions = rng.uniform(0, 1, (30, 4)) if action == "weights" else rng.normal(0, 2, (30, 4))
    _, _, states, steps = play(environment, actions.astype(np.float32))
    deviation = environment_deviation(environment, simulator)
    log_returns = np.asarray(states.history, float)[:, -1] * deviation

    cash, shares, prices = 1.0, np.zeros(3), np.ones(3)
    for time in range(30):
        before = cash + shares @ prices
        wanted = np.asarray(steps.info["weights"][time], float)
        assert wanted.sum() == pytest.approx(1, abs=1e-6)
        kept = before * (1 - float(steps.info["cost"][time]))
        change = kept * wanted[1:] - shares * prices
        bought, sold = np.maximum(change, 0).sum(), np.maximum(-change, 0).sum()
        paid = bought / (1 - 0.01) * 0.01 + sold * 0.004
        cash = cash - bought / (1 - 0.01) + sold * (1 - 0.004)
        shares = shares + change / prices
        # What the trade leaves in cash is the weight of cash, and nothing was lost but the costs.
        assert cash == pytest.approx(kept * wanted[0], abs=1e-5)
        assert cash + shares @ prices + paid == pytest.approx(before, abs=1e-5)
        turnover = (bought + sold) / before
        assert float(steps.info["turnover"][time]) == pytest.approx(turnover, abs=1e-5)
        cash, prices = cash * np.exp(0.02 / 12), prices * np.exp(log_returns[time])
        after = cash + shares @ prices
        assert float(states.wealth[time]) == pytest.approx(after, rel=1e-5)
        held = np.concatenate([[cash], shares * prices]) / after
        np.testing.assert_allclose(states.weights[time], held, atol=1e-5)
        assert float(steps.reward[time]) == pytest.approx(np.log(after / before), abs=1e-5)
    assert paid > 1e-4
    assert list(steps.terminated) == [False] * 29 + [True]
    assert not steps.truncated.any()


def environment_deviation(environment, simulator):
    """The typical deviations, from what parameters say."""
    volatility = np.array([0.2, 0.3, 0.4])
    if simulator == "regimes":
        variance = volatility**2 * (0.75 * 0.8**2 + 0.25 * 1.7**2)
    elif simulator == "jumps":
        variance = volatility**2 + 2.0 * (0.03**2 + 0.05**2)
    else:
        variance = volatility**2
    assert environment.name == "finance/portfolio"
    return np.sqrt(variance / 12)


def test_what_is_seen():
    environment = portfolio(num_periods=4, window=2)
    _, first, states, steps = play(environment, np.zeros((4, 4), np.float32))
    assert environment.observation_space.shape == (2 * 3 + 4 + 1,)
    np.testing.assert_array_equal(first, [0] * 6 + [1, 0, 0, 0, 1])
    last = steps.observation[2]
    np.testing.assert_array_equal(last[:6].reshape(2, 3)[-1], states.history[2, -1])
    np.testing.assert_array_equal(last[:3], steps.observation[1][3:6])
    np.testing.assert_array_equal(last[6:10], states.weights[2])
    assert float(last[10]) == 0.25


def test_weights_that_actions_ask_for():
    environment = portfolio(num_periods=3, action="weights", window=0)
    actions = np.array([[0, 0, 0, 0], [0.2, 0.2, 0, 0.4], [-1, 0, 1, 0]], np.float32)
    steps = play(environment, actions)[3]
    expected = [[1, 0, 0, 0], [0.25, 0.25, 0, 0.5], [0, 0, 1, 0]]
    np.testing.assert_allclose(steps.info["weights"], expected, atol=1e-7)
    logits = play(portfolio(num_periods=1), np.log([[1, 2, 3, 4]]).astype(np.float32))[3]
    np.testing.assert_allclose(logits.info["weights"], [[0.1, 0.2, 0.3, 0.4]], atol=1e-6)


def test_mean_variance_reward():
    actions = np.zeros((5, 4), np.float32)
    environment = portfolio(reward="mean_variance", risk_aversion=4.0, num_periods=5)
    steps = play(environment, actions)[3]
    change = np.asarray(steps.info["return"])
    assert np.abs(change).max() > 0.002
    np.testing.assert_allclose(steps.reward, change - 2 * change**2, atol=1e-7)


def test_differential_sharpe_is_the_derivative_of_the_moving_ratio():
    # By hand: A = .1, B = .05, e = .3: dA = .2, dB = .04, D = (.05 .2 - .1 .04 / 2) / .04^1.5.
    reward, moments = differential_sharpe(
        jnp.float32(0.3), jnp.array([0.1, 0.05]), adaptation=0.1, least_variance=0.0
    )
    assert float(reward) == pytest.approx(0.008 / 0.008, rel=1e-5)
    np.testing.assert_allclose(moments, [0.12, 0.054], rtol=1e-6)

    def ratio(share):
        mean, square = 0.1 + share * 0.2, 0.05 + share * 0.04
        return mean / np.sqrt(square - mean**2)

    assert (ratio(1e-6) - ratio(-1e-6)) / 2e-6 == pytest.approx(1.0, rel=1e-6)


def test_differential_sharpe_reward():
    environment = portfolio(reward="differential_sharpe", adaptation=0.1, num_periods=6)
    steps = play(environment, np.zeros((6, 4), np.float32))[3]
    variance = np.mean(np.array([0.2, 0.3, 0.4]) ** 2) / 52
    mean, square = 0.0, variance
    for time in range(6):
        excess = float(steps.info["return"][time]) - np.expm1(0.02 / 52)
        change = excess - mean, excess**2 - square
        spread = max(square - mean**2, variance / 100)
        expected = (square * change[0] - mean * change[1] / 2) / spread**1.5
        assert float(steps.reward[time]) == pytest.approx(expected, rel=1e-3, abs=1e-5)
        mean, square = mean + 0.1 * change[0], square + 0.1 * change[1]
    # Without risk there is no division by 0.
    riskless = np.tile(np.array([5, -5, -5, -5], np.float32), (60, 1))
    calm = portfolio(reward="differential_sharpe", adaptation=0.5, num_periods=60)
    assert np.isfinite(play(calm, riskless)[3].reward).all()


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_types_and_spaces(simulator):
    environment = make_env("finance/portfolio", simulator=simulator, num_periods=7)
    state, seen = jax.eval_shape(environment.reset, jax.random.key(0))
    action = jax.ShapeDtypeStruct((4,), jnp.float32)
    after, step = jax.eval_shape(environment.step, jax.random.key(0), state, action)
    for before, later in ((state, after), (seen, step.observation)):
        assert jax.tree.structure(before) == jax.tree.structure(later)
        for one, two in zip(jax.tree.leaves(before), jax.tree.leaves(later), strict=True):
            assert (one.shape, one.dtype) == (two.shape, two.dtype)
            assert not one.weak_type
    assert environment.max_episode_steps == 7


def test_no_returns_are_seen_where_the_window_is_empty():
    environment = portfolio(window=0, num_periods=3)
    state, seen = environment.reset(jax.random.key(0))
    np.testing.assert_array_equal(seen, [1, 0, 0, 0, 1])
    # Population searches take no arrays without a number.
    assert all(leaf.size for leaf in jax.tree.leaves(state))


def test_parameters_in_one_program():
    traces = []

    def growth(cost, drift, volatility, correlation):
        traces.append(cost)
        environment = portfolio(
            buying_cost=cost,
            selling_cost=cost,
            drift=drift,
            volatility=volatility,
            correlation=correlation,
            num_periods=10,
        )
        _, _, _, steps = play(environment, jnp.tile(jnp.arange(4.0), (10, 1)))
        return steps.reward.sum()

    costs = jnp.array([0.0, 0.01, 0.0])
    drifts = jnp.array([[0.05, 0.1, 0.1], [0.05, 0.1, 0.1], [0.5, 0.5, 0.5]])
    others = (jnp.full((3, 3), 0.2), jnp.full(3, 0.4))
    together = jax.jit(jax.vmap(growth))(costs, drifts, *others)
    assert len(traces) == 1
    alone = growth(0.01, (0.05, 0.1, 0.1), (0.2, 0.2, 0.2), 0.4)
    assert float(together[1]) == pytest.approx(float(alone), abs=1e-5)
    assert together[1] < together[0] < together[2]


@pytest.mark.parametrize("simulator", ["regimes", "jumps"])
def test_traced_parameters_of_other_simulators(simulator):
    name = {"regimes": "transition", "jumps": "jump_intensity"}[simulator]
    values = {
        "regimes": jnp.array([[0.98, 0.02, 0.06, 0.94], [0.5, 0.5, 0.5, 0.5]]),
        "jumps": jnp.array([2.0, 40.0]),
    }[simulator]

    def growth(value):
        environment = portfolio(simulator=simulator, num_periods=8, **{name: value})
        return play(environment, jnp.zeros((8, 4)))[3].reward.sum()

    together = np.asarray(jax.jit(jax.vmap(growth))(values))
    assert together[0] == pytest.approx(float(growth(np.asarray(values[0]).tolist())), abs=1e-5)
    assert together[0] != together[1]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"drift": (0.1, 0.2)}, "volatility has 3 values, but drift has 2: give one for each"),
        ({"drift": [[0.1, 0.2, 0.3]]}, "drift has shape (1, 3), expected (3,)"),
        ({"drift": ()}, "drift has no values: give one for each asset"),
        ({"drift": (0.1, np.nan, 0.2)}, "drift=(0.1, nan, 0.2) must be finite"),
        ({"volatility": (0.1, 0.0, 0.2)}, "volatility=(0.1, 0.0, 0.2) must be positive"),
        ({"volatility": "much"}, "volatility='much' is neither a number nor an array"),
        ({"correlation": 1.0}, "correlation=1.0 must be a correlation"),
        ({"correlation": -0.5}, "one number above -0.5 and below 1"),
        ({"correlation": np.ones((2, 2))}, "correlation has 2 values, but drift has 3"),
        ({"correlation": [[1, 0.5, 0], [0, 1, 0], [0, 0, 1]]}, "must be a correlation: symm"),
        ({"buying_cost": 1.0}, "buying_cost=1.0 must be a share of the money"),
        ({"selling_cost": -0.1}, "selling_cost=-0.1 must be a share"),
        ({"periods_per_year": 0.0}, "periods_per_year=0.0 must be a finite number above 0"),
        ({"riskless_rate": np.inf}, "riskless_rate=inf must be finite"),
        ({"num_periods": 0}, "num_periods=0 must be a whole number, at least 1"),
        ({"window": -1}, "window=-1 must be a whole number, at least 0"),
        ({"reward": "sharpe"}, "reward='sharpe' must be one of 'log_growth', 'mean_variance'"),
        ({"action": "tanh"}, "action='tanh' must be one of 'softmax', 'weights'"),
        ({"simulator": "heston"}, "simulator='heston' must be one of 'walks', 'regimes', 'jumps'"),
        ({"jump_intensity": 3.0}, "jump_intensity=3.0 does nothing here: it needs simulator='ju"),
        ({"transition": (0.5,) * 4}, "transition=(0.5, 0.5, 0.5, 0.5) does nothing here"),
        ({"risk_aversion": 3.0}, "risk_aversion=3.0 does nothing here: it needs reward='mean"),
        ({"adaptation": 0.1}, "adaptation=0.1 does nothing here"),
        ({"span": "test"}, "span=test does nothing here: it needs prices"),
        ({"simulator": "jumps", "jump_intensity": 500.0}, "at most 4 jumps in a period"),
        ({"simulator": "jumps", "jump_deviation": -1.0}, "jump_deviation=-1.0 must be at least 0"),
        ({"simulator": "regimes", "transition": (0.5,) * 3}, "transition has 3 probabilities"),
        ({"simulator": "regimes", "transition": (0.5, 0.6, 0, 1)}, "whose rows sum to 1"),
        ({"simulator": "regimes", "regime_volatility": (1.0,)}, "regime_volatility has shape (1,)"),
        ({"prices": np.ones((200, 2)), "drift": 0.1}, "drift=0.1 does nothing here: it needs sim"),
        ({"prices": np.ones((200, 2)), "largest_gap": 9.0}, "it needs prices from a file"),
        ({"dirft": 0.1}, "finance/portfolio has no parameter 'dirft'; did you mean drift?"),
        ({"riskless_rate": "low"}, "riskless_rate='low' is not a number"),
    ],
)
def test_impossible_parameters(parameters, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        make_env("finance/portfolio", **parameters)
    assert "\n" not in str(caught.value)


def test_unknown_names_of_the_suite():
    with pytest.raises(ValueError, match="did you mean finance/portfolio"):
        make_env("finance/portfollio")


def test_parameters_that_can_be_typed():
    parameters = parameters_of("finance/portfolio")
    assert parameters["buying_cost"].kind is float
    assert parameters["prices"].kind is str
    assert parameters["num_periods"].kind is int


def test_weights_that_are_no_numbers_are_not_taken_for_cash():
    environment = portfolio(action="weights", window=0)
    state, _ = environment.reset(jax.random.key(0))
    for action, weights in ((jnp.nan, [jnp.nan] * 4), (0.0, [1.0, 0.0, 0.0, 0.0])):
        _, time_step = environment.step(jax.random.key(1), state, jnp.full(4, action))
        np.testing.assert_array_equal(time_step.info["weights"], weights)


@pytest.mark.parametrize("intensity", ["often", (1.0, 2.0)])
def test_a_jump_intensity_is_one_number(intensity):
    with pytest.raises(ValueError, match=r"^jump_intensity"):
        portfolio(simulator="jumps", jump_intensity=intensity)

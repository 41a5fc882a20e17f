"""Market making: the books, the reward, the parameters, and both forms of action."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.environments import finance
from jaxrl.environments.finance import _market

NUM_ENVS = 64
# The most that a test of few steps needs.
SHORT = {"num_steps": 40, "inventory_limit": 4}
PLAIN = {"risk_aversion": 0.0}


def play(environment, actions=None, num_envs=NUM_ENVS, seed=0):
    """Plays one episode in each environment, by random actions unless some are given.

    Returns the actions [B, T, ...] and the time steps [B, T].
    """

    def episode(key):
        key_reset, key_steps = jax.random.split(key)
        state, _ = environment.reset(key_reset)

        def step(state, keys):
            action = environment.action_space.sample(keys[0]) if actions is None else actions
            state, time_step = environment.step(keys[1], state, action)
            return state, (action, state, time_step)

        keys = jax.random.split(key_steps, (environment.max_episode_steps, 2))
        return jax.lax.scan(step, state, keys)[1]

    keys = jax.random.split(jax.random.key(seed), num_envs)
    found = jax.jit(jax.vmap(episode))(keys)
    return jax.tree.map(np.asarray, found)


def test_a_step_by_hand():
    # Orders without number fill both quotes in every step; the price only drifts.
    environment = finance.market_making(
        volatility=0.0, drift=10.0, arrival_rate=1e9, num_steps=4, horizon=2.0, inventory_limit=2,
        risk_aversion=0.0, running_penalty=0.2, terminal_penalty=0.3,
    )  # fmt: skip
    _, state, steps = play(environment, jnp.array([0.5, 0.7]), num_envs=1)
    np.testing.assert_allclose(steps.info["profit"][0], 1.2 * np.arange(1, 5), rtol=1e-5)
    np.testing.assert_allclose(state.book.cash[0], 1.2 * np.arange(1, 5), rtol=1e-4)
    np.testing.assert_array_equal(steps.info["inventory"][0], 0)
    np.testing.assert_allclose(steps.info["mid_price"][0], [105, 110, 115, 120], rtol=1e-6)
    np.testing.assert_allclose(steps.observation[0, :, 1], [0.75, 0.5, 0.25, 0.0])
    np.testing.assert_array_equal(steps.terminated[0], [False, False, False, True])
    assert not steps.truncated.any()


def test_a_step_with_inventory_by_hand():
    # Only bids are filled, up to the limit: 2 shares, each bought .5 below the mid price.
    environment = finance.market_making(
        volatility=0.0, drift=10.0, arrival_rate=1e5, depth_decay=20.0, num_steps=3, horizon=1.5,
        inventory_limit=2, risk_aversion=0.0, running_penalty=0.2, terminal_penalty=0.3,
        inventory_scale=4.0,
    )  # fmt: skip
    _, state, steps = play(environment, jnp.array([0.5, 5.0]), num_envs=1)
    np.testing.assert_array_equal(steps.info["inventory"][0], [1, 2, 2])
    np.testing.assert_allclose(steps.observation[0, :, 0], [0.25, 0.5, 0.5])
    # Gains: .5 and one share's 5, .5 and two shares', two shares'.
    np.testing.assert_allclose(steps.info["profit"][0], [5.5, 16.0, 26.0], rtol=1e-6)
    # Penalties: .2 q^2 .5 in each step, and .3 2^2 at the end.
    np.testing.assert_allclose(steps.reward[0], [5.4, 10.1, 10 - 0.4 - 1.2], rtol=1e-6)
    np.testing.assert_allclose(state.book.cash[0], [-99.5, -204.0, -204.0], rtol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"price_moves": "binomial", "fill_probability": "exponential", "actions": "skew-spread"},
        {"at_horizon": "liquidate", "liquidation_cost": 0.05, "terminal_penalty": 0.02},
        {"opponent": "random", "drift": 2.0},
    ],
    ids=["plain", "other forms", "liquidated", "opponent"],
)
def test_wealth_is_conserved(changes):
    environment = finance.market_making(**PLAIN, **changes)
    _, state, steps = play(environment)
    book = jax.tree.map(lambda x: x.astype(np.float64), state.book)
    wealth = book.cash + book.inventory * (100.0 + book.price_move)
    traded = 100.0 * np.cumsum(np.abs(np.diff(book.inventory, axis=1, prepend=0)), axis=1)
    assert traded[:, -1].min() > 1000
    assert (np.abs(wealth - book.profit) <= 1e-5 * np.maximum(traded, 100.0)).all()
    total = steps.reward.astype(np.float64).sum(axis=1)
    if changes.get("at_horizon") == "liquidate":
        assert (book.inventory[:, -1] == 0).all()
        assert (book.inventory[:, -2] != 0).any()
        np.testing.assert_allclose(total, book.profit[:, -1], rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(book.cash[:, -1], book.profit[:, -1], atol=1e-5 * traded.max())
    else:
        # With no penalty, rewards add up to the profit.
        np.testing.assert_allclose(total, book.profit[:, -1], rtol=1e-4, atol=1e-3)
        assert (book.inventory[:, -1] != 0).any()


def test_liquidation_costs_what_it_says():
    given = {"terminal_penalty": 0.3, **PLAIN, **SHORT}
    marked = play(finance.market_making(**given))
    sold = play(finance.market_making(**given, at_horizon="liquidate", liquidation_cost=0.5))
    held = marked[1].book.inventory[:, -1]
    difference = marked[2].reward.sum(axis=1) - sold[2].reward.sum(axis=1)
    np.testing.assert_allclose(difference, 0.5 * np.abs(held), atol=1e-4)
    paid = marked[1].book.profit[:, -1] - sold[1].book.profit[:, -1]
    np.testing.assert_allclose(paid, 0.5 * np.abs(held) + 0.3 * held**2, atol=1e-4)


def test_rewards_are_gains_less_penalties_and_risk():
    given = {
        "risk_aversion": 0.3, "running_penalty": 0.7, "terminal_penalty": 0.2, "drift": 4.0, **SHORT
    }  # fmt: skip
    actions, state, steps = play(finance.market_making(**given))
    held = state.book.inventory.astype(np.float64)
    before = np.concatenate([np.zeros((NUM_ENVS, 1)), held[:, :-1]], axis=1)
    gains = np.diff(state.book.profit, axis=1, prepend=0.0)
    length = 1.0 / 40
    risk = outcomes_variance(actions, before, drift=4.0 * length, noise=4.0 * length)
    expected = gains - 0.7 * length * held**2 - 0.15 * risk
    expected[:, -1] -= 0.2 * held[:, -1] ** 2
    np.testing.assert_allclose(steps.reward, expected, atol=2e-4)


def outcomes_variance(depths, held, *, drift, noise):
    """The variance of a step's gain by its four outcomes."""
    probability = np.minimum(140.0 / 40 * np.exp(-1.5 * depths.astype(np.float64)), 1.0)
    bid = probability[..., 0] * (held < 4)
    ask = probability[..., 1] * (held > -4)
    mean = square = 0.0
    for bought in (0, 1):
        for sold in (0, 1):
            weight = np.where(bought, bid, 1 - bid) * np.where(sold, ask, 1 - ask)
            after = held + bought - sold
            gain = bought * depths[..., 0] + sold * depths[..., 1] + after * drift
            mean = mean + weight * gain
            square = square + weight * (gain**2 + after**2 * noise)
    return square - mean**2


def test_of_constant_quotes_the_variances_add_up_to_that_of_the_profit():
    market = {"num_steps": 50, "inventory_limit": 60, "risk_aversion": 0.1}
    results = finance.quote_results(finance.symmetric_quotes(**market), **market)
    expected = results.profit - 0.05 * results.profit_deviation**2
    assert float(results.objective) == pytest.approx(float(expected), rel=1e-4)


def test_both_forms_of_action_are_the_same_quotes():
    depths = finance.market_making(**SHORT)
    skews = finance.market_making(**SHORT, actions="skew-spread")
    bid, ask = 0.4, 0.9
    _, _, one = play(depths, jnp.array([bid, ask]))
    _, _, other = play(skews, jnp.array([(ask - bid) / 2, bid + ask]))
    np.testing.assert_allclose(one.reward, other.reward, atol=1e-5)
    np.testing.assert_array_equal(one.info["inventory"], other.info["inventory"])
    # At the corners of its space, the second form quotes within the bounds too.
    market = _market.settled(_market.Market(actions="skew-spread"))
    for action in ([3.5, 10.0], [-3.5, -4.0], [3.5, -4.0]):
        found = np.asarray(_market.depths_of(market, jnp.array(action)))
        assert ((found >= -2.0) & (found <= 5.0)).all()


@pytest.mark.parametrize("actions", ["depths", "skew-spread"])
def test_actions_of_depths_mean_these_depths(actions):
    market = _market.settled(_market.Market(actions=actions))
    for depths in ([0.2, 1.3], [-2.0, 5.0], [-7.0, 9.0]):
        action = _market.action_of(market, jnp.array(depths))
        assert _market.quote_space(market).contains(action)
        found = _market.depths_of(market, action)
        np.testing.assert_allclose(found, np.clip(depths, -2.0, 5.0), atol=1e-6)


def test_the_limit_of_the_inventory_is_never_broken():
    limit = 2
    environment = finance.market_making(inventory_limit=limit)
    _, _, steps = play(environment)
    assert np.abs(steps.info["inventory"]).max() == limit
    flat = steps.observation.reshape(-1, 3)
    assert jax.vmap(environment.observation_space.contains)(flat).all()


@pytest.mark.parametrize("form", ["linear", "exponential"])
def test_fills_come_as_often_as_they_should(form):
    environment = finance.market_making(fill_probability=form, inventory_limit=200)
    _, _, steps = play(environment, jnp.array([0.3, 0.8]), num_envs=256)
    net = steps.info["inventory"][:, -1].mean() / 200
    orders = 0.7 * np.exp(-1.5 * np.array([0.3, 0.8]))
    bid, ask = orders if form == "linear" else 1 - np.exp(-orders)
    deviation = np.sqrt((bid * (1 - bid) + ask * (1 - ask)) / (200 * 256))
    assert net == pytest.approx(bid - ask, abs=4 * deviation)


@pytest.mark.parametrize("form", ["normal", "binomial"])
def test_the_mid_price_is_a_walk(form):
    environment = finance.market_making(price_moves=form, drift=3.0, volatility=1.5, horizon=2.0)
    _, _, steps = play(environment, jnp.array([1.0, 1.0]), num_envs=256)
    moves = np.diff(steps.info["mid_price"], axis=1, prepend=100.0)
    assert moves.mean() == pytest.approx(0.03, abs=4 * 0.15 / np.sqrt(moves.size))
    assert moves.std() == pytest.approx(0.15, rel=4 / np.sqrt(2 * moves.size))
    assert (len(np.unique(np.round(moves, 2))) == 2) == (form == "binomial")
    end = (steps.info["mid_price"][:, -1] - 100.0) / (1.5 * np.sqrt(2.0))
    np.testing.assert_allclose(steps.observation[:, -1, 2], end, atol=1e-4)


def test_parameters_are_one_program():
    def total(volatility, rate, decay, gamma):
        given = {
            "volatility": volatility, "arrival_rate": rate, "depth_decay": decay,
            "risk_aversion": gamma, **SHORT,
        }  # fmt: skip
        environment = finance.market_making(**given)
        policy = finance.quote_policy(finance.avellaneda_stoikov_quotes(**given), **given)
        key = jax.random.key(0)
        return jaxrl.evaluate(key, environment, policy, num_episodes=16).returns.mean()

    cases = np.array([[2.0, 140.0, 1.5, 0.1], [1.0, 100.0, 2.0, 0.0], [3.0, 70.0, 1.0, 0.5]])
    many = jax.jit(jax.vmap(total))(*cases.T.astype(np.float32))
    assert len(np.unique(many)) == 3
    alone = jax.jit(total)(*cases[1].astype(np.float32))
    assert float(many[1]) == pytest.approx(float(alone), rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"volatility": -1.0}, "volatility=-1.0 must be a finite number, at least 0"),
        ({"volatility": np.nan}, "volatility=nan must be a finite number, at"),
        ({"drift": np.inf}, "drift=inf must be a finite number"),
        ({"arrival_rate": 0.0}, "arrival_rate=0.0 must be a finite number above 0"),
        ({"depth_decay": -1.5}, "depth_decay=-1.5 must be"),
        ({"horizon": 0.0}, "horizon=0.0 must be"),
        ({"risk_aversion": -0.1}, "risk_aversion=-0.1 must be a finite number, at"),
        ({"running_penalty": -1.0}, "running_penalty=-1.0 must be a finite number, at"),
        ({"terminal_penalty": -1.0}, "terminal_penalty=-1.0 must be a finite number, at"),
        (
            {"initial_price": "high"},
            "initial_price='high' is no number: it must be a finite number above 0",
        ),
        ({"inventory_scale": np.ones(2)}, r"inventory_scale has shape \(2,\)"),
        ({"num_steps": 0}, "num_steps=0 must be a whole number, at least 1"),
        ({"inventory_limit": -3}, "inventory_limit=-3 must be a whole number, at least 1"),
        ({"min_depth": 2.0, "max_depth": 1.0}, "min_depth=2.0 must be less than max_depth=1.0"),
        ({"max_depth": np.inf}, "max_depth=inf must be a finite number"),
        ({"actions": "quotes"}, "actions='quotes' must be one of 'depths', 'skew-spread'"),
        ({"price_moves": "jumps"}, "price_moves='jumps' must be one of"),
        ({"fill_probability": "sure"}, "fill_probability='sure' must be one of"),
        ({"at_horizon": "hold"}, "at_horizon='hold' must be one of"),
        ({"liquidation_cost": 0.1}, "liquidation_cost=0.1 does nothing where at_horizon='mark'"),
        (
            {"at_horizon": "liquidate", "liquidation_cost": -1.0},
            "must be a finite number, at least",
        ),
        ({"opponent": "nature"}, "opponent='nature' must be one of"),
        ({"opponent": "policy"}, "belong together"),
        ({"opponent": "policy", "opponent_policy": 3}, "must be a jaxrl Policy, not int"),
        ({"drift_deviation": 1.0}, "drift_deviation does nothing where opponent='none'"),
        ({"opponent": "fixed", "decay_deviation": -0.1}, "decay_deviation=-0.1 must be"),
        ({"opponent": "random", "fixed_choice": (0, 0, 0)}, "fixed_choice does nothing"),
        ({"opponent": "fixed", "fixed_choice": (0, 0)}, "must be three numbers"),
        ({"opponent": "fixed", "fixed_choice": (0, 0, 2)}, "must be three numbers"),
        ({"opponent": "random", "rate_deviation": 1.5}, "rate_deviation=1.5 must be"),
    ],
)
def test_impossible_parameters_are_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        finance.market_making(**changes)


def test_a_number_of_steps_that_is_traced_is_refused():
    with pytest.raises(ValueError, match="num_steps changes the program and cannot be traced"):
        jax.jit(lambda n: _market.settled(_market.Market(num_steps=n)).step_length)(5)


def test_it_is_made_by_its_name():
    environment = jaxrl.make_env("finance/market-making", volatility=1, num_steps=7)
    assert environment.max_episode_steps == 7
    with pytest.raises(ValueError, match="no parameter 'volatilty'; did you mean volatility"):
        jaxrl.make_env("finance/market-making", volatilty=1.0)


@pytest.mark.parametrize("build", [finance.market_making, finance.market_making_adversary])
def test_defaults_are_those_of_the_market(build):
    defaults = _market.Market._field_defaults
    signature = jaxrl.environments.signature_parameters(build)
    shared = signature.keys() & defaults.keys()
    assert {name: signature[name].default for name in shared} == {
        name: defaults[name] for name in shared
    }
    if build is finance.market_making:
        assert signature.keys() == defaults.keys()


def test_made_and_solved_where_float64_is_the_default():
    market = {"num_steps": 2, "inventory_limit": 1}
    with jax.enable_x64(True):
        for environment in (
            finance.market_making(**market),
            finance.market_making(**market, opponent="random"),
            finance.market_making_adversary(**market),
        ):
            state, _ = environment.reset(jax.random.key(0))
            assert state.book.profit.dtype == jnp.float32
        quotes = finance.continuous_optimum_quotes(**market)
        assert finance.optimal_quotes(**market).dtype == quotes.dtype == jnp.float64
        exact = float(finance.quote_results(quotes, **market).objective)
    single = finance.quote_results(finance.continuous_optimum_quotes(**market), **market)
    assert float(single.objective) == pytest.approx(exact, rel=1e-5)

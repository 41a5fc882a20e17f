"""The liquidation task: accounts, dynamics, rewards, options, and what it refuses."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
import scipy.integrate

import jaxrl
from jaxrl.environments import parameters_of
from jaxrl.environments.finance import (
    AlmgrenChriss,
    Basket,
    almgren_chriss_policy,
    basket_holdings,
    liquidation,
    optimal_holdings,
    optimal_trades,
    shortfall_mean,
    shortfall_variance,
    twap_policy,
)

PAPER = AlmgrenChriss()
VALUE = 50e6
BASKET = Basket(
    shares=[1e6, 5e5],
    price=[50.0, 20.0],
    covariance=[[0.9, 0.3], [0.3, 0.4]],
    permanent_impact=[[2.5e-7, 1e-7], [3e-7, 2e-7]],
    temporary_impact=[[2.5e-6, 5e-7], [2e-7, 5e-6]],
    half_spread=[0.0625, 0.03],
    num_periods=6,
)
EVERYTHING = {
    "reward": "shortfall",
    "num_periods": 6,
    "horizon": 1.0,
    "drift": 0.5,
    "impact_exponent": 0.6,
    "fixed_fee": 1_000.0,
    "walk": "geometric",
    "volatility_model": "heston",
    "volume_profile": "u",
    "volume_noise": 0.5,
    "lot_size": 100,
    "tick_size": 0.01,
}


def play(environment, actions, *, num_paths=1, seed=0):
    """Plays orders side by side: start states, first observations, time steps [paths, N, ...]."""
    num_periods = environment.max_episode_steps
    shape = (num_paths, num_periods, *environment.action_space.shape)
    actions = jnp.broadcast_to(jnp.asarray(actions, jnp.float32), shape)
    keys = jax.random.split(jax.random.key(seed), (num_paths, num_periods + 1))

    def play_one(keys, actions):
        state, first = environment.reset(keys[0])
        _, steps = jax.lax.scan(
            lambda state, inputs: environment.step(inputs[0], state, inputs[1]),
            state,
            (keys[1:], actions),
        )
        return state, first, steps

    if num_paths > 1:
        return jax.jit(jax.vmap(play_one))(keys, actions)
    # A program of its own would take longer to compile than the few steps.
    state, first = environment.reset(keys[0, 0])
    start, steps = state, []
    for key, action in zip(keys[0, 1:], actions[0], strict=True):
        state, step = environment.step(key, state, action)
        steps.append(step)
    steps = jax.tree.map(lambda *leaves: np.stack(leaves), *steps)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[None], (start, first, steps))


def random_actions(environment, num_paths, seed=1):
    shape = (num_paths, environment.max_episode_steps)
    keys = jax.random.split(jax.random.key(seed), shape)
    return jax.vmap(jax.vmap(environment.action_space.sample))(keys)


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"reward": "shortfall"}, marks=pytest.mark.full),
        pytest.param({"action": "rate", "num_periods": 9}, marks=pytest.mark.full),
        pytest.param({"action": "deviation", "reward": "utility"}, marks=pytest.mark.full),
        EVERYTHING,
        pytest.param({"basket": BASKET}, marks=pytest.mark.full),
        {"basket": BASKET, "action": "deviation", "fixed_fee": 500.0, "walk": "geometric"},
    ],
    ids=["paper", "rate", "deviation", "everything", "basket", "basket-deviation"],
)
def test_cash_and_shares_and_costs_are_conserved(parameters):
    environment = liquidation(**parameters)
    actions = random_actions(environment, 16)
    start, _, steps = play(environment, actions, num_paths=16)
    info = {name: np.asarray(value, np.float64) for name, value in steps.info.items()}
    total = (lambda x: x) if info["sale"].ndim == 2 else (lambda x: x.sum(axis=-1))
    cash = np.cumsum(total(info["sale"] * info["execution_price"]) - info["fee"], axis=1)
    value = total(np.asarray(start.inventory, np.float64) * start.price)
    account = cash + total(info["inventory"] * info["price"]) + info["shortfall"]
    np.testing.assert_allclose(account, np.broadcast_to(value[:, None], account.shape), rtol=1e-5)
    # Nothing is bought, all is sold, and the last step ends the order.
    sold = info["sale"].cumsum(axis=1)
    assert (info["sale"] >= 0).all()
    np.testing.assert_allclose(sold[:, -1], start.inventory, rtol=1e-6)
    assert (info["inventory"][:, -1] == 0).all()
    ends = np.arange(1, environment.max_episode_steps + 1) == environment.max_episode_steps
    np.testing.assert_array_equal(steps.terminated, np.tile(ends, (16, 1)))
    assert not steps.truncated.any()
    if parameters.get("reward") == "shortfall":
        paid = -np.asarray(steps.reward, np.float64).sum(axis=1) * value / 100
        np.testing.assert_allclose(paid, info["shortfall"][:, -1], rtol=1e-4, atol=20)


def test_one_order_by_hand():
    """Shares 100, price 10, tau 2, no risk: half of what remains is sold, then the rest."""
    environment = liquidation(
        shares=100.0,
        price=10.0,
        horizon=4.0,
        num_periods=2,
        volatility=0.0,
        drift=0.25,
        half_spread=0.1,
        permanent_impact=0.002,
        temporary_impact=0.02,
        fixed_fee=3.0,
        daily_volume=1_000.0,
        reward="shortfall",
        reward_scale=1.0,
    )
    _, first, steps = play(environment, [[0.5], [0.0]])
    info = {name: np.asarray(value)[0] for name, value in steps.info.items()}
    np.testing.assert_allclose(info["sale"], [50, 50])
    # 10 - .1 - .02 * 50 / 2 and then from 10 + .5 - .002 * 50.
    np.testing.assert_allclose(info["execution_price"], [9.4, 10.4 - 0.6], rtol=1e-6)
    np.testing.assert_allclose(info["price"], [10.4, 10.8], rtol=1e-6)
    np.testing.assert_allclose(info["fee"], [3, 3])
    np.testing.assert_allclose(info["participation"], [0.025, 0.025], rtol=1e-6)
    np.testing.assert_allclose(info["shortfall"], [30 + 3 - 20, 13 + 33], rtol=1e-5)
    np.testing.assert_allclose(steps.reward[0], [-13 / 1000, -33 / 1000], rtol=1e-5)
    # A price that cannot move is observed in units of itself.
    np.testing.assert_allclose(first[0], [1, 1, 0, 1, 1])
    np.testing.assert_allclose(
        steps.observation[0], [[0.5, 0.5, 0.04, 1, 1], [0, 0, 0.08, 1, 1]], rtol=1e-5
    )


def test_observations_of_the_paper_have_unit_scale():
    environment = liquidation()
    _, first, steps = play(environment, random_actions(environment, 512), num_paths=512)
    seen = np.concatenate([np.asarray(first)[:, None], steps.observation], axis=1)
    np.testing.assert_allclose(seen[:, :, 1], np.tile([1, 0.8, 0.6, 0.4, 0.2, 0], (512, 1)))
    moved = (np.asarray(steps.info["price"]) - 50) / (0.95 * np.sqrt(5))
    np.testing.assert_allclose(seen[:, 1:, 2], moved, rtol=1e-5, atol=1e-6)
    left = np.asarray(steps.info["inventory"]) / 1e6
    np.testing.assert_allclose(seen[:, 1:, 0], left, rtol=1e-6)
    assert np.abs(seen).max() < 5


@pytest.mark.parametrize("action", ["fraction", "rate", "deviation"])
def test_the_bounds_of_an_action_are_nothing_and_everything(action):
    environment = liquidation(action=action, num_periods=4)
    low, high = environment.action_space.bounds()
    _, _, steps = play(environment, np.tile(low, (4, 1)))
    np.testing.assert_array_equal(steps.info["sale"][0], [0, 0, 0, 1e6])
    _, _, steps = play(environment, np.tile(high, (4, 1)))
    np.testing.assert_array_equal(steps.info["sale"][0], [1e6, 0, 0, 0])


def test_what_actions_mean():
    sales = {}
    choices = {"fraction": [0.25, 0.5, 0.5, 9], "rate": [1.0, 2.0, 5.0, 1], "deviation": [0] * 4}
    for action, choice in choices.items():
        environment = liquidation(action=action, num_periods=4)
        _, _, steps = play(environment, np.reshape(choice, (4, 1)))
        sales[action] = np.asarray(steps.info["sale"][0])
    np.testing.assert_allclose(sales["fraction"], [250_000, 375_000, 187_500, 187_500])
    np.testing.assert_allclose(sales["rate"], [250_000, 500_000, 250_000, 0])
    np.testing.assert_allclose(
        sales["deviation"], optimal_trades(AlmgrenChriss(num_periods=4), 1e-6), rtol=1e-5
    )
    # Half of the way from the schedule's share to nothing, or to everything.
    environment = liquidation(action="deviation", num_periods=2)
    share = float(optimal_trades(AlmgrenChriss(num_periods=2), 1e-6)[0]) / 1e6
    for choice, expected in ((-0.5, share / 2), (0.5, (1 + share) / 2)):
        _, _, steps = play(environment, [[choice], [0.0]])
        assert float(steps.info["sale"][0, 0]) == pytest.approx(1e6 * expected, rel=1e-5)


@pytest.mark.parametrize(
    "exponent",
    [0.6, pytest.param(1.0, marks=pytest.mark.full), pytest.param(1.5, marks=pytest.mark.full)],
)
def test_the_power_law_of_impact(exponent):
    environment = liquidation(volatility=0.0, permanent_impact=0.0, impact_exponent=exponent)
    _, _, steps = play(environment, [[0.1], [0.5], [0.0], [0.3], [0.0]])
    sale = np.asarray(steps.info["sale"][0], np.float64)
    impact = 2.5e-6 * 200_000 * (sale / 200_000) ** exponent
    np.testing.assert_allclose(
        50 - np.asarray(steps.info["execution_price"][0]), 0.0625 + impact, rtol=1e-4
    )
    np.testing.assert_allclose(
        steps.info["shortfall"][0, -1], np.sum(sale * (0.0625 + impact)), rtol=1e-5
    )


def test_a_traced_exponent_of_one_is_linear():
    def total(exponent):
        environment = liquidation(impact_exponent=exponent)
        state, _ = environment.reset(jax.random.key(0))
        return environment.step(jax.random.key(1), state, jnp.array([0.3]))[1].reward

    traced = jax.jit(jax.vmap(total))(jnp.array([1.0, 0.6]))
    assert float(traced[0]) == pytest.approx(float(total(1.0)), rel=1e-5)
    assert float(traced[1]) == pytest.approx(float(total(0.6)), rel=1e-5)
    assert abs(float(traced[0] - traced[1])) > 1e-3


def test_lots_and_ticks():
    environment = liquidation(shares=1_050.0, lot_size=100, tick_size=0.05, num_periods=3)
    actions = jnp.array([[0.31], [0.17], [0.0]])
    _, _, steps = play(environment, actions, num_paths=64)
    np.testing.assert_array_equal(steps.info["sale"], np.tile([300, 100, 650], (64, 1)))
    ticks = np.asarray(steps.info["execution_price"], np.float64) / 0.05
    np.testing.assert_allclose(ticks, np.round(ticks), atol=1e-3)
    _, _, plain = play(liquidation(shares=1_050.0, num_periods=3), [[300 / 1050], [100 / 750], [1]])
    assert np.asarray(plain.info["execution_price"] / 0.05 % 1).std() > 0.01
    # Rounded down, by a tick at most: 50 less the spread and an impact of .00045 is 49.937.
    assert np.asarray(steps.info["execution_price"])[:, 0] == pytest.approx(49.90, abs=1e-5)


def test_a_fee_is_of_the_periods_with_a_sale():
    environment = liquidation(fixed_fee=700.0, volatility=0.0)
    _, _, steps = play(environment, [[0.5], [0.0], [0.5], [0.0], [0.0]])
    np.testing.assert_array_equal(steps.info["fee"][0], [700, 0, 700, 0, 700])
    _, _, free = play(liquidation(volatility=0.0), [[0.5], [0.0], [0.5], [0.0], [0.0]])
    extra = steps.info["shortfall"] - free.info["shortfall"]
    np.testing.assert_allclose(extra[0], [700, 700, 1400, 1400, 2100], atol=1)


def test_the_geometric_walk():
    parameters = {"walk": "geometric", "permanent_impact": 0.0, "volatility": 10.0, "drift": 2.0}
    _, _, steps = play(liquidation(**parameters), np.zeros((5, 1)), num_paths=20_000)
    logarithm = np.log(np.asarray(steps.info["price"], np.float64)[:, -1] / 50)
    # drift / S0 = .04 and volatility / S0 = .2 of five days.
    assert logarithm.mean() == pytest.approx(5 * (0.04 - 0.02), abs=4 * 0.2 * (5 / 20_000) ** 0.5)
    assert logarithm.std() == pytest.approx(0.2 * 5**0.5, rel=0.02)


def test_stochastic_volatility_has_the_moments_of_the_square_root_process():
    parameters = {"volatility_model": "heston", "variance_reversion": 0.8}
    parameters |= {"variance_volatility": 0.3, "variance_correlation": -0.7, "num_periods": 10}
    environment = liquidation(**parameters, permanent_impact=0.0)
    _, first, steps = play(environment, np.zeros((10, 1)), num_paths=20_000)
    assert (first[:, 3] == 1).all()
    variance = np.asarray(steps.observation, np.float64)[:, :, 3] ** 2
    times = 0.5 * np.arange(1, 11)
    # Cox, Ingersoll and Ross (1985): of a start at the mean 1, here hardly ever cut off.
    expected = 0.3**2 / (2 * 0.8) * (1 - np.exp(-2 * 0.8 * times))
    np.testing.assert_allclose(variance.mean(axis=0), 1, atol=0.012)
    np.testing.assert_allclose(variance.var(axis=0), expected, rtol=0.05)
    moves = np.diff(np.asarray(steps.info["price"], np.float64), axis=1, prepend=50.0)
    np.testing.assert_allclose(moves.var(axis=0), 0.95**2 * 0.5, rtol=0.05)
    assert np.corrcoef(moves[:, 0], variance[:, 0])[0, 1] == pytest.approx(-0.7, abs=0.02)
    # A move is as wide as the volatility that was seen before it.
    wide = variance[:, 3] > 1
    seen = variance[:, 3][wide].mean()
    assert moves[:, 4][wide].var() == pytest.approx(seen * 0.95**2 * 0.5, rel=0.05)


def test_the_volume_of_a_day_is_a_parabola():
    environment = liquidation(horizon=2.0, num_periods=8, volume_profile="u", profile_depth=0.6)
    _, first, steps = play(environment, np.zeros((8, 1)))
    seen = np.concatenate([first[:, 4], steps.observation[0, :-1, 4]])
    density = lambda u: 1 + 0.6 * (12 * (u - 0.5) ** 2 - 1)  # noqa: E731
    quarters = [scipy.integrate.quad(density, i / 4, (i + 1) / 4)[0] * 4 for i in range(4)]
    np.testing.assert_allclose(seen, quarters * 2, rtol=1e-4)
    assert quarters[0] > 1 > quarters[1]


def test_noise_of_the_volume_keeps_its_mean_and_moves_the_impact():
    environment = liquidation(volume_noise=0.4, volatility=0.0, permanent_impact=0.0)
    _, first, steps = play(environment, np.full((5, 1), 0.3), num_paths=20_000)
    volume = np.concatenate([first[:, None, 4], steps.observation[:, :-1, 4]], axis=1)
    np.testing.assert_allclose(volume.mean(axis=0), 1, atol=0.015)
    np.testing.assert_allclose(np.log(volume).std(axis=0), 0.4, rtol=0.03)
    sale = np.asarray(steps.info["sale"])
    discount = 50 - np.asarray(steps.info["execution_price"])
    np.testing.assert_allclose(discount, 0.0625 + 2.5e-6 * sale / volume, rtol=1e-3)
    np.testing.assert_allclose(steps.info["participation"], sale / volume / 5e6, rtol=1e-5)


@pytest.mark.parametrize(("noise", "starts"), [(0.0, 1), (0.3, 8)])
def test_a_reset_draws_the_first_volume_alone(noise, starts):
    reset = jax.vmap(liquidation(volume_noise=noise).reset)
    _, first = reset(jax.random.split(jax.random.key(0), 8))
    assert len(np.unique(first[:, 4])) == starts
    assert len(np.unique(first[:, :4], axis=0)) == 1


@pytest.mark.parametrize(
    "risk_aversion",
    [pytest.param(0.0, marks=pytest.mark.full), 1e-6, pytest.param(1e-5, marks=pytest.mark.full)],
)
def test_the_running_penalty_is_the_mean_variance_objective(risk_aversion):
    """Of any schedule, in expectation: here without noise of the price's moves left over."""
    shares = np.array([0.4, 0.1, 0.5, 0.3, 1.0])
    holdings = 1e6 * np.concatenate([[1], np.cumprod(1 - shares)])
    environment = liquidation(reward="risk", risk_aversion=risk_aversion)
    _, _, steps = play(environment, shares[:, None], num_paths=20_000)
    returns = np.asarray(steps.reward, np.float64).sum(axis=1) * VALUE / 100
    mean = float(shortfall_mean(PAPER, jnp.asarray(holdings)))
    variance = float(shortfall_variance(PAPER, jnp.asarray(holdings)))
    error = returns.std() / 20_000**0.5
    assert returns.mean() == pytest.approx(-(mean + risk_aversion * variance), abs=3 * error)
    # What it adds to the shortfall is lambda V on every path.
    added = -returns - np.asarray(steps.info["shortfall"], np.float64)[:, -1]
    np.testing.assert_allclose(added, risk_aversion * variance, rtol=1e-3, atol=30)


@pytest.mark.parametrize("basket", [None, BASKET], ids=["one-asset", "basket"])
def test_the_change_of_utility_is_nothing_for_the_best_schedule(basket):
    parameters = {} if basket is None else {"basket": basket}
    parameters |= {"action": "deviation", "risk_aversion": 2e-6}
    rewards = {}
    for reward in ("utility", "risk"):
        environment = liquidation(reward=reward, **parameters)
        num_periods, size = environment.max_episode_steps, environment.action_space.shape[0]
        _, _, steps = play(environment, np.zeros((num_periods, size)), num_paths=4_000)
        rewards[reward] = np.asarray(steps.reward, np.float64)
    best = rewards["utility"]
    error = best.std(axis=0) / 4_000**0.5
    assert (np.abs(best.mean(axis=0)) <= 3.5 * error + 1e-5).all()
    # Returns differ from those of the objective by what the order is worth at the start.
    apart = best.sum(axis=1) - rewards["risk"].sum(axis=1)
    np.testing.assert_allclose(apart, apart.mean(), atol=1e-4)
    if basket is None:
        holdings = optimal_holdings(PAPER, 2e-6)
        optimum = shortfall_mean(PAPER, holdings) + 2e-6 * shortfall_variance(PAPER, holdings)
        assert apart.mean() == pytest.approx(float(optimum) / VALUE * 100, rel=1e-4)
    # Another schedule gets less, in the step in which it leaves the best one.
    environment = liquidation(reward="utility", **parameters)
    actions = np.zeros((num_periods, size))
    actions[1] = 0.5
    _, _, steps = play(environment, actions, num_paths=4_000)
    worse = (np.asarray(steps.reward, np.float64) - best).mean(axis=0)
    np.testing.assert_allclose(np.delete(worse, 1), 0, atol=0.02)
    assert worse.argmin() == 1
    assert worse[1] < -0.05


def test_a_basket_of_one_asset_is_the_asset():
    basket = Basket(
        shares=[1e6],
        price=[50.0],
        covariance=[[0.95**2]],
        permanent_impact=[[2.5e-7]],
        temporary_impact=[[2.5e-6]],
        half_spread=0.0625,
    )
    actions = np.array([[0.2], [0.3], [0.9], [0.0], [0.0]])
    for parameters in ({"reward": "risk"}, {"reward": "utility"}, {"walk": "geometric"}):
        _, first, steps = play(liquidation(**parameters), actions)
        _, of_basket, alike = play(liquidation(basket=basket, **parameters), actions)
        np.testing.assert_allclose(of_basket, first)
        np.testing.assert_allclose(alike.observation, steps.observation, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(alike.reward, steps.reward, rtol=1e-4, atol=1e-4)


def test_moves_of_a_basket_have_its_covariance_and_impact():
    environment = liquidation(basket=BASKET)
    _, _, steps = play(environment, np.full((6, 2), 0.2), num_paths=20_000)
    price = np.asarray(steps.info["price"], np.float64)
    moves = price[:, 1] - price[:, 0]
    sale = np.asarray(steps.info["sale"], np.float64)[0, 1]
    np.testing.assert_allclose(sale, [160_000, 80_000], rtol=1e-5)
    covariance = np.array(BASKET.covariance) * 5 / 6
    np.testing.assert_allclose(np.cov(moves.T), covariance, rtol=0.05)
    expected = -np.array(BASKET.permanent_impact) @ sale
    np.testing.assert_allclose(moves.mean(axis=0), expected, atol=0.03)
    before = np.asarray(steps.info["execution_price"], np.float64)[:, 1] - price[:, 0]
    impact = np.array(BASKET.temporary_impact) @ sale * 6 / 5
    np.testing.assert_allclose(
        before, np.tile(-(impact + BASKET.half_spread), (20_000, 1)), rtol=1e-3
    )


def test_deviations_of_a_basket_are_from_its_own_optimum():
    environment = liquidation(basket=BASKET, action="deviation", risk_aversion=1e-6)
    _, _, steps = play(environment, np.zeros((6, 2)))
    expected = basket_holdings(BASKET, 1e-6)[1:]
    np.testing.assert_allclose(steps.info["inventory"][0], expected, rtol=1e-3, atol=1.0)


def test_a_sweep_over_risk_aversion_and_impact_is_one_program():
    traces = 0

    @jax.jit
    @jax.vmap
    def objective(risk_aversion, temporary_impact):
        nonlocal traces
        traces += 1
        parameters = {"risk_aversion": risk_aversion, "temporary_impact": temporary_impact}
        parameters |= {"volatility": 1e-3, "reward": "risk"}
        environment = jaxrl.make_env("finance/liquidation", **parameters)
        policy = almgren_chriss_policy(**parameters)
        key = jax.random.key(0)
        return -jaxrl.evaluate(key, environment, policy, num_episodes=2).returns.mean()

    sweep = jnp.array([0.0, 1.0, 10.0]), jnp.array([2.5e-6, 5e-6, 1e-5])
    found = np.asarray(objective(*sweep)) * VALUE / 100
    for value, risk_aversion, impact in zip(found, *np.asarray(sweep, np.float64), strict=True):
        order = AlmgrenChriss(volatility=1e-3, temporary_impact=float(impact))
        holdings = optimal_holdings(order, float(risk_aversion))
        expected = shortfall_mean(order, holdings)
        expected += risk_aversion * shortfall_variance(order, holdings)
        assert value == pytest.approx(float(expected), rel=3e-3)
    assert np.ptp(found) > 1e5
    objective(sweep[0] + 1, 2 * sweep[1])
    assert traces == 1


def test_it_is_known_by_its_name():
    known = parameters_of("finance/liquidation")
    assert known["shares"].default == 1e6
    assert known["action"].kind is str
    assert known["num_periods"].kind is int
    assert known["basket"].kind is None
    environment = jaxrl.make_env("finance/liquidation", num_periods=3, shares=100, basket=None)
    assert environment.name == "finance/liquidation"
    assert environment.max_episode_steps == 3
    assert environment.observation_space.shape == (5,)


def one_of(name, value):
    return {name: value}, f"{name}='{value}' must be one of "


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        one_of("walk", "brownian"),
        one_of("volatility_model", "garch"),
        one_of("volume_profile", "w"),
        one_of("action", "shares"),
        one_of("reward", "sharpe"),
        ({"shares": -5.0}, "shares=-5.0 must be a finite number above 0"),
        ({"shares": "many"}, "shares='many' is no number: it must be a finite number"),
        ({"volatility": np.ones(2)}, r"volatility has shape \(2,\): for several values"),
        ({"drift": (0.1, 0.2)}, r"drift has shape \(2,\): for several values"),
        ({"price": 0.0}, "price=0.0 must be a finite number above 0"),
        ({"horizon": 0.0}, "horizon=0.0 must be a finite number above 0"),
        ({"num_periods": 0}, "num_periods=0 must be a whole number, at least 1"),
        ({"volatility": -1.0}, "volatility=-1.0 must be a finite number, at least 0"),
        ({"drift": float("inf")}, "drift=inf must be a finite number"),
        ({"impact_exponent": 0.0}, "impact_exponent=0.0 must be a finite number above 0"),
        ({"temporary_impact": 1e-8}, "temporary_impact=1e-08 must exceed permanent_impact"),
        ({"fixed_fee": -1.0}, "fixed_fee=-1.0 must be a finite number, at least 0"),
        ({"tick_size": -0.01}, "tick_size=-0.01 must be a finite number, at least 0"),
        ({"lot_size": -1}, "lot_size=-1 must be a whole number, at least 0"),
        ({"lot_size": 1.5}, "lot_size=1.5 must be a whole number"),
        ({"daily_volume": 0.0}, "daily_volume=0.0 must be a finite number above 0"),
        ({"volume_noise": -0.1}, "volume_noise=-0.1 must be a finite number, at least 0"),
        ({"reward_scale": 0.0}, "reward_scale=0.0 must be a finite number above 0"),
        ({"risk_aversion": float("nan")}, "risk_aversion=nan must be a finite number"),
        ({"action": "deviation", "risk_aversion": -1.0}, r"risk_aversion=-1.0 must exceed -1\."),
        (
            {"volatility_model": "heston", "variance_correlation": 2.0},
            "variance_correlation=2.0 must lie between -1 and 1",
        ),
        ({"variance_reversion": 2.0}, "variance_reversion=2.0 would do nothing: volatility_model"),
        (
            {"volume_profile": "u", "horizon": 1.0, "profile_depth": 1.0},
            "profile_depth=1.0 must be at least 0 and below 1",
        ),
        ({"profile_depth": 0.2}, "profile_depth=0.2 would do nothing: volume_profile='u'"),
        ({"volume_profile": "u"}, "volume_profile='u' would do nothing: a period of 1 days"),
        ({"reference_rate": 1e6}, "reference_rate=1000000.0 would do nothing: an impact_exponent"),
        ({"basket": [1e6, 2e6]}, "basket is a list, but must be a Basket"),
        (
            {"basket": BASKET, "shares": 2e6},
            "shares=2000000.0 would do nothing: basket has its own",
        ),
        ({"basket": BASKET, "num_periods": 9}, "num_periods=9 would do nothing: basket has"),
        ({"basket": BASKET, "reward": "utility", "risk_aversion": -1e-7}, "risk_aversion=-1e-07"),
    ],
)
def test_impossible_parameters_are_refused(monkeypatch, changes, message):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=message):
        liquidation(**changes)


def test_unknown_parameters_of_a_policy_are_refused():
    with pytest.raises(ValueError, match="has no parameter 'num_period'; did you mean num_periods"):
        twap_policy(num_period=3)


@pytest.mark.parametrize("kind", [int, np.int32, np.float16])
def test_numbers_of_any_type_give_the_same_rewards(kind):
    numbers = {"shares": 60_000, "price": 60_000} if kind is not np.float16 else {"price": 100}
    given = {name: kind(value) for name, value in numbers.items()}
    rewards = []
    for parameters in (given, {name: float(value) for name, value in numbers.items()}):
        environment = liquidation(**parameters)
        state, _ = environment.reset(jax.random.key(0))
        _, time_step = environment.step(jax.random.key(1), state, jnp.array([0.5]))
        rewards.append(float(time_step.reward))
    assert rewards[0] == pytest.approx(rewards[1], rel=1e-6)

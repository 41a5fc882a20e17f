"""Tables of quotes: the published results, exact ones against simulation, and the optimum."""

import jax
import numpy as np
import pytest
from market_play import play_policy, returns_of
from tiers import lengthy

import jaxrl
from jaxrl.environments import finance

# Avellaneda and Stoikov (2008), table 1: gamma = .1, 1,000 paths; mean and standard deviation of
# the profit, standard deviation of the inventory at the end.
PUBLISHED = {
    "avellaneda_stoikov": (65.0, 6.6, 2.9),
    "symmetric": (68.4, 12.7, 8.4),
}
SMALL = {"num_steps": 40, "inventory_limit": 5, "arrival_rate": 28.0}
QUOTES = {
    "symmetric": finance.symmetric_quotes,
    "avellaneda_stoikov": finance.avellaneda_stoikov_quotes,
    "continuous_optimum": finance.continuous_optimum_quotes,
    "optimal": finance.optimal_quotes,
}


def results_of(quotes, **market):
    """Exact results as plain numbers."""
    compute = jax.jit(lambda quotes: finance.quote_results(quotes, **market))
    return finance.QuoteResults(*map(float, compute(quotes)))


def quotes_of(name, **market):
    return jax.jit(lambda: QUOTES[name](**market))()


def error_of_deviation(sample):
    """The standard error of the standard deviation of a sample, by its fourth moment."""
    centred = sample.astype(np.float64) - sample.mean()
    kurtosis = (centred**4).mean() / (centred**2).mean() ** 2
    return float(centred.std() * np.sqrt((kurtosis - 1) / (4 * len(sample))))


@pytest.mark.parametrize("strategy", PUBLISHED)
def test_published_table(strategy):
    """Within 2 standard errors of 1,000 paths, whose profits have fat tails."""
    market = {"price_moves": "binomial"}
    quotes = quotes_of(strategy, risk_aversion=0.1, **market)
    judged = {"risk_aversion": 0.0, **market}
    exact = results_of(quotes, **judged)
    policy = finance.quote_policy(quotes, **judged)
    sample = returns_of(finance.market_making(**judged), policy, num_episodes=1000)
    of_mean = exact.profit_deviation / np.sqrt(1000)
    of_deviation = error_of_deviation(sample)
    profit, deviation, inventory = PUBLISHED[strategy]
    assert exact.profit == pytest.approx(profit, abs=2 * of_mean)
    assert exact.profit_deviation == pytest.approx(deviation, abs=2 * of_deviation)
    # Inventory is nearly normal, and the table rounds to .1.
    of_inventory = exact.inventory_deviation / np.sqrt(2000)
    assert exact.inventory_deviation == pytest.approx(inventory, abs=2 * of_inventory)
    # Simulation agrees with the exact results.
    assert sample.mean() == pytest.approx(exact.profit, abs=3 * of_mean)
    assert sample.std() == pytest.approx(exact.profit_deviation, abs=3 * of_deviation)


@pytest.mark.parametrize(
    "market",
    [
        {"terminal_penalty": 0.3, "running_penalty": 0.5, "risk_aversion": 0.2, "drift": 3.0},
        {
            "terminal_penalty": 0.1,
            "liquidation_cost": 0.2,
            "at_horizon": "liquidate",
            "fill_probability": "exponential",
            "actions": "skew-spread",
        },
    ],
    ids=["penalties", "liquidated"],
)
def test_exact_results_are_those_of_simulation(market):
    market = {**SMALL, **market}
    quotes = quotes_of("avellaneda_stoikov", **market)
    exact = results_of(quotes, **market)
    environment = finance.market_making(**market)
    steps = play_policy(environment, finance.quote_policy(quotes, **market), num_episodes=4096)
    total, profit = steps.reward.sum(axis=1), steps.info["profit"][:, -1]
    error = float(profit.std() / 64), float(total.std() / 64)
    assert profit.mean() == pytest.approx(exact.profit, abs=3.5 * error[0])
    assert total.mean() == pytest.approx(exact.objective, abs=3.5 * error[1])
    allowed = 3.5 * error_of_deviation(profit)
    assert profit.std() == pytest.approx(exact.profit_deviation, abs=allowed)
    held = steps.info["inventory"]
    if market.get("at_horizon") == "liquidate":
        assert (held[:, -1] == 0).all()
        assert held[:, -2].std() > 0.3
    else:
        end = held[:, -1]
        assert end.mean() == pytest.approx(exact.inventory, abs=3.5 * end.std() / 64)
        assert end.std() == pytest.approx(exact.inventory_deviation, rel=0.04)


def test_one_step_without_penalties_is_the_textbook_monopoly():
    # Maximum of depth exp(-k depth): 1 / k.
    market = {"num_steps": 1, "horizon": 0.005, "inventory_limit": 3, "risk_aversion": 0.0}
    quotes = quotes_of("optimal", **market)
    np.testing.assert_allclose(quotes[0, 1:-1], 1 / 1.5, atol=2e-3)
    exact = results_of(quotes, **market)
    assert exact.objective == pytest.approx(2 * 0.7 / np.e / 1.5, rel=1e-4)


@pytest.mark.parametrize(
    "objective",
    [
        {"risk_aversion": 0.0, "running_penalty": 0.2, "terminal_penalty": 0.05},
        {"risk_aversion": 0.1, "fill_probability": "exponential"},
    ],
    ids=["penalties", "mean-variance"],
)
def test_no_strategy_is_better_than_the_optimum(objective):
    market = {**SMALL, **objective}
    best = quotes_of("optimal", **market)
    exact = jax.jit(lambda quotes: finance.quote_results(quotes, **market).objective)
    value = float(exact(best))
    others = [quotes_of(name, **market) for name in QUOTES if name != "optimal"]
    for seed in range(4):
        noise = jax.random.normal(jax.random.key(seed), best.shape)
        others += [best + 0.003 * noise, best + 0.3 * noise]
    values = [float(exact(quotes)) for quotes in others]
    assert max(values) < value + 1e-5 * abs(value)
    assert min(values) < 0.97 * value
    # The optimum in continuous time comes close.
    assert values[2] > 0.98 * value


def test_in_ever_shorter_steps_the_continuous_optimum_earns_its_value():
    """Cartea's value function: what the steps' length costs halves with it."""
    numbers = {"running_penalty": 0.2, "terminal_penalty": 0.05}
    value = value_of_cartea(12, **numbers)
    earned = []
    for steps in (300, 600):
        market = {"num_steps": steps, "inventory_limit": 12, "risk_aversion": 0.0, **numbers}
        earned.append(results_of(quotes_of("continuous_optimum", **market), **market).objective)
    assert abs(earned[1] - value) == pytest.approx(abs(earned[0] - value) / 2, rel=0.1)
    assert 2 * earned[1] - earned[0] == pytest.approx(value, rel=2e-4)


def value_of_cartea(limit, **numbers):
    """h(0, 0) of the default market."""
    optimum = finance.market_making_optimum(
        volatility=2.0,
        arrival_rate=140.0,
        depth_decay=1.5,
        horizon=1.0,
        num_steps=1,
        inventory_limit=limit,
        **numbers,
    )
    return float(optimum.values[0, limit])


@pytest.mark.full
def test_simulation_earns_the_value_function_within_three_standard_errors():
    numbers = {"running_penalty": 0.2, "terminal_penalty": 0.05}
    market = {"risk_aversion": 0.0, "num_steps": 4000, "inventory_limit": 20, **numbers}
    policy = finance.quote_policy(quotes_of("continuous_optimum", **market), **market)
    found = jaxrl.evaluate(
        jax.random.key(5), finance.market_making(**market), policy, num_episodes=10_000
    )
    sample = np.asarray(found.returns, np.float64)
    value = value_of_cartea(20, **numbers)
    assert sample.mean() == pytest.approx(value, abs=3 * sample.std() / 100)


@pytest.mark.full
@pytest.mark.parametrize("strategy", lengthy(QUOTES, "avellaneda_stoikov"))
def test_many_paths_agree_with_exact_results(strategy):
    quotes = quotes_of(strategy)
    exact = results_of(quotes, risk_aversion=0.0)
    environment = finance.market_making(risk_aversion=0.0)
    policy = finance.quote_policy(quotes)

    @jax.jit
    def play(key):
        return jaxrl.evaluate(key, environment, policy, num_episodes=20_000).returns

    keys = jax.random.split(jax.random.key(6), 10)
    sample = np.concatenate([np.asarray(play(key), np.float64) for key in keys])
    assert sample.mean() == pytest.approx(exact.profit, abs=3 * sample.std() / len(sample) ** 0.5)
    assert sample.std() == pytest.approx(exact.profit_deviation, abs=3 * error_of_deviation(sample))


def test_a_table_of_another_market_is_refused():
    quotes = finance.symmetric_quotes(**SMALL)
    with pytest.raises(ValueError, match=r"\(40, 11, 2\), but the market needs \(200, 101, 2\)"):
        finance.quote_policy(quotes)


def test_a_table_may_be_numpys_and_is_of_the_market():
    market = {"num_steps": 3, "inventory_limit": 2}
    quotes = finance.symmetric_quotes(**market)
    environment = finance.market_making(**market)
    found = [
        jaxrl.evaluate(
            jax.random.key(0), environment, finance.quote_policy(table, **market), num_episodes=2
        ).returns
        for table in (quotes, np.asarray(quotes))
    ]
    np.testing.assert_array_equal(*found)
    for wrong in (quotes[:1], quotes[:, 1:]):
        with pytest.raises(ValueError, match=r"quotes have shape \(.*needs \(3, 5, 2\)"):
            finance.quote_results(wrong, **market)

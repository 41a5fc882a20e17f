"""Learned policies in finance beside the exact optima and the baselines, on the same chances.

    python benchmarks/finance_learning.py               # everything: about half an hour on one core
    python benchmarks/finance_learning.py --only liquidation/ppo/1e-6 portfolio/cem/costs

Each seed trains an agent and then plays it and what it is compared with, in the same episodes:
the same evaluation key for each, a fresh one for each seed. A check takes the difference of two
mean returns in every seed and divides it by what the second one is worth. Results are merged into
`benchmarks/results/finance_learning.json`.
"""

import argparse
import pathlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from learning import confidence_interval, store
from machine import describe_machine

import jaxrl
from jaxrl import registry
from jaxrl.environments import finance
from jaxrl.presets import preset_settings
from jaxrl.types import Algorithm, Environment, Policy

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "finance_learning.json"

Scores = dict[str, jax.Array]


class Check(NamedTuple):
    """A comparison of two scores of a task, which are better the higher they are.

    Attributes:
        score, beside: names of the scores.
        least: what (score - beside) / |beside| must reach in the mean over seeds.
        surely: the lower end of the mean's 95 % interval must reach it, and not only the mean.
    """

    score: str
    beside: str
    least: float
    surely: bool = False


class Market(NamedTuple):
    """An environment and what is to be compared in it.

    Attributes:
        environment: its name.
        parameters: of the environment.
        baselines: from the parameters, policies by name.
        exact: from the parameters, expected returns that are known by name; they are divided by.
        episodes: of an evaluation.
    """

    environment: str
    parameters: dict[str, Any]
    baselines: Callable[[dict[str, Any]], dict[str, Policy]]
    exact: Callable[[dict[str, Any]], dict[str, float]] = lambda parameters: {}
    episodes: int = 20_000


class Task(NamedTuple):
    """Comparisons that agents of one kind must pass in one market.

    Attributes:
        name: as `--only` takes it.
        algorithm: of the learner.
        market: where it learns.
        checks: what it must show.
        settings: changes to the algorithm's preset.
        measure: (task) -> (key) -> scores, the mean returns by name.
    """

    name: str
    algorithm: str
    market: Market
    checks: tuple[Check, ...]
    settings: dict[str, Any]
    measure: Callable[["Task"], Callable[[jax.Array], Scores]]


def learner(task: Task, environment: Environment, **changes: Any) -> Algorithm:
    """The task's algorithm with its settings, for an environment."""
    config = preset_settings(task.algorithm, task.market.environment, **task.settings | changes)
    return registry.get(task.algorithm).build(environment, config)


def mean_return(key: jax.Array, environment: Environment, policy: Policy, episodes: int) -> Any:
    return jaxrl.evaluate(key, environment, policy, num_episodes=episodes).returns.mean()


def beside_baselines(task: Task) -> Callable[[jax.Array], Scores]:
    """An agent, trained and played once, as "learned", and the baselines of its market."""
    market = task.market
    environment = jaxrl.make_env(market.environment, **market.parameters)
    algorithm = learner(task, environment)
    baselines = market.baselines(market.parameters)

    def scores(key: jax.Array) -> Scores:
        key_train, key_play = jax.random.split(key)
        policy = algorithm.policy(jaxrl.train(key_train, algorithm).state)
        # Of an agent whose actions are rescaled, its own environment does so.
        played = {"learned": mean_return(key_play, algorithm.environment, policy, market.episodes)}
        for name, baseline in baselines.items():
            played[name] = mean_return(key_play, environment, baseline, market.episodes)
        return played

    return scores


def against_an_adversary(task: Task) -> Callable[[jax.Array], Scores]:
    """A dealer trained in turns with an adversary, and one trained without, each with and without.

    "adversary" is the one that was learned, which has never met the plain dealer; "drift" an
    adversary by hand, which neither dealer has met: the price moves against what is held, and fewer
    orders come, nearer the mid price.
    """
    parameters, episodes = task.market.parameters, task.market.episodes
    calm = finance.market_making(**parameters)
    plain = learner(task, calm)
    opening = finance.quote_policy(finance.symmetric_quotes(**parameters), **parameters)

    def hostile(opponent: Policy) -> Environment:
        given: dict[str, Any] = {"opponent": "policy", "opponent_policy": opponent}
        return finance.market_making(**parameters | given)

    def dealer(opponent: Policy) -> Algorithm:
        return learner(task, hostile(opponent))

    def adversary(maker: Policy) -> Algorithm:
        given: dict[str, Any] = {"market_maker": "policy", "market_maker_policy": maker}
        environment = finance.market_making_adversary(**parameters | given)
        # Half of the steps, with more noise: its actions reach from -1 to 1.
        half = plain.total_steps // 2
        return learner(task, environment, total_steps=half, initial_log_std=-0.5)

    def scores(key: jax.Array) -> Scores:
        key_game, key_plain, key_play = jax.random.split(key, 3)
        game = jaxrl.alternate(key_game, dealer, adversary, opening=opening, num_rounds=5)
        learned = adversary(opening).policy(game.second)
        dealers = {
            "robust": dealer(learned).policy(game.first),
            "plain": plain.policy(jaxrl.train(key_plain, plain).state),
        }
        markets = {
            "adversary": hostile(learned),
            "drift": hostile(finance.adverse_drift_policy(flow=1.0)),
            "calm": calm,
        }
        return {
            f"{name}, {where}": mean_return(key_play, environment, policy, episodes)
            for name, policy in dealers.items()
            for where, environment in markets.items()
        }

    return scores


def sellers(parameters: dict[str, Any]) -> dict[str, Policy]:
    """All baselines of liquidation."""
    return {
        "Almgren-Chriss": finance.almgren_chriss_policy(**parameters),
        "TWAP": finance.twap_policy(**parameters),
        "VWAP": finance.vwap_policy(**parameters),
        "percentage of volume": finance.percentage_of_volume_policy(**parameters),
        "all at once": finance.immediate_sale_policy(**parameters),
    }


def least_cost(parameters: dict[str, Any]) -> dict[str, float]:
    """Minus E + lambda V of Almgren and Chriss's schedule, in per cent of the order's value."""
    order, risk_aversion = finance.AlmgrenChriss(), parameters["risk_aversion"]
    holdings = finance.optimal_holdings(order, risk_aversion)
    mean = finance.shortfall_mean(order, holdings)
    cost = mean + risk_aversion * finance.shortfall_variance(order, holdings)
    return {"Almgren-Chriss": -100 * float(cost) / 50e6}


def tables_of_quotes(parameters: dict[str, Any]) -> dict[str, Any]:
    """Baselines of market making, and the optimum of the very task."""
    averse = parameters | {"risk_aversion": parameters["risk_aversion"] or 0.1}
    return {
        "symmetric": finance.symmetric_quotes(**parameters),
        "Avellaneda-Stoikov": finance.avellaneda_stoikov_quotes(**averse),
        "continuous optimum": finance.continuous_optimum_quotes(**parameters),
        "optimum": finance.optimal_quotes(**parameters),
    }


def quoters(parameters: dict[str, Any]) -> dict[str, Policy]:
    """The tables of quotes as policies."""
    tables = tables_of_quotes(parameters)
    return {name: finance.quote_policy(table, **parameters) for name, table in tables.items()}


def quoters_worth(parameters: dict[str, Any]) -> dict[str, float]:
    """The exact objectives of the tables of quotes, dollars."""
    return {
        name: float(finance.quote_results(table, **parameters).objective)
        for name, table in tables_of_quotes(parameters).items()
    }


# The drift, volatility and correlation of the environment's defaults, and its cash.
WALKS = ((0.04, 0.06, 0.12), finance.covariance_of([0.2, 0.3, 0.4], 0.3))


def investors(parameters: dict[str, Any]) -> dict[str, Policy]:
    """Baselines of portfolio choice."""
    del parameters
    return {
        "Merton": finance.merton(*WALKS, riskless_rate=0.02),
        "1 / N": finance.equal_weights(3),
        "buy and hold": finance.buy_and_hold(3),
    }


def merton_growth(parameters: dict[str, Any]) -> dict[str, float]:
    """The expected log growth of a year with Merton's weights, if trades cost nothing."""
    del parameters
    weights = finance.merton_weights(*WALKS, riskless_rate=0.02)
    return {"Merton": float(finance.merton_log_growth(weights, *WALKS, riskless_rate=0.02))}


def liquidation(name: str, algorithm: str, total_steps: int, **parameters: Any) -> Task:
    """In Almgren and Chriss's market within 2 % of their optimum; elsewhere above each baseline."""
    is_theirs = set(parameters) == {"risk_aversion"}
    market = Market("finance/liquidation", parameters, sellers)
    checks = [Check("learned", "Almgren-Chriss", -0.02)]
    if is_theirs:
        market = market._replace(exact=least_cost)
    else:
        checks = [Check("learned", baseline, 0.0, surely=True) for baseline in sellers({})]
    settings = {"total_steps": total_steps}
    return Task(
        f"liquidation/{algorithm}/{name}",
        algorithm,
        market,
        tuple(checks),
        settings,
        beside_baselines,
    )


POWER_LAW = {"impact_exponent": 0.6}
STOCHASTIC = {
    "num_periods": 20,
    "volatility_model": "heston",
    "volume_profile": "u",
    "volume_noise": 0.5,
}
RUNNING = {"risk_aversion": 0.0, "running_penalty": 0.2, "inventory_limit": 10}
FREE = {"buying_cost": 0.0, "selling_cost": 0.0, "window": 0}
# An action's reward comes in the same period, and what it does later is free of costs: a bandit.
BANDIT = {
    "total_steps": 6_000_000,
    "num_envs": 512,
    "num_steps": 52,
    "num_minibatches": 4,
    "num_epochs": 2,
    "learning_rate": 3e-3,
    "discount": 0.0,
    "gae_lambda": 0.0,
    "hidden_sizes": (8,),
}
QUOTES = "finance/market-making"
PORTFOLIO = "finance/portfolio"

TASKS = (
    *(
        liquidation(name, algorithm, total_steps, risk_aversion=float(name))
        for algorithm, total_steps in (("ppo", 400_000), ("sac", 40_000))
        for name in ("2e-7", "1e-6", "3e-6")
    ),
    liquidation("1e-6", "ddpg", 80_000, risk_aversion=1e-6),
    liquidation("1e-6", "cem", 3_000_000, risk_aversion=1e-6),
    liquidation("power-law", "ppo", 400_000, **POWER_LAW),
    liquidation("stochastic", "ppo", 1_000_000, **STOCHASTIC),
    liquidation("power-law-stochastic", "ppo", 1_000_000, **POWER_LAW, **STOCHASTIC),
    Task(
        "market-making/ppo/mean-variance",
        "ppo",
        Market(QUOTES, {"risk_aversion": 0.1}, quoters, quoters_worth, episodes=4_000),
        (Check("learned", "optimum", -0.03), Check("learned", "continuous optimum", -0.03)),
        {},
        beside_baselines,
    ),
    Task(
        "market-making/ppo/running-penalty",
        "ppo",
        Market(QUOTES, RUNNING, quoters, quoters_worth, episodes=4_000),
        (Check("learned", "optimum", -0.03), Check("learned", "continuous optimum", -0.03)),
        {},
        beside_baselines,
    ),
    Task(
        "market-making/ppo/adversary",
        "ppo",
        Market(QUOTES, {"risk_aversion": 0.0}, quoters, episodes=4_000),
        (
            Check("robust, adversary", "plain, adversary", 0.0, surely=True),
            Check("robust, drift", "plain, drift", 0.0, surely=True),
            Check("robust, calm", "plain, calm", -0.05),
        ),
        {},
        against_an_adversary,
    ),
    Task(
        "portfolio/cem/free",
        "cem",
        Market(PORTFOLIO, FREE, investors, merton_growth, episodes=40_000),
        (Check("learned", "Merton", -0.05),),
        {},
        beside_baselines,
    ),
    Task(
        "portfolio/cem/costs",
        "cem",
        Market(PORTFOLIO, {"window": 0}, investors, episodes=40_000),
        (Check("learned", "Merton", 0.0, surely=True),),
        {},
        beside_baselines,
    ),
    Task(
        "portfolio/ppo/free",
        "ppo",
        Market(PORTFOLIO, FREE, investors, merton_growth, episodes=40_000),
        (Check("learned", "Merton", -0.05),),
        BANDIT,
        beside_baselines,
    ),
)


def run(task: Task, *, first_seed: int, num_seeds: int) -> dict[str, Any]:
    """Trains and plays all seeds of a task, one after the other."""
    program = jax.jit(task.measure(task))
    start = time.perf_counter()
    played = [
        jax.device_get(program(jax.random.key(seed)))
        for seed in range(first_seed, first_seed + num_seeds)
    ]
    seconds = time.perf_counter() - start
    scores = {name: np.array([one[name] for one in played], np.float64) for name in played[0]}
    exact = task.market.exact(task.market.parameters)
    checks = [judged(check, scores, exact) for check in task.checks]
    environment = jaxrl.make_env(task.market.environment, **task.market.parameters)
    return {
        "task": task.name,
        "algorithm": task.algorithm,
        "environment": task.market.environment,
        "parameters": task.market.parameters,
        "total_steps": learner(task, environment).total_steps,
        "checks": checks,
        "passed": all(check["passed"] for check in checks),
        "exact": exact,
        "scores": {name: values.tolist() for name, values in scores.items()},
        "episodes": task.market.episodes,
        "first_seed": first_seed,
        "seeds": num_seeds,
        "seconds": seconds,
        "device": jax.devices()[0].device_kind,
        "versions": {"jaxrl": jaxrl.__version__, "jax": jax.__version__},
        "machine": describe_machine(),
    }


def judged(check: Check, scores: dict[str, np.ndarray], exact: dict[str, float]) -> dict[str, Any]:
    """The check's comparison over seeds: mean, interval, and whether it is passed.

    Args:
        check: what is compared.
        scores: by name, [seeds].
        exact: expected scores that are known; elsewhere the mean over seeds is divided by.
    """
    worth = abs(exact.get(check.beside, float(scores[check.beside].mean())))
    excess = (scores[check.score] - scores[check.beside]) / worth
    mean, (low, high) = float(excess.mean()), confidence_interval(excess)
    return {
        **check._asdict(),
        "mean": mean,
        "ci95": [low, high],
        "excess": excess.tolist(),
        "passed": low > check.least if check.surely else mean >= check.least,
    }


def said(check: dict[str, Any]) -> str:
    """One check in words."""
    low, high = check["ci95"]
    sense = "surely above" if check["surely"] else "at least"
    return (
        f"{check['score']} beside {check['beside']}: {check['mean']:+.2%} ({low:+.2%} to"
        f" {high:+.2%}), {sense} {check['least']:+.0%}: {'passed' if check['passed'] else 'MISSED'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    names = [task.name for task in TASKS]
    parser.add_argument("--only", nargs="+", default=names, choices=names, metavar="TASK")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=10, help="at least 2")
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error(f"--seeds {arguments.seeds} must be at least 2, for an interval")
    for task in TASKS:
        if task.name not in arguments.only:
            continue
        row = run(task, first_seed=arguments.first_seed, num_seeds=arguments.seeds)
        store(row, arguments.out, identity=("task",))
        print(f"{task.name} @ {row['total_steps']:,} steps, {row['seconds']:.0f} s", flush=True)
        for check in row["checks"]:
            print("   ", said(check), flush=True)


if __name__ == "__main__":
    main()

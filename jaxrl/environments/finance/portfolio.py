"""Portfolio choice: weights over assets and cash, decided anew every period, at a cost.

A period goes as follows. The agent sees the weights that the last prices have made of its own, and
says which it wants. The trade is paid out of the portfolio (`commission_factor`), prices move, and
the weights drift with them:

    wealth' = wealth mu (w_0 exp(r dt) + sum_i w_i exp(log return_i))

Long only, and nothing is borrowed: no weight is negative. Left out are short positions, leverage,
fixed fees, whole lots, taxes, the effect of the trade on the price, and dividends, which prices are
taken to include.
"""

import inspect
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from jaxrl.environments.builder import build_environment
from jaxrl.environments.finance._commission import commission_share
from jaxrl.environments.finance._requirements import (
    FINITE_AND_NOT_NEGATIVE,
    FINITE_AND_POSITIVE,
    require_number,
    require_one_of,
    require_whole,
)
from jaxrl.environments.finance.asset_returns import (
    ReturnProcess,
    correlated_walks,
    historical_returns,
    jump_diffusion,
    regime_switching,
)
from jaxrl.environments.finance.prices import (
    check_rows,
    first_test_row,
    price_array,
    read_prices,
)
from jaxrl.types import Action, Box, Environment, Key, TimeStep

# Softmax of numbers between -5 and 5: no weight is less than e^-10 of another.
LARGEST_LOGIT = 5.0

_CHOICES = {
    "span": ("train", "test", "all"),
    "simulator": ("walks", "regimes", "jumps"),
    "action": ("softmax", "weights"),
    "reward": ("log_growth", "mean_variance", "differential_sharpe"),
}
_WALKS = ("drift", "volatility", "correlation")
_REGIMES = ("regime_drift", "regime_volatility", "transition")
_JUMPS = ("jump_intensity", "jump_mean", "jump_deviation")


class PortfolioState(NamedTuple):
    """State of a portfolio of N assets and cash, between two decisions.

    Attributes:
        market: state of the process that returns come from.
        history: [window, N], latest last: log returns in units of their typical deviation; () where
            none is seen, for there are tools that cannot take an array without a number.
        weights: [M] with M = N + 1, cash first, as prices have left them; they sum to 1.
        wealth: in units of the first wealth.
        moments: [2], moving means of the return above cash and of its square.
        time: decisions taken.
    """

    market: Any
    history: Any
    weights: Float[Array, " M"]
    wealth: Float[Array, ""]
    moments: Float[Array, "2"]
    time: Int[Array, ""]


def portfolio(
    *,
    prices: Any = None,
    span: str = "train",
    test_share: float = 0.25,
    largest_gap: float | None = None,
    simulator: str = "walks",
    drift: Any = (0.04, 0.06, 0.12),
    volatility: Any = (0.2, 0.3, 0.4),
    correlation: Any = 0.3,
    regime_drift: Any = (0.04, -0.2),
    regime_volatility: Any = (0.8, 1.7),
    transition: Any = (0.98, 0.02, 0.06, 0.94),
    jump_intensity: Any = 2.0,
    jump_mean: Any = -0.03,
    jump_deviation: Any = 0.05,
    riskless_rate: Any = 0.02,
    buying_cost: Any = 0.0025,
    selling_cost: Any = 0.0025,
    periods_per_year: Any = 52.0,
    num_periods: int = 52,
    window: int = 5,
    action: str = "softmax",
    reward: str = "log_growth",
    risk_aversion: Any = 1.0,
    adaptation: Any = 0.02,
) -> Environment:
    """Builds portfolio choice; an episode is a number of periods, whose end it observes.

    Args:
        prices, largest_gap: [time, assets] or a path, see `read_prices`; None: simulated.
        span, test_share: which rows are played: "train", "test" (the last share) or "all".
        simulator: "walks", "regimes" or "jumps", see `asset_returns`, as for all up to jump_...
        riskless_rate: of cash, per year, compounded continuously.
        buying_cost, selling_cost: shares of the money that is traded.
        periods_per_year, num_periods: decisions per year and per episode.
        window: how many past returns are seen.
        action: what an action [N + 1] is: logits ("softmax") or "weights", which are normalised.
        reward: "log_growth", "mean_variance" or "differential_sharpe";
            the last is `differential_sharpe` of the return above cash.
        risk_aversion, adaptation: of "mean_variance", and of "differential_sharpe".

    Returns:
        The environment. It observes the past returns in units of their deviation, window by window
        (latest last), the weights (cash first) and the share of the periods that are left.

    Raises:
        ValueError: a parameter is impossible, or would do nothing.
    """
    parameters = dict(locals())
    _check(parameters)
    with jax.ensure_compile_time_eval():
        return _environment_of(_process(parameters), parameters)


def differential_sharpe(
    excess: Float[Array, ""],
    moments: Float[Array, "2"],
    *,
    adaptation: Any,
    least_variance: Any,
) -> tuple[Float[Array, ""], Float[Array, "2"]]:
    """The derivative of a moving Sharpe ratio by the share that one more return has in it.

        D = (B dA - A dB / 2) / (B - A^2)^(3/2),    dA = e - A,    dB = e^2 - B

    Args:
        excess: e, a period's return above cash.
        moments: A and B, moving means of e and of e^2.
        adaptation: the share by which they move: A + adaptation dA, B + adaptation dB.
        least_variance: what B - A^2 counts as at least. The source has no such limit, and divides
            by 0 where there is no risk.

    Returns:
        D; the moments after it.

    Source: Moody and Saffell (2001), "Learning to trade via direct reinforcement", section II.
    """
    change = jnp.stack([excess, excess**2]) - moments
    variance = jnp.maximum(moments[1] - moments[0] ** 2, least_variance)
    reward = (moments[1] * change[0] - moments[0] * change[1] / 2) / variance**1.5
    return reward, moments + adaptation * change


def _environment_of(process: ReturnProcess, parameters: dict[str, Any]) -> Environment:
    count, num_periods, window = (
        process.num_assets,
        parameters["num_periods"],
        parameters["window"],
    )
    deviation = jnp.asarray(process.deviation, jnp.float32)
    cash_growth = jnp.exp(jnp.float32(parameters["riskless_rate"] / parameters["periods_per_year"]))
    variance = jnp.mean(deviation**2)
    weights_of = jax.nn.softmax if parameters["action"] == "softmax" else _normalized

    def observe(state: PortfolioState) -> Array:
        left = 1.0 - state.time / num_periods
        seen = [state.history.reshape(-1)] if window else []
        return jnp.concatenate([*seen, state.weights, left[None]])

    def reset(key: Key) -> tuple[PortfolioState, Array]:
        market, returns = process.start(key)
        state = PortfolioState(
            market=market,
            history=returns / deviation if window else (),
            weights=jnp.zeros(count + 1).at[0].set(1.0),
            wealth=jnp.float32(1),
            moments=jnp.stack([jnp.float32(0), variance]),
            time=jnp.int32(0),
        )
        return state, observe(state)

    def step(key: Key, state: PortfolioState, action: Action) -> tuple[PortfolioState, TimeStep]:
        market, log_returns = process.draw(key, state.market)
        wanted = weights_of(action)
        traded = _trade(state.weights, wanted, parameters)
        values = wanted * jnp.concatenate([cash_growth[None], jnp.exp(log_returns)])
        total = jnp.sum(values)
        log_growth = jnp.log1p(-traded["cost"]) + jnp.log(total)
        reward, moments = _reward(log_growth, cash_growth, state.moments, variance, parameters)
        later = [state.history[1:], (log_returns / deviation)[None]] if window else []
        after = PortfolioState(
            market=market,
            history=jnp.concatenate(later) if window else (),
            weights=values / total,
            wealth=state.wealth * (1.0 - traded["cost"]) * total,
            moments=moments,
            time=state.time + 1,
        )
        info = {"weights": wanted, "return": jnp.expm1(log_growth), "wealth": after.wealth}
        ended = after.time >= num_periods
        return after, TimeStep(observe(after), reward, ended, jnp.array(False), traded | info)

    low, high = (-LARGEST_LOGIT, LARGEST_LOGIT) if weights_of is jax.nn.softmax else (0.0, 1.0)
    return build_environment(
        name="finance/portfolio",
        reset=reset,
        step=step,
        observation_space=Box(-jnp.inf, jnp.inf, (window * count + count + 2,)),
        action_space=Box(low, high, (count + 1,)),
        max_episode_steps=num_periods,
    )


def _normalized(action: Float[Array, " M"]) -> Float[Array, " M"]:
    """Weights from numbers of which none should be negative; where all are 0, cash."""
    positive = jnp.maximum(action, 0.0)
    total = jnp.sum(positive)
    in_cash = jnp.arange(action.shape[0]) == 0
    # What is no number stays none: it is no wish for cash.
    return jnp.where(total == 0, in_cash, positive / jnp.where(total == 0, 1.0, total))


def _trade(
    before: Float[Array, " M"], wanted: Float[Array, " M"], parameters: dict[str, Any]
) -> dict[str, Array]:
    """What a trade costs, and the value of all purchases and sales, as shares of the wealth."""
    costs = {name: parameters[name] for name in ("buying_cost", "selling_cost")}
    cost = commission_share(before, wanted, **costs)
    after = (1.0 - cost) * wanted
    return {"cost": cost, "turnover": jnp.sum(jnp.abs(after - before)[1:])}


def _reward(
    log_growth: Float[Array, ""],
    cash_growth: Float[Array, ""],
    moments: Float[Array, "2"],
    variance: Float[Array, ""],
    parameters: dict[str, Any],
) -> tuple[Float[Array, ""], Float[Array, "2"]]:
    """One period's reward, and the moments of the differential Sharpe ratio after it."""
    change = jnp.expm1(log_growth)
    if parameters["reward"] == "log_growth":
        return log_growth, moments
    if parameters["reward"] == "mean_variance":
        return change - parameters["risk_aversion"] * change**2 / 2, moments
    return differential_sharpe(
        change - (cash_growth - 1.0),
        moments,
        adaptation=parameters["adaptation"],
        least_variance=variance / 100,
    )


def _process(parameters: dict[str, Any]) -> ReturnProcess:
    """Where returns come from."""
    if parameters["prices"] is not None:
        return _historical(parameters)
    names = {
        "walks": (correlated_walks, _WALKS),
        "regimes": (regime_switching, _WALKS + _REGIMES),
        "jumps": (jump_diffusion, _WALKS + _JUMPS),
    }
    simulator, used = names[parameters["simulator"]]
    given: dict[str, Any] = {name: parameters[name] for name in used}
    period = 1 / parameters["periods_per_year"]
    return simulator(**given, period=period, window=parameters["window"])


def _historical(parameters: dict[str, Any]) -> ReturnProcess:
    """The span's returns. Rows after it are not looked at, be they what they may."""
    given, window = parameters["prices"], parameters["window"]
    if isinstance(given, str | Path):
        given = read_prices(given, largest_gap=parameters["largest_gap"]).prices
    prices = price_array(given)
    span, num_periods = parameters["span"], parameters["num_periods"]
    split = first_test_row(len(prices), parameters["test_share"]) if span != "all" else 0
    first, end = {"train": (0, split), "test": (split, len(prices)), "all": (0, len(prices))}[span]
    # The first test returns are seen after those before them, which are not traded again.
    known = range(0 if span == "test" else first, end)
    check_rows(prices, known)
    log_returns = np.diff(np.log(prices[known.start : known.stop]), axis=0)
    first = max(first, window)
    if first + num_periods > end - 1:
        raise ValueError(
            f"num_periods={num_periods} after window={window} needs more rows of prices than "
            f"span={span!r} has: {end} of {len(prices)} rows end with it, and "
            f"{max(end - 1 - first, 0)} periods are left from row {first} on"
        )
    seen = log_returns[: split - 1] if span == "test" else log_returns
    deviation = np.std(seen, axis=0) if len(seen) else np.zeros(prices.shape[1])
    return historical_returns(
        log_returns,
        first=first,
        last=end - 1 - num_periods,
        deviation=np.where(deviation > 0, deviation, 1.0),
        window=window,
    )


def _check(parameters: dict[str, Any]) -> None:
    """Refuses parameters that are impossible, or that would do nothing."""
    for name, choices in _CHOICES.items():
        require_one_of(name, parameters[name], choices)
    for name, least in (("num_periods", 1), ("window", 0)):
        require_whole(name, parameters[name], minimum=least)
    is_share = (lambda x: (x >= 0) & (x < 1)), "be a share of the money traded, from 0 to below 1"
    for name, (holds, should) in {
        "riskless_rate": (np.isfinite, "be finite"),
        "buying_cost": is_share,
        "selling_cost": is_share,
        "periods_per_year": FINITE_AND_POSITIVE,
        "jump_intensity": FINITE_AND_NOT_NEGATIVE,
        "risk_aversion": FINITE_AND_NOT_NEGATIVE,
        "adaptation": ((lambda x: (x > 0) & (x <= 1)), "be above 0 and at most 1"),
    }.items():
        require_number(name, parameters[name], holds, should)
    _refuse_unused(parameters)


def _refuse_unused(parameters: dict[str, Any]) -> None:
    """Refuses another value than the default where it would change nothing."""
    simulated = parameters["prices"] is None
    simulator, reward = parameters["simulator"], parameters["reward"]
    from_file = isinstance(parameters["prices"], str | Path)
    needs = {
        (*_WALKS, "simulator"): (simulated, "simulated returns, without prices"),
        _REGIMES: (simulated and simulator == "regimes", "simulator='regimes'"),
        _JUMPS: (simulated and simulator == "jumps", "simulator='jumps'"),
        ("span",): (not simulated, "prices"),
        ("test_share",): (
            not simulated and parameters["span"] != "all",
            "prices and span='train' or 'test'",
        ),
        ("largest_gap",): (from_file, "prices from a file"),
        ("risk_aversion",): (reward == "mean_variance", "reward='mean_variance'"),
        ("adaptation",): (reward == "differential_sharpe", "reward='differential_sharpe'"),
    }
    defaults = inspect.signature(portfolio).parameters
    for names, (is_used, needed) in needs.items():
        for name in names:
            if not is_used and _differs(parameters[name], defaults[name].default):
                raise ValueError(f"{name}={parameters[name]} does nothing here: it needs {needed}")


def _differs(value: Any, default: Any) -> bool:
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value)):
        return True
    return value is not default and not np.array_equal(value, default)

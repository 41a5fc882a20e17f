"""Quotes by (time, inventory): baselines, the exact optimum of the task, and exact results.

A table of quotes is [N, 2 Q + 1, 2]: the depths of bid and ask in dollars, in each step and for the
inventories -Q .. Q. All functions take the parameters of `market_making` by name, so that one dict
makes the environment and all that is compared in it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxrl.environments.finance._market import (
    Market,
    action_of,
    fill_probability,
    own_conditions,
    running_cost,
    settled,
    terminal_cost,
    variance,
)
from jaxrl.environments.finance.avellaneda_stoikov import (
    avellaneda_stoikov_depths,
    average_spread,
    market_making_optimum,
)
from jaxrl.types import Policy

# The search for the best quotes: a grid, and ever smaller grids around its best.
_GRID = 33
_FINE_GRID = 7
_ZOOMS = 7


class QuoteResults(NamedTuple):
    """Exact results of a table of quotes, from no inventory to the horizon; shapes ().

    Attributes:
        objective: the expected sum of the task's rewards, dollars.
        profit: the expected profit, inventory counted at the mid price, dollars.
        profit_deviation: its standard deviation, dollars.
        inventory: the expected inventory at the end, shares.
        inventory_deviation: its standard deviation, shares.
    """

    objective: Float[Array, ""]
    profit: Float[Array, ""]
    profit_deviation: Float[Array, ""]
    inventory: Float[Array, ""]
    inventory_deviation: Float[Array, ""]


def symmetric_quotes(**parameters: Any) -> Float[Array, "N inventories 2"]:
    """The symmetric strategy: the average optimal spread around the mid price, at all times.

    Args:
        **parameters: of `market_making`; `risk_aversion` is that of the spread.

    Returns:
        Depths in dollars.
    """
    market = settled(Market(**parameters))
    spread = average_spread(
        market.horizon,
        risk_aversion=market.risk_aversion,
        volatility=market.volatility,
        depth_decay=market.depth_decay,
    )
    return jnp.full((market.num_steps, 2 * market.inventory_limit + 1, 2), 0.5 * spread)


def avellaneda_stoikov_quotes(**parameters: Any) -> Float[Array, "N inventories 2"]:
    """The inventory strategy of Avellaneda and Stoikov (2008).

    It knows neither a drift, nor penalties, nor the limit of the inventory.

    Args:
        **parameters: of `market_making`; `risk_aversion` is that of the quotes.

    Returns:
        Depths in dollars.
    """
    market = settled(Market(**parameters))
    time_left = market.horizon - market.step_length * jnp.arange(market.num_steps)
    return avellaneda_stoikov_depths(
        _inventories(market)[None, :],
        time_left[:, None],
        risk_aversion=market.risk_aversion,
        volatility=market.volatility,
        depth_decay=market.depth_decay,
    )


def continuous_optimum_quotes(**parameters: Any) -> Float[Array, "N inventories 2"]:
    """The optimum in continuous time, by matrix exponential.

    With running and terminal penalties and no risk aversion it is that of Cartea, Jaimungal and
    Penalva (2015); with risk aversion that of Guéant, Lehalle and Fernandez-Tapia (2013) for an
    exponential utility, close to but not quite the optimum of the task. In steps of T / N it is
    optimal up to terms of that order; `optimal_quotes` has the optimum of the task itself.

    Args:
        **parameters: of `market_making`.

    Returns:
        Depths in dollars.
    """
    market = settled(Market(**parameters))
    return market_making_optimum(
        volatility=market.volatility,
        arrival_rate=market.arrival_rate,
        depth_decay=market.depth_decay,
        horizon=market.horizon,
        num_steps=market.num_steps,
        inventory_limit=market.inventory_limit,
        running_penalty=market.running_penalty,
        terminal_penalty=market.terminal_penalty,
        liquidation_cost=market.liquidation_cost,
        risk_aversion=market.risk_aversion,
        drift=market.drift,
    ).depths


def optimal_quotes(**parameters: Any) -> Float[Array, "N inventories 2"]:
    """The exact optimum of the task, by backward induction over its own steps.

    In each step and for each inventory, the pair of depths within the bounds is searched on a grid,
    then on smaller ones around the best, down to a ten-thousandth of the bounds' distance. The
    second player is left out.

    Args:
        **parameters: of `market_making`.

    Returns:
        Depths in dollars.
    """
    market = settled(Market(**parameters))
    inventory = _inventories(market)

    def back(value: Array, _: None) -> tuple[Array, Array]:
        depths = _best_depths(market, value)
        return value + _advantage(market, value, depths), depths

    terminal = -terminal_cost(market, inventory)
    return jax.lax.scan(back, terminal, None, length=market.num_steps, reverse=True)[1]


def quote_results(
    quotes: Float[Array | np.ndarray, "N inventories 2"], **parameters: Any
) -> QuoteResults:
    """The exact results of a table of quotes, without simulation.

    Expectations and variances go backward through the steps, by the law of total variance.

    Args:
        quotes: depths in dollars, which are clipped to the market's bounds.
        **parameters: of `market_making`. The second player is left out.

    Returns:
        Means and standard deviations.

    Raises:
        ValueError: the table is of another market's steps or inventories.
    """
    market = settled(Market(**parameters))
    quotes = _checked(market, quotes)
    inventory = _inventories(market)
    zero = jnp.zeros_like(inventory)

    def back(carry: Any, depths: Array) -> tuple[Any, None]:
        value, profit, spread, end, end_spread = carry
        depths = jnp.clip(depths, market.min_depth, market.max_depth)
        weights, gains, held = _outcomes(market, depths)
        pick = lambda x: x[held + market.inventory_limit]  # noqa: E731
        noise = market.volatility**2 * market.step_length * held**2
        later, later_end = gains + pick(profit), pick(end)
        mean = jnp.sum(weights * later, axis=0)
        mean_end = jnp.sum(weights * later_end, axis=0)
        spread = jnp.sum(weights * (pick(spread) + noise + (later - mean) ** 2), axis=0)
        end_spread = jnp.sum(weights * (pick(end_spread) + (later_end - mean_end) ** 2), axis=0)
        return (value + _advantage(market, value, depths), mean, spread, mean_end, end_spread), None

    paid = terminal_cost(market, inventory)
    cost = paid if market.at_horizon == "liquidate" else zero
    start = (-paid, -cost, zero, inventory, zero)
    carry, _ = jax.lax.scan(back, start, quotes, reverse=True)
    value, profit, spread, end, end_spread = [x[market.inventory_limit] for x in carry]
    return QuoteResults(value, profit, jnp.sqrt(spread), end, jnp.sqrt(end_spread))


def quote_policy(quotes: Float[Array | np.ndarray, "N inventories 2"], **parameters: Any) -> Policy:
    """The policy that plays a table of quotes in `market_making`.

    Args:
        quotes: depths in dollars, which are clipped to the market's bounds.
        **parameters: those of the environment that it plays in.

    Returns:
        A policy without memory, as `jaxrl.evaluate` takes it.

    Raises:
        ValueError: the table is of another market's steps or inventories.

    Example:
        >>> import jax, jaxrl
        >>> from jaxrl.environments import finance
        >>> market = {"num_steps": 50, "inventory_limit": 10}
        >>> policy = finance.quote_policy(finance.symmetric_quotes(**market), **market)
        >>> env = finance.market_making(**market)
        >>> jaxrl.evaluate(jax.random.key(0), env, policy, num_episodes=8).lengths.max().item()
        50
    """
    market = settled(Market(**parameters))
    quotes = _checked(market, quotes)

    def act(key: Any, carry: Any, observation: Array) -> tuple[Any, Array]:
        del key
        held = jnp.round(observation[0] * market.inventory_scale).astype(jnp.int32)
        left = jnp.round(observation[1] * market.num_steps).astype(jnp.int32)
        depths = quotes[market.num_steps - left, held + market.inventory_limit]
        return carry, action_of(market, depths)

    return Policy(start=lambda key: (), act=act)


def _checked(market: Market, quotes: Any) -> Float[Array, "N inventories 2"]:
    """A table of quotes as JAX's array, if it is one of this market."""
    expected = (market.num_steps, 2 * market.inventory_limit + 1, 2)
    if np.shape(quotes) != expected:
        raise ValueError(f"quotes have shape {np.shape(quotes)}, but the market needs {expected}")
    return jnp.asarray(quotes, jnp.result_type(float))


def _inventories(market: Market) -> Float[Array, " inventories"]:
    limit = market.inventory_limit
    return jnp.arange(-limit, limit + 1, dtype=jnp.result_type(float))


def _outcomes(market: Market, depths: Float[Array, "inventories 2"]) -> tuple[Any, Any, Any]:
    """What a step may bring: no fill, the bid's, the ask's, both.

    Returns:
        Probabilities [4, 2 Q + 1], expected gains in dollars, and shares held after it, int32.
    """
    inventory = _inventories(market)
    conditions = own_conditions(market)
    bid, ask = jnp.moveaxis(fill_probability(market, depths, inventory, conditions), -1, 0)
    weights = jnp.stack([(1 - bid) * (1 - ask), bid * (1 - ask), (1 - bid) * ask, bid * ask])
    bought = jnp.array([0, 1, 0, 1])[:, None]
    sold = jnp.array([0, 0, 1, 1])[:, None]
    held = inventory.astype(jnp.int32) + bought - sold
    # Beyond the limit the probability is 0.
    held = jnp.clip(held, -market.inventory_limit, market.inventory_limit)
    gains = bought * depths[:, 0] + sold * depths[:, 1]
    return weights, gains + held * market.drift * market.step_length, held


def _advantage(
    market: Market, value: Float[Array, " inventories"], depths: Float[Array, "inventories *grid 2"]
) -> Float[Array, "inventories *grid"]:
    """What a step with these depths and the future after it are worth beyond the future's value.

    Differences of values, and not values, are added to a step's small gains: a float32 keeps more
    digits of them.

    Args:
        market: the parameters.
        value: of each inventory after the step, dollars.
        depths: of each inventory, dollars.
    """
    between = (1,) * (depths.ndim - 2)
    inventory = _inventories(market)
    conditions = own_conditions(market)
    drift = market.drift * market.step_length
    up = jnp.append(value[1:] - value[:-1], 0.0) + drift
    down = jnp.append(0.0, value[:-1] - value[1:]) - drift
    up = up - running_cost(market, inventory + 1) + running_cost(market, inventory)
    down = down - running_cost(market, inventory - 1) + running_cost(market, inventory)
    inventory, up, down = (x.reshape(-1, *between) for x in (inventory, up, down))
    probability = fill_probability(
        market, depths, jnp.broadcast_to(inventory, depths.shape[:-1]), conditions
    )
    bid, ask = probability[..., 0], probability[..., 1]
    risk = variance(market, depths, probability, inventory, conditions)
    gain = jnp.sum(probability * depths, axis=-1) + inventory * drift
    future = bid * (1.0 - ask) * up + (1.0 - bid) * ask * down
    cost = running_cost(market, inventory) + 0.5 * market.risk_aversion * risk
    return gain + future - cost


def _best_depths(
    market: Market, value: Float[Array, " inventories"]
) -> Float[Array, "inventories 2"]:
    """The depths of the greatest advantage, of each inventory."""
    low, high = market.min_depth, market.max_depth
    middle = jnp.full((value.shape[0], 2), 0.5 * (low + high))
    best = _best_around(market, value, middle, 0.5 * (high - low), _GRID)
    # Neighbours of a grid's best lie one spacing away.
    width = (high - low) / (_GRID - 1)
    for _ in range(_ZOOMS):
        best = _best_around(market, value, best, width, _FINE_GRID)
        width = width * 2.0 / (_FINE_GRID - 1)
    return best


def _best_around(
    market: Market, value: Array, middle: Float[Array, "inventories 2"], width: Any, count: int
) -> Float[Array, "inventories 2"]:
    """The best depths on a square grid around a middle."""
    line = jnp.linspace(-1.0, 1.0, count)
    offsets = jnp.stack(jnp.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    depths = middle[:, None, :] + width * offsets
    depths = jnp.clip(depths, market.min_depth, market.max_depth)
    best = jnp.argmax(_advantage(market, value, depths), axis=1)
    return jnp.take_along_axis(depths, best[:, None, None], axis=1)[:, 0]

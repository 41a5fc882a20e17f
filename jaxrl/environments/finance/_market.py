"""The market of Avellaneda and Stoikov: its parameters, and what one step brings."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from jaxrl.environments.finance._requirements import (
    FINITE_AND_NOT_NEGATIVE,
    FINITE_AND_POSITIVE,
    is_exactly,
    plain_number,
    require,
    require_number,
    require_one_of,
    require_whole,
)
from jaxrl.types import Box, Key, Policy

CHOICES = {
    "actions": ("depths", "skew-spread"),
    "price_moves": ("normal", "binomial"),
    "fill_probability": ("linear", "exponential"),
    "at_horizon": ("mark", "liquidate"),
    "opponent": ("none", "fixed", "random", "policy"),
}


class Market(NamedTuple):
    """The parameters of market making; floats may be traced, the rest is static.

    Attributes:
        initial_price: of the mid, dollars.
        volatility: sigma of the mid price, dollars per square root of a day.
        drift: mu of the mid price, dollars per day.
        arrival_rate: A, orders per day on each side at depth 0.
        depth_decay: k, 1 / dollar; at a depth of d dollars the rate is A exp(-k d).
        horizon: T, days.
        num_steps: N, the steps of an episode, of T / N days each.
        inventory_limit: Q, shares; at the limit there is no quote that would break it.
        risk_aversion: gamma, 1 / dollar. Half of it is the price of a step's variance in the
            reward.
        running_penalty: phi, dollars per share^2 and day.
        terminal_penalty: alpha, dollars per share^2 held at the end.
        liquidation_cost: c, dollars per share that is sold at the end; needs "liquidate".
        at_horizon: "mark": what is held at the end counts at the mid price, and the terminal
            penalty is in the reward only. "liquidate": it is sold, and cash pays both costs.
        min_depth: the least depth of a quote, dollars; below 0 it crosses the mid price.
        max_depth: the greatest, dollars.
        actions: "depths": of bid and ask; "skew-spread": how far the middle of the quotes lies
            above the mid price, and how far apart they are.
        price_moves: "normal", or "binomial": up or down by sigma sqrt(T / N).
        fill_probability: of a quote in a step of rate * T / N orders: "linear", that number and at
            most 1; "exponential": that of one order or more in a Poisson process. In both, a step
            brings one fill for each side at most.
        inventory_scale: shares that are observed as 1.
        opponent: the second player, who sets drift and order flow: "none"; "fixed", who plays
            `fixed_choice`; "random", who draws a choice for each episode; "policy".
        opponent_policy: a `Policy` that chooses in every step, for "policy".
        fixed_choice: of "fixed": three numbers from -1 to 1 for drift, arrival rate and depth
            decay. None: (1, -1, 1), a rising market with few orders, near the mid price.
        drift_deviation: how far a choice moves the drift, dollars per day.
        rate_deviation: how far it moves the arrival rate, as a share of it.
        decay_deviation: how far it moves the depth decay, as a share of it.
    """

    initial_price: Any = 100.0
    volatility: Any = 2.0
    drift: Any = 0.0
    arrival_rate: Any = 140.0
    depth_decay: Any = 1.5
    horizon: Any = 1.0
    num_steps: int = 200
    inventory_limit: int = 50
    risk_aversion: Any = 0.1
    running_penalty: Any = 0.0
    terminal_penalty: Any = 0.0
    liquidation_cost: Any = 0.0
    at_horizon: str = "mark"
    min_depth: Any = -2.0
    max_depth: Any = 5.0
    actions: str = "depths"
    price_moves: str = "normal"
    fill_probability: str = "linear"
    inventory_scale: Any = 5.0
    opponent: str = "none"
    opponent_policy: Any = None
    fixed_choice: Any = None
    drift_deviation: Any = 5.0
    rate_deviation: Any = 0.25
    decay_deviation: Any = 0.25

    @property
    def step_length(self) -> Any:
        """T / N, days."""
        return self.horizon / self.num_steps


DEFAULTS = Market()
_FLOATS = tuple(name for name, value in DEFAULTS._asdict().items() if isinstance(value, float))


class Conditions(NamedTuple):
    """What the second player may set; shapes ().

    Attributes:
        drift: of the mid price, dollars per day.
        arrival_rate: orders per day and side at depth 0.
        depth_decay: 1 / dollar.
    """

    drift: Any
    arrival_rate: Any
    depth_decay: Any


class Book(NamedTuple):
    """Time, price and the market maker's books; shapes ().

    Attributes:
        time: int32, steps taken.
        price_move: of the mid since the start, dollars.
        inventory: int32, shares; negative if short.
        cash: dollars; 0 at the start.
        profit: cash and inventory at the mid price, less what they were at the start, dollars;
            summed from each step's gain, so that it has the digits of gains and not of prices.
    """

    time: Int[Array, ""]
    price_move: Float[Array, ""]
    inventory: Int[Array, ""]
    cash: Float[Array, ""]
    profit: Float[Array, ""]


def open_book() -> Book:
    """The books at an episode's start: nothing held, nothing earned."""
    zero = jnp.float32(0)
    return Book(time=jnp.int32(0), price_move=zero, inventory=jnp.int32(0), cash=zero, profit=zero)


def trade(
    market: Market, key: Key, book: Book, depths: Float[Array, "2"], conditions: Conditions
) -> tuple[Book, Float[Array, ""], Bool[Array, ""]]:
    """One step: quotes are filled, then the mid price moves.

    Args:
        market: the parameters.
        key: consumed.
        book: before.
        depths: of bid and ask, dollars, within the market's bounds.
        conditions: drift and order flow of this step.

    Returns:
        The books after, the reward in dollars, and whether the horizon is reached.
    """
    length = market.step_length
    draws = jax.random.uniform(key, (3,), minval=np.nextafter(np.float32(-1), 0), maxval=1.0)
    probability = fill_probability(market, depths, book.inventory, conditions)
    filled = draws[:2] < 2.0 * probability - 1.0
    bought, sold = filled[0].astype(jnp.int32), filled[1].astype(jnp.int32)
    held = book.inventory + bought - sold
    if market.price_moves == "normal":
        shock = np.sqrt(2.0) * jax.lax.erf_inv(draws[2])
    else:
        shock = jnp.where(draws[2] < 0.0, -1.0, 1.0)
    move = conditions.drift * length + market.volatility * jnp.sqrt(length) * shock
    gain = jnp.sum(filled * depths) + held * move
    mid_price = market.initial_price + book.price_move
    cash = book.cash - bought * (mid_price - depths[0]) + sold * (mid_price + depths[1])
    price_move = book.price_move + move
    risk = running_cost(market, held) + 0.5 * market.risk_aversion * variance(
        market, depths, probability, book.inventory, conditions
    )
    time = book.time + 1
    ended = time >= market.num_steps
    cost = jnp.where(ended, terminal_cost(market, held), 0.0)
    reward = gain - risk - cost
    if market.at_horizon == "liquidate":
        gain = gain - cost
        sale = held * (market.initial_price + price_move) - cost
        cash = cash + jnp.where(ended, sale, 0.0)
        held = jnp.where(ended, 0, held)
    after = Book(
        time=time,
        price_move=price_move,
        inventory=held,
        cash=cash,
        profit=book.profit + gain,
    )
    # Books keep their types where JAX's default is float64.
    after = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), after, book)
    return after, reward, ended


def fill_probability(
    market: Market, depths: Any, inventory: Any, conditions: Conditions
) -> Float[Array, "*shape 2"]:
    """The probability that bid and ask are filled in a step, 0 where a limit would be broken.

    Args:
        market: the parameters.
        depths: [..., 2], dollars.
        inventory: [...], shares.
        conditions: order flow.
    """
    rate = conditions.arrival_rate * jnp.exp(-conditions.depth_decay * depths)
    orders = rate * market.step_length
    if market.fill_probability == "linear":
        probability = jnp.minimum(orders, 1.0)
    else:
        probability = -jnp.expm1(-orders)
    limit = market.inventory_limit
    open_sides = jnp.stack([inventory < limit, inventory > -limit], axis=-1)
    return jnp.where(open_sides, probability, 0.0)


def variance(
    market: Market, depths: Any, probability: Any, inventory: Any, conditions: Conditions
) -> Float[Array, "*shape"]:
    """The variance of a step's gain, given the quotes, in dollars^2.

    A fill brings its depth, and as much more or less as the price is expected to drift. What is
    held after the fills moves with the price.

    Args:
        market: the parameters.
        depths: [..., 2], dollars.
        probability: [..., 2] that bid and ask are filled.
        inventory: [...], shares before the step.
        conditions: drift.
    """
    drift = conditions.drift * market.step_length
    spread = probability * (1.0 - probability)
    earned = (depths[..., 0] + drift) ** 2 * spread[..., 0]
    earned = earned + (depths[..., 1] - drift) ** 2 * spread[..., 1]
    mean = inventory + probability[..., 0] - probability[..., 1]
    square = mean**2 + spread[..., 0] + spread[..., 1]
    return earned + market.volatility**2 * market.step_length * square


def running_cost(market: Market, inventory: Any) -> Any:
    """The running penalty of a step in which so many shares are held, dollars."""
    return market.running_penalty * market.step_length * inventory**2


def terminal_cost(market: Market, inventory: Any) -> Any:
    """The cost of so many shares at the end, dollars."""
    cost = market.terminal_penalty * inventory**2
    return cost + market.liquidation_cost * jnp.abs(inventory)


def own_conditions(market: Market) -> Conditions:
    """Drift and order flow as the parameters have them."""
    return Conditions(market.drift, market.arrival_rate, market.depth_decay)


def chosen_conditions(market: Market, choice: Float[Array, "3"]) -> Conditions:
    """Drift and order flow as a second player sets them.

    Args:
        market: the parameters.
        choice: three numbers, which are clipped to -1 .. 1.
    """
    choice = jnp.clip(jnp.reshape(choice, (3,)), -1.0, 1.0)
    return Conditions(
        drift=market.drift + choice[0] * market.drift_deviation,
        arrival_rate=market.arrival_rate * (1.0 + choice[1] * market.rate_deviation),
        depth_decay=market.depth_decay * (1.0 + choice[2] * market.decay_deviation),
    )


def observe(market: Market, book: Book) -> Float[Array, "3"]:
    """What both players see: inventory, time left, and the price's move; near 1 in size.

    Args:
        market: the parameters.
        book: the present state.

    Returns:
        Inventory in units of `inventory_scale`, the share of the time that is left, and the move of
        the mid price since the start in units of sigma sqrt(T).
    """
    left = (market.num_steps - book.time) / market.num_steps
    # A market without volatility shows its move in dollars.
    deviation = market.volatility * jnp.sqrt(market.horizon)
    unit = jnp.where(deviation > 0.0, deviation, 1.0)
    return jnp.stack([book.inventory / market.inventory_scale, left, book.price_move / unit])


def observation_space(market: Market) -> Box:
    """The space of what both players see."""
    inventory = market.inventory_limit / market.inventory_scale
    return Box([-inventory, 0.0, -jnp.inf], [inventory, 1.0, jnp.inf], (3,))


def quote_space(market: Market) -> Box:
    """The space of the market maker's actions, in dollars."""
    low, high = market.min_depth, market.max_depth
    if market.actions == "depths":
        return Box(low, high, (2,))
    skew = 0.5 * (high - low)
    return Box([-skew, 2.0 * low], [skew, 2.0 * high], (2,))


def depths_of(market: Market, action: Float[Array, "2"]) -> Float[Array, "2"]:
    """The depths of bid and ask that an action means, within the bounds, in dollars."""
    action = jnp.reshape(action, (2,))
    if market.actions == "skew-spread":
        half = 0.5 * action[1]
        action = jnp.stack([half - action[0], half + action[0]])
    return jnp.clip(action, market.min_depth, market.max_depth)


def action_of(market: Market, depths: Float[Array, "2"]) -> Float[Array, "2"]:
    """The action that means these depths of bid and ask, in dollars."""
    depths = jnp.clip(depths, market.min_depth, market.max_depth)
    if market.actions == "depths":
        return depths
    return jnp.stack([0.5 * (depths[1] - depths[0]), depths[0] + depths[1]])


def settled(market: Market) -> Market:
    """The market with its parameters checked, and the choice of a fixed second player.

    Raises:
        ValueError: a parameter is impossible, or would do nothing.
    """
    _check_static(market)
    for name in ("drift", "min_depth", "max_depth"):
        require_number(name, getattr(market, name), np.isfinite, "be a finite number")
    for name in ("arrival_rate", "depth_decay", "horizon", "inventory_scale", "initial_price"):
        require_number(name, getattr(market, name), *FINITE_AND_POSITIVE)
    penalties = ("liquidation_cost", "running_penalty", "terminal_penalty", "risk_aversion")
    for name in ("volatility", *penalties):
        require_number(name, getattr(market, name), *FINITE_AND_NOT_NEGATIVE)
    market = market._replace(**{name: plain_number(getattr(market, name)) for name in _FLOATS})
    low, high = market.min_depth, market.max_depth
    if not isinstance(low, Tracer) and not isinstance(high, Tracer) and low >= high:
        raise ValueError(f"min_depth={low} must be less than max_depth={high}")
    if market.at_horizon == "mark" and not is_exactly(market.liquidation_cost, 0.0):
        raise ValueError(
            f"liquidation_cost={market.liquidation_cost} does nothing where at_horizon='mark': "
            "give at_horizon='liquidate'"
        )
    return _with_opponent(market)


def _check_static(market: Market) -> None:
    for name, allowed in CHOICES.items():
        require_one_of(name, getattr(market, name), allowed)
    for name in ("num_steps", "inventory_limit"):
        require_whole(name, getattr(market, name), minimum=1)


def _with_opponent(market: Market) -> Market:
    """The market with its second player checked, and the choice of a fixed one filled in."""
    for name in ("drift_deviation", "rate_deviation", "decay_deviation"):
        is_default = is_exactly(getattr(market, name), getattr(DEFAULTS, name))
        if market.opponent == "none" and not is_default:
            raise ValueError(f"{name} does nothing where opponent='none'")
    if market.fixed_choice is not None and market.opponent != "fixed":
        raise ValueError(f"fixed_choice does nothing where opponent={market.opponent!r}")
    if (market.opponent_policy is not None) != (market.opponent == "policy"):
        raise ValueError("opponent='policy' and opponent_policy belong together: give both")
    if market.opponent == "policy" and not isinstance(market.opponent_policy, Policy):
        kind = type(market.opponent_policy).__name__
        raise ValueError(f"opponent_policy must be a jaxrl Policy, not {kind}")
    require_number("drift_deviation", market.drift_deviation, *FINITE_AND_NOT_NEGATIVE)
    for name in ("rate_deviation", "decay_deviation"):
        is_share, should = (lambda x: (x >= 0) & (x < 1)), "be at least 0 and below 1"
        require_number(name, getattr(market, name), is_share, should)
    if market.opponent != "fixed":
        return market
    choice = (1.0, -1.0, 1.0) if market.fixed_choice is None else market.fixed_choice
    if np.shape(choice) != (3,):
        raise ValueError(f"fixed_choice={choice} must be three numbers from -1 to 1")
    market = market._replace(fixed_choice=jnp.asarray(choice, jnp.float32))
    should = "be three numbers from -1 to 1"
    require("fixed_choice", market.fixed_choice, lambda x: np.abs(x) <= 1, should)
    return market

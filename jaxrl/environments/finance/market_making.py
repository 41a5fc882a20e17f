"""Market making after Avellaneda and Stoikov (2008), against a market that may have a will."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxrl.environments.builder import build_environment
from jaxrl.environments.finance._market import (
    Book,
    Conditions,
    Market,
    chosen_conditions,
    depths_of,
    observation_space,
    observe,
    open_book,
    own_conditions,
    quote_space,
    settled,
    trade,
)
from jaxrl.types import Environment, Key, TimeStep


class MarketMakingState(NamedTuple):
    """The books, and the second player's memory.

    Attributes:
        book: time, price and the market maker's books.
        opponent: () where there is none or its choice is fixed; float32 [3] where it is drawn for
            the episode; the carry of a policy.
    """

    book: Book
    opponent: Any


def market_making(
    *,
    initial_price: Any = 100.0,
    volatility: Any = 2.0,
    drift: Any = 0.0,
    arrival_rate: Any = 140.0,
    depth_decay: Any = 1.5,
    horizon: Any = 1.0,
    num_steps: int = 200,
    inventory_limit: int = 50,
    risk_aversion: Any = 0.1,
    running_penalty: Any = 0.0,
    terminal_penalty: Any = 0.0,
    liquidation_cost: Any = 0.0,
    at_horizon: str = "mark",
    min_depth: Any = -2.0,
    max_depth: Any = 5.0,
    actions: str = "depths",
    price_moves: str = "normal",
    fill_probability: str = "linear",
    inventory_scale: Any = 5.0,
    opponent: str = "none",
    opponent_policy: Any = None,
    fixed_choice: Any = None,
    drift_deviation: Any = 5.0,
    rate_deviation: Any = 0.25,
    decay_deviation: Any = 0.25,
) -> Environment:
    """Builds the task of a dealer who quotes a bid and an ask around a random mid price.

    The parameters and their units are those of `Market`; the defaults are the market of Avellaneda
    and Stoikov's first table. In a step, each quote is filled with a probability that falls with
    its depth, then the mid price moves. The observation is inventory, time left and the price's
    move. The reward in dollars is the change of cash and inventory at the mid price, less phi
    q^2 T / N, less gamma / 2 times the variance of that change given the quotes, less the terminal
    cost; its expected sum is E[profit] - gamma / 2 sum E[variance] - phi int q^2 - alpha q_T^2. For
    quotes that do not depend on inventory, the variances add up to that of the profit; otherwise
    they leave out what expected gains vary from step to step. The opponent's doings are in the
    variance as if they were known. An episode ends by its horizon, whose time is observed:
    `terminated`.

    Returns:
        The environment; info has "profit" since the start, dollars, "inventory" and "mid_price".

    Raises:
        ValueError: a parameter is impossible, or would do nothing.

    Example:
        >>> market_making(num_steps=100, risk_aversion=0.0).max_episode_steps
        100
    """
    return _built(settled(Market(**locals())))


def _built(market: Market) -> Environment:
    def reset(key: Key) -> tuple[MarketMakingState, Array]:
        book = open_book()
        return MarketMakingState(book, _opponent_start(market, key)), observe(market, book)

    def step(key: Key, state: MarketMakingState, action: Array) -> tuple[MarketMakingState, Any]:
        key_opponent, key_trade = (
            jax.random.split(key) if market.opponent == "policy" else (key, key)
        )
        opponent, conditions = _opponent_act(market, key_opponent, state)
        book, reward, ended = trade(
            market, key_trade, state.book, depths_of(market, action), conditions
        )
        return MarketMakingState(book, opponent), time_step_of(market, book, reward, ended)

    return build_environment(
        name="finance/market-making",
        reset=reset,
        step=step,
        observation_space=observation_space(market),
        action_space=quote_space(market),
        max_episode_steps=market.num_steps,
    )


def time_step_of(market: Market, book: Book, reward: Any, ended: Any) -> TimeStep:
    """The answer of either player's environment.

    Args:
        market: the parameters.
        book: after the step.
        reward: of the player, dollars.
        ended: whether the horizon is reached.
    """
    return TimeStep(
        observation=observe(market, book),
        reward=reward,
        terminated=ended,
        truncated=jnp.array(False),
        info={
            "profit": book.profit,
            "inventory": book.inventory,
            "mid_price": market.initial_price + book.price_move,
        },
    )


def _opponent_start(market: Market, key: Key) -> Any:
    """The second player's memory at an episode's start."""
    if market.opponent == "random":
        return jax.random.uniform(key, (3,), minval=-1.0, maxval=1.0)
    if market.opponent == "policy":
        return market.opponent_policy.start(key)
    return ()


def _opponent_act(market: Market, key: Key, state: MarketMakingState) -> tuple[Any, Conditions]:
    """The second player's memory after its choice, and the market that it makes."""
    if market.opponent == "none":
        return (), own_conditions(market)
    if market.opponent == "fixed":
        return (), chosen_conditions(market, market.fixed_choice)
    if market.opponent == "random":
        return state.opponent, chosen_conditions(market, state.opponent)
    observation = observe(market, state.book)
    carry, choice = market.opponent_policy.act(key, state.opponent, observation)
    return carry, chosen_conditions(market, choice)

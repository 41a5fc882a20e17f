"""The other side of market making: a second player who sets drift and order flow."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxrl.environments.builder import build_environment
from jaxrl.environments.finance._market import (
    Book,
    Market,
    chosen_conditions,
    depths_of,
    observation_space,
    observe,
    open_book,
    settled,
    trade,
)
from jaxrl.environments.finance.market_making import time_step_of
from jaxrl.environments.finance.quote_tables import (
    avellaneda_stoikov_quotes,
    continuous_optimum_quotes,
    quote_policy,
    symmetric_quotes,
)
from jaxrl.types import Box, Environment, Key, Policy, TimeStep

_BASELINES = {
    "symmetric": symmetric_quotes,
    "avellaneda-stoikov": avellaneda_stoikov_quotes,
    "continuous-optimum": continuous_optimum_quotes,
}


class AdversaryState(NamedTuple):
    """The books of the market maker, and its memory.

    Attributes:
        book: time, price and the market maker's books.
        market_maker: the carry of its policy.
    """

    book: Book
    market_maker: Any


def market_making_adversary(
    *,
    market_maker: str = "avellaneda-stoikov",
    market_maker_policy: Any = None,
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
    drift_deviation: Any = 5.0,
    rate_deviation: Any = 0.25,
    decay_deviation: Any = 0.25,
) -> Environment:
    """Builds the task of the second player in `market_making`: to make the market maker lose.

    Spooner and Savani (2020) call it the adversary. In every step it sees what the market maker
    sees, not the quotes, and chooses three numbers from -1 to 1, which move drift, arrival rate and
    depth decay by as many deviations; the defaults are theirs: drift -5 .. 5, A 105 .. 175, k
    1.125 .. 1.875. Its reward is the negative of the market maker's. The market's parameters are
    those of `market_making`. The market maker is a baseline, "symmetric", "avellaneda-stoikov" or
    "continuous-optimum" of the same parameters, or "policy": `market_maker_policy`, of any kind.

    Returns:
        The environment; info as that of `market_making`.

    Raises:
        ValueError: a parameter is impossible, or would do nothing.

    Example:
        >>> market_making_adversary(market_maker="symmetric").action_space.shape
        (3,)
    """
    parameters = dict(locals())
    del parameters["market_maker"], parameters["market_maker_policy"]
    market = settled(Market(opponent="random", **parameters))
    policy = _market_maker(market_maker, market_maker_policy, parameters)
    return _built(market, policy)


def _built(market: Market, market_maker: Policy) -> Environment:
    def reset(key: Key) -> tuple[AdversaryState, Array]:
        book = open_book()
        return AdversaryState(book, market_maker.start(key)), observe(market, book)

    def step(key: Key, state: AdversaryState, action: Array) -> tuple[AdversaryState, TimeStep]:
        key_quotes, key_trade = jax.random.split(key)
        observation = observe(market, state.book)
        carry, quotes = market_maker.act(key_quotes, state.market_maker, observation)
        conditions = chosen_conditions(market, action)
        book, reward, ended = trade(
            market, key_trade, state.book, depths_of(market, quotes), conditions
        )
        return AdversaryState(book, carry), time_step_of(market, book, -reward, ended)

    return build_environment(
        name="finance/market-making-adversary",
        reset=reset,
        step=step,
        observation_space=observation_space(market),
        action_space=Box(-1.0, 1.0, (3,)),
        max_episode_steps=market.num_steps,
    )


def _market_maker(name: str, policy: Any, parameters: dict[str, Any]) -> Policy:
    """The policy of the market maker: a baseline by its name, or the one that is given."""
    if name not in (*_BASELINES, "policy"):
        raise ValueError(f"market_maker={name!r} is none of {', '.join([*_BASELINES, 'policy'])}")
    if (policy is not None) != (name == "policy"):
        raise ValueError("market_maker='policy' and market_maker_policy belong together: give both")
    if name == "policy":
        if not isinstance(policy, Policy):
            kind = type(policy).__name__
            raise ValueError(f"market_maker_policy must be a jaxrl Policy, not {kind}")
        return policy
    # The deviations are the second player's alone.
    own = {name: x for name, x in parameters.items() if not name.endswith("_deviation")}
    return quote_policy(_BASELINES[name](**own), **own)


def adverse_drift_policy(*, drift: Any = 1.0, flow: Any = 0.0) -> Policy:
    """A second player by hand: the price drifts against what the market maker holds.

    Args:
        drift: from 0 to 1, how strong its drift is; where nothing is held there is none.
        flow: from -1 to 1: how many fewer orders it sends, and how much nearer the mid price.

    Returns:
        A policy without memory, for `opponent_policy` and for `market_making_adversary`.
    """
    flow = jnp.asarray(flow, jnp.float32)

    def act(key: Key, carry: Any, observation: Array) -> tuple[Any, Array]:
        del key
        return carry, jnp.stack([-drift * jnp.sign(observation[0]), -flow, flow])

    return Policy(start=lambda key: (), act=act)

"""Baselines of liquidation, which `jaxrl.evaluate` plays like any agent.

Each is made with the parameters that the environment was made with. It decides on a share of what
remains, and says it in the way that the environment's `action` asks for.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl.environments.finance._requirements import require
from jaxrl.environments.finance.liquidation import (
    LiquidationMarket,
    almgren_chriss_share,
    expected_volumes,
    liquidation_market,
    num_assets,
    with_schedule,
)
from jaxrl.types import Action, Carry, Key, Observation, Policy


class _View(NamedTuple):
    """What an observation says.

    Attributes:
        period: int32 (), periods that have passed.
        remaining: () or [m], the share of the order that remains.
        volume: (), of the coming period, beside the average.
    """

    period: Int[Array, ""]
    remaining: Float[Array, "*assets"]
    volume: Float[Array, ""]


def twap_policy(**parameters: Any) -> Policy:
    """Sells as much in every period: the time-weighted average price.

    Args:
        **parameters: those of `liquidation` that the environment was made with.

    Raises:
        ValueError: as `liquidation`.

    Example:
        >>> import jax, jaxrl
        >>> parameters = {"num_periods": 10, "volatility": 0.0}
        >>> env = jaxrl.make_env("finance/liquidation", **parameters)
        >>> policy = twap_policy(**parameters)
        >>> played = jaxrl.evaluate(jax.random.key(0), env, policy, num_episodes=1)
        >>> f"{-played.returns[0]:.4f} per cent of 50 million dollars"
        '1.3500 per cent of 50 million dollars'
    """
    market = liquidation_market(**parameters)
    return _policy(market, lambda view: 1 / _periods_left(market, view))


def vwap_policy(**parameters: Any) -> Policy:
    """Sells in proportion to the volume that is expected: the volume-weighted average price.

    The expected volume is that of the profile, without noise.

    Args:
        **parameters: those of `liquidation` that the environment was made with.

    Raises:
        ValueError: as `liquidation`.
    """
    market = liquidation_market(**parameters)
    volumes = expected_volumes(market)
    shares = volumes / jnp.cumsum(volumes[::-1])[::-1]
    return _policy(market, lambda view: shares[view.period])


def percentage_of_volume_policy(participation: Any = None, **parameters: Any) -> Policy:
    """Sells a share of each period's volume as it comes, and in the last period what is left.

    Args:
        participation: the share of the volume, above 0; may be traced. None: that which sells the
            order by the end at the average volume, X / (T daily_volume) (of a basket, of each).
        **parameters: those of `liquidation` that the environment was made with.

    Raises:
        ValueError: as `liquidation`, or participation is not above 0.
    """
    market = liquidation_market(**parameters)
    order, daily_volume = market.order, market.settings.daily_volume
    if participation is None:
        participation = order.shares / (order.horizon * daily_volume)
    require("participation", participation, lambda x: x > 0, "be above 0")
    of_order = participation * daily_volume * order.period / order.shares

    def share(view: _View) -> Array:
        some = view.remaining > 0
        wanted = of_order * view.volume / jnp.where(some, view.remaining, 1.0)
        return jnp.where(some, jnp.minimum(wanted, 1.0), 1.0)

    return _policy(market, share)


def almgren_chriss_policy(**parameters: Any) -> Policy:
    """Sells by Almgren and Chriss's optimal schedule for the parameter `risk_aversion`.

    It is optimal for linear impact, an arithmetic walk without drift, and even volume. Of a basket,
    where the optimum buys, nothing is sold.

    Args:
        **parameters: those of `liquidation` that the environment was made with.

    Raises:
        ValueError: as `liquidation`.
    """
    market = with_schedule(liquidation_market(**parameters))
    shares = jnp.asarray(market.order.shares)
    return _policy(
        market,
        lambda view: almgren_chriss_share(market, view.period, view.remaining * shares),
    )


def immediate_sale_policy(**parameters: Any) -> Policy:
    """Sells everything in the first period.

    Args:
        **parameters: those of `liquidation` that the environment was made with.

    Raises:
        ValueError: as `liquidation`.
    """
    return _policy(liquidation_market(**parameters), lambda view: jnp.float32(1))


def _policy(market: LiquidationMarket, share: Callable[[_View], Any]) -> Policy:
    """The policy that sells a share of what remains, () or [m]."""
    size = num_assets(market)
    count = 1 if size is None else size

    def start(key: Key) -> Carry:
        del key
        return ()

    def act(key: Key, carry: Carry, observation: Observation) -> tuple[Carry, Action]:
        del key
        view = _view(market, observation)
        shares = jnp.broadcast_to(share(view), view.remaining.shape)
        return carry, jnp.asarray(_action(market, view, shares), jnp.float32).reshape(count)

    return Policy(start=start, act=act)


def _view(market: LiquidationMarket, observation: Array) -> _View:
    size = num_assets(market)
    remaining = observation[0] if size is None else observation[:size]
    time_left = observation[1 if size is None else size]
    left = jnp.round(time_left * market.settings.num_periods).astype(jnp.int32)
    # At an episode's end there is no period left, and no action that matters.
    left = jnp.clip(left, 1, market.settings.num_periods)
    return _View(market.settings.num_periods - left, remaining, observation[-1])


def _periods_left(market: LiquidationMarket, view: _View) -> Array:
    return market.settings.num_periods - view.period


def _action(market: LiquidationMarket, view: _View, share: Array) -> Array:
    """The action that sells a share of what remains."""
    settings = market.settings
    if settings.action == "rate":
        return share * view.remaining * settings.num_periods
    if settings.action == "fraction":
        return share
    shares = jnp.asarray(market.order.shares)
    base = almgren_chriss_share(market, view.period, view.remaining * shares)
    room = jnp.where(share < base, base, 1 - base)
    return jnp.where(room > 0, (share - base) / jnp.where(room > 0, room, 1.0), 0.0)

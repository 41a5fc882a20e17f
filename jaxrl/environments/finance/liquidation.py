"""Optimal liquidation: sell an order by a deadline, against impact and the risk of the price.

The market is that of Almgren and Chriss (2000), whose table 1 the defaults are. In period k of
length tau = horizon / num_periods, n_k shares are sold at S~_k and x_k are left:

    S~_k = S_{k-1} - epsilon - eta r (n_k / (tau v_k) / r)^exponent     what a share brings
    S_k  = S_{k-1} + move_k - gamma n_k                                 the price

A seller's temporary impact lowers what a share brings. v_k is the period's volume beside the
average one, so that what counts is the rate in units of volume; r is `reference_rate`, at which
every exponent has the same impact. What is left in the last period is sold then, at its impact.

The shortfall, X S_0 less what the shares brought and the fees, is the sum of

    cost_k = n_k (S_{k-1} - S~_k) + fee_k - x_k (S_k - S_{k-1})

which charges each move of the price to the period that it happens in. Rewards are minus
`reward_scale` / (X S_0) times, of these dollars, by the setting `reward`,

- "shortfall": cost_k. The return is minus the implementation shortfall, in per cent of X S_0 where
  `reward_scale` is 100.
- "risk", the default: cost_k + lambda tau x_k' C_k x_k, C_k the covariance of the price's next
  move, per day. For an arithmetic walk without drift, the expected return of a schedule is
  -(E + lambda V).
- "utility": the same less U_{k-1}(x_{k-1}) - U_k(x_k), where U_k(x) is the least E + lambda V from
  period k on of linear impact, as Almgren and Chriss have it. It is the change of the utility of
  what was sold and is left; the best schedule of their market gets 0 on average in every step, and
  returns differ from those of "risk" by U_0(X). (The change of U alone, which is also used as a
  reward, sums to U_0(X) whatever is done.)

What is left out: orders that wait in a book, impact that fades, buying back, other sellers.
"""

import inspect
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxrl.environments.builder import build_environment
from jaxrl.environments.finance._requirements import (
    FINITE_AND_NOT_NEGATIVE,
    FINITE_AND_POSITIVE,
    concrete,
    is_exactly,
    plain_number,
    require_number,
    require_one_of,
    require_whole,
)
from jaxrl.environments.finance.almgren_chriss import AlmgrenChriss, optimal_fractions
from jaxrl.environments.finance.baskets import Basket, basket_costs_to_go, basket_fractions
from jaxrl.environments.parameters import check_parameters, signature_parameters
from jaxrl.types import Action, Box, Environment, Key, TimeStep

WALKS = ("arithmetic", "geometric")
VOLATILITY_MODELS = ("constant", "heston")
VOLUME_PROFILES = ("flat", "u")
ACTIONS = ("fraction", "rate", "deviation")
REWARDS = ("shortfall", "risk", "utility")
# What a basket brings itself.
_OF_A_BASKET = (
    "shares",
    "price",
    "horizon",
    "num_periods",
    "volatility",
    "half_spread",
    "permanent_impact",
    "temporary_impact",
)
_FLOATS = (
    *(name for name in _OF_A_BASKET if name != "num_periods"),
    *("drift", "impact_exponent", "reference_rate", "fixed_fee", "variance_reversion"),
    *("variance_volatility", "variance_correlation", "profile_depth", "daily_volume"),
    *("volume_noise", "tick_size", "risk_aversion", "reward_scale"),
)
# A price that lies on a tick up to rounding is on it.
_TICK_TOLERANCE = 1e-3


class LiquidationSettings(NamedTuple):
    """Parameters of `liquidation`. Floats may be traced; names, whole numbers and zeros are static.

    Attributes:
        shares: X, to be sold; shares.
        price: S_0, at arrival; dollars per share.
        horizon: T, by when; days.
        num_periods: N, decisions, evenly spaced.
        volatility: sigma; dollars per share and per square root of a day.
        drift: of the price; dollars per share and day.
        half_spread: epsilon; dollars per share.
        permanent_impact: gamma; dollars per share, for each share sold.
        temporary_impact: eta; dollars per share, for each share per day at `reference_rate`.
        impact_exponent: of the temporary impact in the rate; 1 is linear.
        reference_rate: r, at which the exponent does not matter; shares per day.
        fixed_fee: of each period in which something is sold; dollars.
        walk: "arithmetic" or "geometric"; the second has `volatility` and `drift` at the price of
            arrival and in proportion to the price later.
        volatility_model: "constant", or "heston": the variance is `volatility`^2 times a process w
            that starts at 1, dw = reversion (1 - w) dt + volatility sqrt(w) dB. A period's change
            of w is normal with the process's own mean and variance, cut off at 0.
        variance_reversion: of w; per day.
        variance_volatility: of w; per square root of a day.
        variance_correlation: of the changes of w and of the (first asset's) price, -1 to 1.
        volume_profile: "flat", or "u": more volume at a day's start and end than in between.
        profile_depth: of the U, 0 to 1: volume at noon is 1 - depth times the average, that at the
            start and end 1 + 2 depth times; a parabola in between.
        daily_volume: average; shares per day.
        volume_noise: deviation of the logarithm of a period's volume, whose mean is kept; without
            a unit.
        lot_size: sales are rounded to whole lots of so many shares, but for the last; 0: they are
            not.
        tick_size: what a share brings is rounded down to whole ticks; dollars, 0: it is not.
        basket: several assets in the place of one; what a `Basket` says is not given beside it.
        action: "fraction": the share of what remains that is sold, 0 to 1; "rate": sales in units
            of X / N, 0 to N; "deviation": 0 sells as Almgren and Chriss do from what remains, -1
            nothing, 1 everything, linear on either side of 0.
        reward: "shortfall", "risk" or "utility".
        risk_aversion: lambda of the rewards and of Almgren and Chriss's schedule; per dollar.
        reward_scale: of rewards, per X S_0; 100 is per cent.
    """

    shares: Any
    price: Any
    horizon: Any
    num_periods: int
    volatility: Any
    drift: Any
    half_spread: Any
    permanent_impact: Any
    temporary_impact: Any
    impact_exponent: Any
    reference_rate: Any
    fixed_fee: Any
    walk: str
    volatility_model: str
    variance_reversion: Any
    variance_volatility: Any
    variance_correlation: Any
    volume_profile: str
    profile_depth: Any
    daily_volume: Any
    volume_noise: Any
    lot_size: int
    tick_size: Any
    basket: Basket | None
    action: str
    reward: str
    risk_aversion: Any
    reward_scale: Any


class LiquidationState(NamedTuple):
    """An order that is being sold.

    Attributes:
        period: int32 (), periods that have passed.
        inventory: () or [m] of a basket, shares that remain.
        price: () or [m], S_k; dollars per share.
        variance: (), of the price's next move, beside that of `volatility`.
        volume: (), of the coming period, beside the average.
        shortfall: (), so far, with what remains at the present price; dollars.
    """

    period: Int[Array, ""]
    inventory: Float[Array, "*assets"]
    price: Float[Array, "*assets"]
    variance: Float[Array, ""]
    volume: Float[Array, ""]
    shortfall: Float[Array, ""]


class LiquidationMarket(NamedTuple):
    """Settings, and what follows from them once.

    Attributes:
        settings: as they were given; of a basket, horizon and num_periods are its own.
        order: `AlmgrenChriss` or `Basket`, with arrays.
        prices: () or [m], S_0.
        deviations: () or [m], of the moves of a day; dollars per share.
        schedule: [N] or [N, m, m], Almgren and Chriss's sales from what remains; or () if unused.
        costs_to_go: [N + 1] or [N + 1, m, m], of the same; or () if unused.
        factor: () or [m, m], what normal numbers become the moves of a day by.
        reward_unit: of rewards per dollar.
    """

    settings: LiquidationSettings
    order: Any
    prices: Any
    deviations: Any
    schedule: Any
    costs_to_go: Any
    factor: Any
    reward_unit: Any


def liquidation(
    *,
    shares: Any = 1_000_000.0,
    price: Any = 50.0,
    horizon: Any = 5.0,
    num_periods: int = 5,
    volatility: Any = 0.95,
    drift: Any = 0.0,
    half_spread: Any = 0.0625,
    permanent_impact: Any = 2.5e-7,
    temporary_impact: Any = 2.5e-6,
    impact_exponent: Any = 1.0,
    reference_rate: Any = 200_000.0,
    fixed_fee: Any = 0.0,
    walk: str = "arithmetic",
    volatility_model: str = "constant",
    variance_reversion: Any = 1.0,
    variance_volatility: Any = 0.5,
    variance_correlation: Any = -0.5,
    volume_profile: str = "flat",
    profile_depth: Any = 0.5,
    daily_volume: Any = 5_000_000.0,
    volume_noise: Any = 0.0,
    lot_size: int = 0,
    tick_size: Any = 0.0,
    basket: Any = None,
    action: str = "fraction",
    reward: str = "risk",
    risk_aversion: Any = 1e-6,
    reward_scale: Any = 100.0,
) -> Environment:
    """Makes the task of selling an order by a deadline: `finance/liquidation`.

    Every parameter is described, with its unit, in `LiquidationSettings`. The observation of one
    asset is [5], of m assets [2 m + 3]: the share of the order that remains (m); time left, from 1
    to 0; the price's move since arrival in units of `volatility` sqrt(horizon) (m); the volatility
    of the next move beside `volatility`, as it is realised at high frequency; and the volume of
    the coming period beside the average, a forecast that comes true. An episode of N steps is
    terminated. `info` has the sale, price, inventory, execution price, fee, participation (share
    of the volume) and the shortfall so far, in shares and dollars.

    Raises:
        ValueError: a parameter is impossible, or would do nothing beside the others.

    Example:
        >>> liquidation(num_periods=20, reward="shortfall").max_episode_steps
        20
    """
    return _environment(_market(LiquidationSettings(**locals())))


def liquidation_market(**parameters: Any) -> LiquidationMarket:
    """The market of an environment that is made with the same parameters.

    Args:
        **parameters: of `liquidation`; those not given have its defaults.

    Raises:
        ValueError: as `liquidation`.
    """
    known = signature_parameters(liquidation)
    given = check_parameters(parameters, known, name="finance/liquidation")
    defaults = {name: parameter.default for name, parameter in known.items()}
    return _market(LiquidationSettings(**(defaults | given)))


def almgren_chriss_share(
    market: LiquidationMarket, period: Int[Array, ""], inventory: Float[Array, "*assets"]
) -> Float[Array, "*assets"]:
    """The share of what remains that Almgren and Chriss sell, from a market with a schedule.

    Of a basket it is cut off at 0 and 1, where the optimum buys or sells more than there is.

    Args:
        market: with its schedule (`with_schedule`).
        period: how many have passed, less than N.
        inventory: what remains; shares, or a share of the order if there is one asset.
    """
    fraction = market.schedule[period]
    if fraction.ndim == 0:
        return fraction
    some = inventory > 0
    share = fraction @ inventory / jnp.where(some, inventory, 1.0)
    return jnp.where(some, jnp.clip(share, 0.0, 1.0), 1.0)


def with_schedule(market: LiquidationMarket) -> LiquidationMarket:
    """The market with Almgren and Chriss's schedule and its costs, for the risk aversion set."""
    order, risk_aversion = market.order, market.settings.risk_aversion
    if isinstance(order, Basket):
        schedule = basket_fractions(order, risk_aversion)
        return market._replace(
            schedule=schedule, costs_to_go=basket_costs_to_go(order, risk_aversion)
        )
    schedule = optimal_fractions(order, risk_aversion)
    costs = jnp.append(schedule, 0.0) * order.adjusted_impact / order.period
    return market._replace(schedule=schedule, costs_to_go=costs)


def expected_volumes(market: LiquidationMarket) -> Float[Array, " N"]:
    """Volume of each period beside the average, as the profile has it, without noise."""
    quiet = market._replace(settings=market.settings._replace(volume_noise=0.0))
    periods = jnp.arange(market.settings.num_periods)
    return jax.vmap(lambda period: _volume(quiet, period, jnp.float32(0)))(periods)


def num_assets(market: LiquidationMarket) -> int | None:
    """How many assets a basket has; None of an order without one."""
    shape = jnp.shape(market.prices)
    return shape[0] if shape else None


def _environment(market: LiquidationMarket) -> Environment:
    settings, assets = market.settings, num_assets(market)
    count = 1 if assets is None else assets
    low, high = {
        "fraction": (0.0, 1.0),
        "rate": (0.0, float(settings.num_periods)),
        "deviation": (-1.0, 1.0),
    }[settings.action]

    def reset(key: Key) -> tuple[LiquidationState, Array]:
        return _reset(market, key)

    def step(key: Key, state: LiquidationState, action: Action) -> tuple[Any, TimeStep]:
        return _step(market, key, state, action)

    return build_environment(
        name="finance/liquidation",
        reset=reset,
        step=step,
        observation_space=Box(-jnp.inf, jnp.inf, (2 * count + 3,)),
        action_space=Box(low, high, (count,)),
        max_episode_steps=settings.num_periods,
    )


def _reset(market: LiquidationMarket, key: Key) -> tuple[LiquidationState, Array]:
    noise = jax.random.normal(key, ()) if _has_volume_noise(market) else jnp.float32(0)
    start = LiquidationState(
        period=jnp.int32(0),
        inventory=jnp.asarray(market.order.shares, jnp.float32),
        price=jnp.asarray(market.prices, jnp.float32),
        variance=jnp.float32(1),
        volume=_volume(market, jnp.int32(0), noise),
        shortfall=jnp.float32(0),
    )
    return start, _observe(market, start)


def _step(
    market: LiquidationMarket, key: Key, state: LiquidationState, action: Action
) -> tuple[LiquidationState, TimeStep]:
    settings, order = market.settings, market.order
    count = math.prod(jnp.shape(market.prices))
    has_heston, has_noise = settings.volatility_model == "heston", _has_volume_noise(market)
    # All random numbers in one draw: those of the prices, of the variance, of the volume.
    normal = jax.random.normal(key, (count + has_heston + has_noise,))
    for_prices = normal[:count].reshape(jnp.shape(market.prices))

    sale = _sale(market, state, action)
    inventory = state.inventory - sale
    discount = _discount(market, state, sale)
    change = _move(market, state, for_prices) - _times(order.permanent_impact, sale)
    fee = settings.fixed_fee * jnp.any(sale > 0)
    cost = _total(sale * discount) + fee - _total(inventory * change)
    after = LiquidationState(
        period=state.period + 1,
        inventory=inventory,
        price=state.price + change,
        variance=_next_variance(settings, order.period, state.variance, normal[0], normal[count])
        if has_heston
        else state.variance,
        volume=_volume(market, state.period + 1, normal[-1] if has_noise else jnp.float32(0)),
        shortfall=state.shortfall + cost,
    )
    info = {
        "sale": sale,
        "price": after.price,
        "inventory": inventory,
        "execution_price": state.price - discount,
        "fee": fee,
        "participation": sale / (settings.daily_volume * order.period * state.volume),
        "shortfall": after.shortfall,
    }
    return after, TimeStep(
        observation=_observe(market, after),
        reward=-market.reward_unit * (cost + _further_cost(market, state, inventory)),
        terminated=after.period >= settings.num_periods,
        truncated=jnp.array(False),
        info=info,
    )


def _sale(market: LiquidationMarket, state: LiquidationState, action: Action) -> Array:
    """Shares that are sold in this period; all that remain in the last."""
    settings, order, remaining = market.settings, market.order, state.inventory
    choice = jnp.asarray(action, jnp.float32).reshape(remaining.shape)
    if settings.action == "rate":
        sale = jnp.clip(choice * (order.shares / settings.num_periods), 0.0, remaining)
    elif settings.action == "deviation":
        base = almgren_chriss_share(market, state.period, remaining)
        choice = jnp.clip(choice, -1.0, 1.0)
        sale = remaining * (base + choice * jnp.where(choice < 0, base, 1 - base))
    else:
        sale = remaining * jnp.clip(choice, 0.0, 1.0)
    if settings.lot_size:
        lots = jnp.round(sale / settings.lot_size)
        sale = jnp.minimum(lots * settings.lot_size, remaining)
    return jnp.where(state.period >= settings.num_periods - 1, remaining, sale)


def _discount(market: LiquidationMarket, state: LiquidationState, sale: Array) -> Array:
    """What a share brings less than the price S_{k-1}; dollars per share."""
    settings, order = market.settings, market.order
    rate = sale / (order.period * state.volume)
    if not is_exactly(settings.impact_exponent, 1.0):
        reference = settings.reference_rate
        rate = reference * (rate / reference) ** settings.impact_exponent
    discount = order.half_spread + _times(order.temporary_impact, rate)
    if is_exactly(settings.tick_size, 0.0):
        return discount
    ticks = (state.price - discount) / settings.tick_size
    return state.price - jnp.floor(ticks + _TICK_TOLERANCE) * settings.tick_size


def _move(market: LiquidationMarket, state: LiquidationState, normal: Array) -> Array:
    """The price's move without impact; dollars per share."""
    settings, period = market.settings, market.order.period
    deviation = jnp.sqrt(state.variance * period)
    move = deviation * _times(market.factor, normal)
    if settings.walk == "arithmetic":
        return settings.drift * period + move
    relative = deviation * market.deviations / market.prices
    growth = settings.drift * period / market.prices - relative**2 / 2 + move / market.prices
    return state.price * jnp.expm1(growth)


def _next_variance(
    settings: LiquidationSettings, period: Any, variance: Array, of_price: Array, own: Array
) -> Array:
    """One period of the square-root process with mean 1: normal with its mean and variance."""
    correlation = settings.variance_correlation
    normal = correlation * of_price + jnp.sqrt(1 - jnp.square(correlation)) * own
    kept = jnp.exp(-settings.variance_reversion * jnp.asarray(period, jnp.float32))
    spread = jnp.square(settings.variance_volatility) / settings.variance_reversion
    square = spread * (1 - kept) * (variance * kept + (1 - kept) / 2)
    return jnp.maximum(1 + (variance - 1) * kept + jnp.sqrt(square) * normal, 0.0)


def _volume(market: LiquidationMarket, period: Int[Array, ""], normal: Array) -> Array:
    """Volume of a period beside the average."""
    settings, length = market.settings, market.order.period
    volume = jnp.float32(1)
    if settings.volume_profile == "u":
        start = period * jnp.asarray(length, jnp.float32)
        extra = _profile_until(start + length) - _profile_until(start)
        volume = 1 + settings.profile_depth * extra / length
    if _has_volume_noise(market):
        noise = settings.volume_noise
        volume = volume * jnp.exp(noise * normal - jnp.square(noise) / 2)
    return volume


def _profile_until(time: Array) -> Array:
    """Integral of 12 (u - 1/2)^2 - 1 over the time of day u; 0 over a whole day, up to -1/2."""
    of_day = time - jnp.floor(time)
    return 4 * (of_day - 0.5) ** 3 - of_day


def _further_cost(
    market: LiquidationMarket, state: LiquidationState, inventory: Array
) -> Float[Array, ""]:
    """What the reward counts beside the shortfall; dollars."""
    settings = market.settings
    if settings.reward == "shortfall":
        return jnp.float32(0)
    exposed = inventory
    if settings.walk == "geometric":
        exposed = inventory * state.price / market.prices
    deviation = _times(jnp.transpose(market.factor), exposed)
    variance = market.order.period * state.variance * _total(deviation**2)
    cost = settings.risk_aversion * variance
    if settings.reward == "risk":
        return cost
    before = _utility(market, state.period, state.inventory)
    return cost + _utility(market, state.period + 1, inventory) - before


def _utility(market: LiquidationMarket, period: Array, inventory: Array) -> Array:
    """The least E + lambda V of linear impact, of what remains after some periods; dollars."""
    order = market.order
    permanent = inventory * _times(order.permanent_impact, inventory) / 2
    later = inventory * _times(market.costs_to_go[period], inventory)
    return _total(permanent + order.half_spread * inventory + later)


def _observe(market: LiquidationMarket, state: LiquidationState) -> Array:
    settings, order = market.settings, market.order
    # A price that cannot move has no unit of its own.
    risky = market.deviations * jnp.sqrt(jnp.asarray(order.horizon, jnp.float32))
    unit = jnp.where(risky > 0, risky, market.prices)
    parts = (
        state.inventory / order.shares,
        1 - state.period / settings.num_periods,
        (state.price - market.prices) / unit,
        jnp.sqrt(state.variance),
        state.volume,
    )
    if num_assets(market) is None:
        return jnp.stack([jnp.asarray(part, jnp.float32) for part in parts])
    return jnp.concatenate([jnp.atleast_1d(jnp.asarray(part, jnp.float32)) for part in parts])


def _times(matrix: Any, x: Array) -> Array:
    """A matrix times the assets' numbers; of one asset, a product."""
    return matrix * x if jnp.ndim(x) == 0 else matrix @ x


def _total(x: Array) -> Array:
    return x if x.ndim == 0 else x.sum()


def _has_volume_noise(market: LiquidationMarket) -> bool:
    return not is_exactly(market.settings.volume_noise, 0.0)


def _market(settings: LiquidationSettings) -> LiquidationMarket:
    """What follows from the settings, which are checked."""
    _check(settings)
    # Whole numbers overflow, and short floats lose digits, where money is multiplied.
    settings = settings._replace(
        **{name: plain_number(getattr(settings, name)) for name in _FLOATS}
    )
    basket = settings.basket
    if basket is not None:
        order: Any = jax.tree.map(_as_array, basket, is_leaf=lambda x: isinstance(x, list | tuple))
        settings = settings._replace(horizon=order.horizon, num_periods=order.num_periods)
        factor: Any = jnp.linalg.cholesky(order.covariance)
        prices, deviations = order.price, jnp.sqrt(jnp.diagonal(order.covariance))
    else:
        names = [name for name in _OF_A_BASKET if name != "price"]
        order = AlmgrenChriss(**{name: getattr(settings, name) for name in names})
        factor = deviations = settings.volatility
        prices = settings.price
    value = _total(jnp.asarray(order.shares) * prices)
    unit = settings.reward_scale / (float(value) if concrete(value) is not None else value)
    market = LiquidationMarket(settings, order, prices, deviations, (), (), factor, unit)
    needs_schedule = settings.action == "deviation" or settings.reward == "utility"
    return with_schedule(market) if needs_schedule else market


def _as_array(value: Any) -> Array:
    return jnp.asarray(value, jnp.float32)


def _check(settings: LiquidationSettings) -> None:
    for name, choices in (
        ("walk", WALKS),
        ("volatility_model", VOLATILITY_MODELS),
        ("volume_profile", VOLUME_PROFILES),
        ("action", ACTIONS),
        ("reward", REWARDS),
    ):
        require_one_of(name, getattr(settings, name), choices)
    if settings.basket is None:
        for name in _OF_A_BASKET:
            require_number(name, getattr(settings, name))
    positive = ("price", "impact_exponent", "reference_rate", "variance_reversion", "daily_volume")
    for name in (*positive, "reward_scale"):
        require_number(name, getattr(settings, name), *FINITE_AND_POSITIVE)
    for name in ("fixed_fee", "variance_volatility", "volume_noise", "tick_size"):
        require_number(name, getattr(settings, name), *FINITE_AND_NOT_NEGATIVE)
    for name in ("drift", "risk_aversion"):
        require_number(name, getattr(settings, name), np.isfinite, "be a finite number")
    correlation, depth = settings.variance_correlation, settings.profile_depth
    is_share = (lambda x: (x >= 0) & (x < 1)), "be at least 0 and below 1"
    require_number("profile_depth", depth, *is_share)
    is_correlation = (lambda x: abs(x) <= 1), "lie between -1 and 1"
    require_number("variance_correlation", correlation, *is_correlation)
    require_whole("lot_size", settings.lot_size, minimum=0)
    basket: Any = settings.basket
    if basket is not None and not isinstance(basket, Basket):
        kind = type(basket).__name__
        raise ValueError(f"basket is a {kind}, but must be a Basket(shares=..., price=..., ...)")
    _check_uses(settings)


def _check_uses(settings: LiquidationSettings) -> None:
    """Refuses what would do nothing."""
    unused: dict[str, str] = {}
    if settings.basket is not None:
        unused |= dict.fromkeys(_OF_A_BASKET, "basket has its own")
    if settings.volatility_model != "heston":
        names = ("variance_reversion", "variance_volatility", "variance_correlation")
        unused |= dict.fromkeys(names, "volatility_model='heston' reads it")
    if settings.volume_profile != "u":
        unused["profile_depth"] = "volume_profile='u' reads it"
    if is_exactly(settings.impact_exponent, 1.0):
        unused["reference_rate"] = "an impact_exponent other than 1 reads it"
    known = inspect.signature(liquidation).parameters
    for name, why in unused.items():
        value = getattr(settings, name)
        if not is_exactly(value, known[name].default):
            raise ValueError(f"{name}={value} would do nothing: {why}")
    order = settings if settings.basket is None else settings.basket
    horizon = concrete(order.horizon)
    if settings.volume_profile == "u" and horizon is not None:
        period = float(horizon) / order.num_periods
        if period >= 1 and math.isclose(period, round(period)):
            raise ValueError(
                f"volume_profile='u' would do nothing: a period of {period:g} days is made of "
                "whole days; it must be shorter than a day, as with horizon=1.0"
            )

"""Performance of investments: ratios of return to risk, drawdowns, tails, turnover.

Series of returns are simple returns per period, net of costs: wealth after / wealth before - 1.
Functions of a series work along the last axis, and the other axes stay. Deviations are those of
samples, divided by n - 1. A ratio whose risk is 0 is nan where its return is 0 too, and infinite
otherwise.
"""

from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxrl.environments import clip_actions, flatten_actions, require_environment
from jaxrl.keys import typed_key
from jaxrl.loops import act_without_extras, start_world, step_world
from jaxrl.reports._pictures import picture_path, save_picture
from jaxrl.reports.curves import COLOURS, LINE_STYLES, STYLE
from jaxrl.types import Environment, Key, Policy

# One number of one series, or an array of as many as there are series.
Figure: TypeAlias = Float[np.ndarray, "..."] | np.float64


class PlayedEpisodes(NamedTuple):
    """Every step of some episodes.

    Attributes:
        rewards: [episodes, time]; 0 after an episode's end.
        played: bool [episodes, time], false after an episode's end.
        info: by name, [episodes, time, ...], what the environment says of each step, such as
            `finance/portfolio` of its "return", "wealth", "cost" and "turnover".
    """

    rewards: Float[Array, "episodes time"]
    played: Bool[Array, "episodes time"]
    info: dict[str, Any]


class Performance(NamedTuple):
    """The figures of some episodes, each [episodes] where the returns are [episodes, time].

    Attributes:
        growth: compound return per year.
        deviation: of the returns, per year^(1/2).
        sharpe: see `sharpe_ratio`.
        sortino: see `sortino_ratio`.
        calmar: see `calmar_ratio`.
        drawdown: see `maximum_drawdown`.
    """

    growth: Figure
    deviation: Figure
    sharpe: Figure
    sortino: Figure
    calmar: Figure
    drawdown: Figure


def play_episodes(
    key: Key, environment: Environment, policy: Policy, *, num_episodes: int
) -> PlayedEpisodes:
    """Plays whole episodes side by side, as `jaxrl.evaluate` does, and keeps every step.

    Args:
        key: consumed.
        environment: with a time limit, which is static; Box actions are clipped to its bounds.
        policy: whose actions are taken.
        num_episodes: how many.

    Returns:
        The steps, on an axis as long as the time limit.

    Raises:
        ValueError: the environment has no time limit, or the policy's actions are not its own.
    """
    key = typed_key(key)
    environment = flatten_actions(clip_actions(require_environment(environment)))
    if environment.max_episode_steps is None:
        raise ValueError(f"{environment.name} has no time limit: wrap it in time_limit(env, ...)")
    num_steps = int(environment.max_episode_steps)
    act = act_without_extras(policy.act, environment)

    def play(key: Key) -> PlayedEpisodes:
        key_reset, key_start, key_steps = jax.random.split(key, 3)

        def step(carry: Any, key: Key) -> tuple[Any, PlayedEpisodes]:
            world, alive = carry
            key_act, key_step = jax.random.split(key)
            world, after, info = step_world(key_act, key_step, world, environment, act)
            reward = jnp.where(alive, after.reward, 0.0)
            left = alive & ~(after.terminated | after.truncated)
            return (world, left), PlayedEpisodes(reward, alive, info)

        first = start_world(key_reset, key_start, environment, policy.start), jnp.array(True)
        return jax.lax.scan(step, first, jax.random.split(key_steps, num_steps))[1]

    return jax.vmap(play)(jax.random.split(key, num_episodes))


def wealth_curve(returns: Any) -> Float[np.ndarray, "... points"]:
    """Wealth from 1 on: a point before the first period and one after each.

    Args:
        returns: [..., time].
    """
    growth = 1 + _series(returns)
    return np.concatenate([np.ones((*growth.shape[:-1], 1)), np.cumprod(growth, axis=-1)], axis=-1)


def drawdowns(returns: Any) -> Float[np.ndarray, "... points"]:
    """The share of its highest wealth so far that is lost, at each point of the wealth curve.

    Args:
        returns: [..., time].

    Returns:
        Numbers in [0, 1], [..., time + 1], the first of them 0.
    """
    wealth = wealth_curve(returns)
    return 1 - wealth / np.maximum.accumulate(wealth, axis=-1)


def maximum_drawdown(returns: Any) -> Figure:
    """The largest share of wealth lost since a peak: a positive number, 0.2 for a fall by 20 %.

    Args:
        returns: [..., time].

    Example:
        >>> float(maximum_drawdown([0.25, -0.2, 0.1]).round(6))
        0.2
    """
    return drawdowns(returns).max(axis=-1)


def sharpe_ratio(
    returns: Any, *, periods_per_year: float = 1.0, riskless_return: float = 0.0
) -> Figure:
    """Mean over deviation of the returns above the riskless one, times the root of periods a year.

    Args:
        returns: [..., time], at least 2 periods.
        periods_per_year: 1 leaves the ratio of one period.
        riskless_return: of cash in one period.

    Example:
        >>> float(sharpe_ratio([0.01, 0.03, 0.02]).round(6))
        2.0

    Source: Sharpe (1994), "The Sharpe ratio", equations 3 to 6.
    """
    excess = _series(returns, least=2) - riskless_return
    return _ratio(excess.mean(axis=-1), _deviation(excess)) * np.sqrt(periods_per_year)


def sortino_ratio(
    returns: Any, *, periods_per_year: float = 1.0, target_return: float = 0.0
) -> Figure:
    """Mean over downside deviation of the returns above a target, times the root of periods a year.

    The downside deviation is the root of the mean, over all periods, of min(return - target, 0)^2.

    Args:
        returns: [..., time].
        periods_per_year: 1 leaves the ratio of one period.
        target_return: of one period.

    Example:
        >>> float(sortino_ratio([0.03, -0.02, 0.03, 0.0]).round(6))
        1.0

    Source: Sortino and Price (1994), "Performance measurement in a downside risk framework".
    """
    excess = _series(returns) - target_return
    downside = np.sqrt(np.mean(np.minimum(excess, 0.0) ** 2, axis=-1))
    return _ratio(excess.mean(axis=-1), downside) * np.sqrt(periods_per_year)


def calmar_ratio(returns: Any, *, periods_per_year: float = 1.0) -> Figure:
    """The compound return per year over the maximum drawdown of the whole series.

    Args:
        returns: [..., time].
        periods_per_year: how many returns a year has.

    Source: Young (1991), "Calmar ratio: a smoother tool", which takes the last 36 months.
    """
    growth = annual_growth(returns, periods_per_year=periods_per_year)
    return _ratio(growth, maximum_drawdown(returns))


def annual_growth(returns: Any, *, periods_per_year: float = 1.0) -> Figure:
    """The compound return per year: last wealth^(periods a year / periods) - 1.

    Args:
        returns: [..., time].
        periods_per_year: how many returns a year has.
    """
    wealth = wealth_curve(returns)
    return wealth[..., -1] ** (periods_per_year / (wealth.shape[-1] - 1)) - 1


def annual_turnover(traded: Any, *, periods_per_year: float = 1.0) -> Figure:
    """Purchases and sales together per year, as a multiple of wealth.

    Replacing the whole portfolio by another counts 2. Where half of it is wanted, as funds report
    it, halve.

    Args:
        traded: [..., time], purchases and sales in a period as a share of the wealth before it,
            as "turnover" in what `finance/portfolio` says of a step.
        periods_per_year: how many periods a year has.
    """
    return _series(traded).mean(axis=-1) * periods_per_year


def value_at_risk(outcomes: Any, *, level: float = 0.95) -> float:
    """The loss that is exceeded with a probability of at most 1 - level: a loss is positive.

        VaR = min {x: share of losses <= x is at least level}

    Args:
        outcomes: [episodes], gains, such as profits in dollars or returns; losses are negative.
        level: in (0, 1).

    Returns:
        An observed loss; negative where even that outcome is a gain.

    Example:
        >>> value_at_risk([-3.0, -1.0, 2.0, 4.0, 5.0], level=0.8)
        1.0
    """
    losses = _losses(outcomes, level)
    return float(losses[_place(losses, level)])


def expected_shortfall(outcomes: Any, *, level: float = 0.95) -> float:
    """The mean loss of the worst share 1 - level of the outcomes, also called conditional VaR.

    Of the outcome at the share's edge, only the part that lies within it counts.

    Args:
        outcomes: [episodes], gains; losses are negative.
        level: in (0, 1).

    Returns:
        A loss, positive, at least the value at risk.

    Example:
        >>> expected_shortfall([-3.0, -1.0, 2.0, 4.0, 5.0], level=0.6)
        2.0

    Source: Rockafellar and Uryasev (2002), "Conditional value-at-risk for general loss
    distributions", proposition 8.
    """
    losses = _losses(outcomes, level)
    place = _place(losses, level)
    beyond = losses[place + 1 :].sum() / len(losses)
    edge = (place + 1) / len(losses) - level
    return float((edge * losses[place] + beyond) / (1 - level))


def performance_of(
    returns: Any, *, periods_per_year: float = 1.0, riskless_return: float = 0.0
) -> Performance:
    """All figures of a series of returns, or of each of several.

    Args:
        returns: [..., time], at least 2 periods.
        periods_per_year: how many returns a year has.
        riskless_return: of cash in one period; the target of the Sortino ratio too.
    """
    series = _series(returns, least=2)
    year = {"periods_per_year": periods_per_year}
    return Performance(
        growth=annual_growth(series, **year),
        deviation=_deviation(series) * np.sqrt(periods_per_year),
        sharpe=sharpe_ratio(series, riskless_return=riskless_return, **year),
        sortino=sortino_ratio(series, target_return=riskless_return, **year),
        calmar=calmar_ratio(series, **year),
        drawdown=maximum_drawdown(series),
    )


def plot_equity(
    returns: dict[str, Any],
    out: str | Path,
    *,
    periods_per_year: float = 1.0,
    title: str | None = None,
) -> Path:
    """Draws wealth on a logarithmic axis, and below it how much of its peak is lost.

    Of several episodes, the median is drawn and the middle half as a band.

    Args:
        returns: by name, [time] or [episodes, time].
        out: the picture; its ending chooses the format (.png, .pdf, .svg).
        periods_per_year: for the horizontal axis, in years.
        title: above the axes.

    Returns:
        The path of the picture.

    Raises:
        ValueError: nothing is given, or an unknown picture format.
    """
    import matplotlib
    from matplotlib.figure import Figure

    if not returns:
        raise ValueError("there is nothing to draw: give returns by name")
    figure = Figure(figsize=(7.0, 5.0), layout="constrained")
    out = picture_path(out, figure)
    with matplotlib.rc_context(STYLE):
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        for position, (name, series) in enumerate(returns.items()):
            line = {
                "color": COLOURS[position % len(COLOURS)],
                "linestyle": LINE_STYLES[position // len(COLOURS) % len(LINE_STYLES)],
                "label": name,
            }
            _draw_band(above, wealth_curve(series), periods_per_year, line)
            _draw_band(below, -100 * drawdowns(series), periods_per_year, line)
        above.set_yscale("log")
        above.set_ylabel("wealth, from 1")
        below.set_ylabel("drawdown, %")
        below.set_xlabel("years")
        above.set_title(title or "", loc="left")
        if len(returns) > 1:
            above.legend()
        return save_picture(figure, out)


def _draw_band(axes: Any, values: Any, periods_per_year: float, line: dict[str, Any]) -> None:
    years = np.arange(values.shape[-1]) / periods_per_year
    episodes = values.reshape(-1, values.shape[-1])
    low, middle, high = np.quantile(episodes, (0.25, 0.5, 0.75), axis=0)
    axes.plot(years, middle, linewidth=1.6, **line)
    if len(episodes) > 1:
        axes.fill_between(years, low, high, color=line["color"], alpha=0.2, linewidth=0)


def _series(returns: Any, *, least: int = 1) -> Float[np.ndarray, "... time"]:
    array = np.asarray(returns, np.float64)
    if array.ndim < 1 or array.shape[-1] < least:
        raise ValueError(
            f"returns have shape {array.shape}, expected [..., time] with {least} or more periods"
        )
    return array


def _deviation(series: Float[np.ndarray, "... time"]) -> Figure:
    # The deviation of equal numbers need not round to 0.
    equal = series.max(axis=-1) == series.min(axis=-1)
    return np.where(equal, 0.0, series.std(axis=-1, ddof=1))


def _ratio(numerator: Figure, denominator: Figure) -> Figure:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(numerator, denominator)


def _losses(outcomes: Any, level: float) -> Float[np.ndarray, " episodes"]:
    """Losses in ascending order."""
    array = np.asarray(outcomes, np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(
            f"outcomes must be finite numbers [episodes], one at least; they have shape "
            f"{array.shape}"
        )
    if not 0 < level < 1:
        raise ValueError(f"level={level} must lie between 0 and 1")
    return np.sort(-array)


def _place(losses: Float[np.ndarray, " episodes"], level: float) -> int:
    """The place of the value at risk, the first at which a share `level` of losses is reached."""
    # 0.95 times 100 is more than 95 in binary.
    return max(int(np.ceil(level * len(losses) * (1 - 1e-12))), 1) - 1

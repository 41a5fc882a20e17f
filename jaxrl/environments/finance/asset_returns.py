"""Simulated returns of several assets: correlated walks, switching regimes, and jumps.

Each process draws the log returns of one period of dt years, all from one call of the generator.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

from jaxrl.types import Key

Start: TypeAlias = Callable[[Key], tuple[Any, Float[Array, "window N"]]]
Draw: TypeAlias = Callable[[Key, Any], tuple[Any, Float[Array, " N"]]]

# At most so many jumps in a period; more have a probability below 1e-6 at the largest rate.
_MOST_JUMPS = 16
LARGEST_JUMP_RATE = 4.0


class ReturnProcess(NamedTuple):
    """The log returns of N assets, period after period.

    Attributes:
        num_assets: N.
        deviation: [N], the typical standard deviation of a period's log return, for scaling.
        start: (key) -> (State, log returns [window, N] before the first period, the latest last).
        draw: (key, State) -> (State, log returns [N] of the next period).
        num_starts: how many first periods there are to begin from; None: a simulator.
    """

    num_assets: int
    deviation: Any
    start: Start
    draw: Draw
    num_starts: int | None = None


def correlated_walks(
    *, drift: Any, volatility: Any, correlation: Any, period: Any, window: int
) -> ReturnProcess:
    """Correlated geometric Brownian motions.

        log return = (mu - sigma^2 / 2) dt + sigma sqrt(dt) L z,    L L' = correlation

    The expected price grows as exp(mu t).

    Args:
        drift: mu per year, [N] or one number.
        volatility: sigma per year^(1/2), [N] or one number, positive.
        correlation: of the returns, [N, N] or the one number of all pairs.
        period: dt, in years.
        window: how many returns come before the first period; they are 0.

    Returns:
        The process, without a state.

    Raises:
        ValueError: lengths differ, or no market has such parameters.
    """
    count = num_assets_of(drift=drift, volatility=volatility, correlation=correlation)
    mu, sigma = vector("drift", drift, count), _positive_vector("volatility", volatility, count)
    mean = (mu - sigma**2 / 2) * period
    spread = (sigma * period**0.5)[:, None] * _correlation_root(correlation, count)

    def draw(key: Key, state: Any) -> tuple[Any, Array]:
        return state, mean + _product(spread, jax.random.normal(key, (count,)))

    return ReturnProcess(count, sigma * period**0.5, _no_history(count, window), draw)


def regime_switching(
    *,
    drift: Any,
    volatility: Any,
    correlation: Any,
    regime_drift: Any,
    regime_volatility: Any,
    transition: Any,
    period: Any,
    window: int,
) -> ReturnProcess:
    """Correlated walks whose drift and volatility depend on a regime, a hidden Markov chain.

    The regime of the first period is drawn from the chain's stationary distribution. A period's
    returns are those of its regime; the next regime follows.

    Args:
        drift, volatility, correlation, period, window: as of `correlated_walks`.
        regime_drift: [K] or [K, N], added to the drift in each of K regimes, per year.
        regime_volatility: [K] or [K, N], which the volatility is multiplied by, positive.
        transition: [K, K] or its rows one after another; entry (i, j) is the probability that
            regime j follows i, per period.

    Returns:
        The process; its state is the regime, int32.

    Raises:
        ValueError: lengths differ, or no market has such parameters.

    Source: Hamilton (1989), "A new approach to the economic analysis of nonstationary time series".
    """
    count = num_assets_of(drift=drift, volatility=volatility, correlation=correlation)
    regimes = np.shape(_array("regime_drift", regime_drift))[:1]
    shift = _per_regime("regime_drift", regime_drift, regimes, count)
    factor = _per_regime("regime_volatility", regime_volatility, regimes, count)
    _require("regime_volatility", regime_volatility, factor > 0, "positive")
    chain = _transition(transition, regimes[0])
    sigma = _positive_vector("volatility", volatility, count) * factor
    mean = (vector("drift", drift, count) + shift - sigma**2 / 2) * period
    root = _correlation_root(correlation, count)
    mean, deviation = jnp.asarray(mean), jnp.asarray(sigma * period**0.5)
    stationary = _stationary(chain)
    first, following = _cumulative(stationary), _cumulative(chain)
    typical = jnp.sqrt(jnp.matmul(stationary, deviation**2, precision="highest"))
    no_history = jnp.zeros((window, count))

    def start(key: Key) -> tuple[Array, Array]:
        regime = jnp.sum(jax.random.uniform(key) >= first, dtype=jnp.int32)
        return regime, no_history

    def draw(key: Key, state: Array) -> tuple[Array, Array]:
        normal = jax.random.normal(key, (count + 1,))
        change = deviation[state] * _product(root, normal[:count])
        regime = jnp.sum(ndtr(normal[count]) >= following[state], dtype=jnp.int32)
        return regime, mean[state] + change

    return ReturnProcess(count, typical, start, draw)


def jump_diffusion(
    *,
    drift: Any,
    volatility: Any,
    correlation: Any,
    jump_intensity: Any,
    jump_mean: Any,
    jump_deviation: Any,
    period: Any,
    window: int,
) -> ReturnProcess:
    """Correlated walks with jumps that come to all assets at once, by a Poisson process.

    A jump moves each asset's log price by a normal number of its own. The drift is compensated, so
    that the expected price still grows as exp(mu t):

        log return = (mu - sigma^2 / 2 - lambda (exp(m + s^2 / 2) - 1)) dt
                     + sigma sqrt(dt) L z + m n + s sqrt(n) x,    n ~ Poisson(lambda dt)

    Args:
        drift, volatility, correlation, period, window: as of `correlated_walks`.
        jump_intensity: lambda, jumps per year; at most 4 in a period.
        jump_mean: m, of a jump of the log price, [N] or one number.
        jump_deviation: s, of the same, [N] or one number, at least 0.

    Returns:
        The process, without a state.

    Raises:
        ValueError: lengths differ, or no market has such parameters.

    Source: Merton (1976), "Option pricing when underlying stock returns are discontinuous".
    """
    walks: dict[str, Any] = {"drift": drift, "volatility": volatility, "correlation": correlation}
    count = num_assets_of(**walks, jump_mean=jump_mean, jump_deviation=jump_deviation)
    mu, sigma = vector("drift", drift, count), _positive_vector("volatility", volatility, count)
    size = vector("jump_mean", jump_mean, count)
    spread = vector("jump_deviation", jump_deviation, count)
    _require("jump_deviation", jump_deviation, spread >= 0, "at least 0")
    rate = jump_intensity * period
    _require("jump_intensity", jump_intensity, rate >= 0, "at least 0")
    most = f"at most {LARGEST_JUMP_RATE:g} jumps in a period"
    _require("jump_intensity", jump_intensity, rate <= LARGEST_JUMP_RATE, most)
    below = _cumulative_poisson(rate)
    compensation = jump_intensity * jnp.expm1(size + spread**2 / 2)
    mean = (mu - sigma**2 / 2 - compensation) * period
    root = (sigma * period**0.5)[:, None] * _correlation_root(correlation, count)

    def draw(key: Key, state: Any) -> tuple[Any, Array]:
        normal = jax.random.normal(key, (2 * count + 1,))
        jumps = jnp.sum(ndtr(normal[-1]) > below, dtype=jnp.float32)
        jump = size * jumps + spread * jnp.sqrt(jumps) * normal[count : 2 * count]
        return state, mean + _product(root, normal[:count]) + jump

    deviation = jnp.sqrt((sigma**2 + jump_intensity * (size**2 + spread**2)) * period)
    return ReturnProcess(count, deviation, _no_history(count, window), draw)


def historical_returns(
    log_returns: Float[np.ndarray, "rows N"],
    *,
    first: int,
    last: int,
    deviation: Float[np.ndarray, " N"],
    window: int,
) -> ReturnProcess:
    """Returns as they were, from a first period that is drawn uniformly.

    Args:
        log_returns: of each period, in order.
        first: the earliest row to begin from.
        last: the latest one.
        deviation: of a period's log return, for scaling.
        window: how many returns are seen before the first period.

    Returns:
        The process; its state is the next row, int32.
    """
    rows = jnp.asarray(log_returns, jnp.float32)
    count = log_returns.shape[1]

    def start(key: Key) -> tuple[Array, Array]:
        row = jax.random.randint(key, (), first, last + 1) if last > first else jnp.int32(first)
        history = jax.lax.dynamic_slice(rows, (row - window, 0), (window, count))
        return row, history

    def draw(key: Key, state: Array) -> tuple[Array, Array]:
        del key
        return state + 1, rows[state]

    return ReturnProcess(count, deviation, start, draw, num_starts=last + 1 - first)


def num_assets_of(**parameters: Any) -> int:
    """How many assets there are, where each parameter has a value per asset or one for all.

    Raises:
        ValueError: two of them have values for different numbers of assets.
    """
    lengths = {name: np.shape(_array(name, value)) for name, value in parameters.items()}
    known = [(shape[0], name) for name, shape in lengths.items() if shape and shape[0] != 1]
    if not known:
        return 1
    count, first = known[0]
    if count == 0:
        raise ValueError(f"{first} has no values: give one for each asset, or one number for all")
    for length, name in known:
        if length != count:
            raise ValueError(
                f"{name} has {length} values, but {first} has {count}: give one for each asset, or "
                "one number for all"
            )
    return count


def vector(name: str, value: Any, count: int) -> Any:
    """A parameter as one float32 number per asset; NumPy's where nothing is traced.

    Raises:
        ValueError: it has another shape, or a number that is not finite.
    """
    array = _array(name, value)
    if array.shape not in ((), (1,), (count,)):
        raise ValueError(
            f"{name} has shape {array.shape}, expected ({count},), one number per asset, or one "
            "number for all"
        )
    _require(name, value, isinstance(array, Tracer) or np.isfinite(array), "finite")
    return (jnp if isinstance(array, Tracer) else np).broadcast_to(array, (count,))


def _array(name: str, value: Any) -> Any:
    """A number, or numbers, as float32; NumPy's where nothing is traced."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value)):
        return jnp.asarray(value, jnp.float32)
    try:
        return np.asarray(value, np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"{name}={value!r} is neither a number nor an array of numbers") from None


def _positive_vector(name: str, value: Any, count: int) -> Any:
    array = vector(name, value, count)
    _require(name, value, array > 0, "positive")
    return array


def _require(name: str, value: Any, is_right: Any, expected: str) -> None:
    """Refuses a parameter that is known and wrong; what is traced counts as right."""
    if not isinstance(is_right, Tracer) and not np.all(is_right):
        raise ValueError(f"{name}={value} must be {expected}")


def _correlation_root(correlation: Any, count: int) -> Any:
    """The lower triangular L with L L' = correlation, [N, N]."""
    array = _array("correlation", correlation)
    if array.shape in ((), (1,)):
        library = jnp if isinstance(array, Tracer) else np
        number = library.reshape(array, ())
        matrix = number + (1 - number) * np.eye(count, dtype=np.float32)
    elif array.shape == (count, count):
        matrix = array
    else:
        raise ValueError(
            f"correlation has shape {array.shape}, expected ({count}, {count}) or one number"
        )
    if isinstance(matrix, Tracer):
        return jnp.linalg.cholesky(matrix)
    exact = np.asarray(matrix, np.float64)
    right = np.allclose(exact, exact.T, atol=1e-6) and np.allclose(np.diag(exact), 1, atol=1e-6)
    try:
        return np.linalg.cholesky(exact if right else -np.eye(count)).astype(np.float32)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"correlation={correlation} must be a correlation: symmetric, 1 on the diagonal and "
            f"positive definite, or one number above {-1 / max(count - 1, 1):.3g} and below 1"
        ) from None


def _product(root: Any, normal: Float[Array, " N"]) -> Float[Array, " N"]:
    """L z in full float32, which a GPU's default is not."""
    return jnp.matmul(root, normal, precision="highest")


def _per_regime(name: str, value: Any, regimes: tuple[int, ...], count: int) -> Any:
    """A parameter as an array [K, N], which [K] and [K, N] can be made."""
    array = _array(name, value)
    if not regimes or array.shape not in (regimes, (*regimes, count)):
        expected = f"{regimes} or {(*regimes, count)}" if regimes else "[regimes]"
        raise ValueError(f"{name} has shape {array.shape}, expected {expected}, as regime_drift")
    library = jnp if isinstance(array, Tracer) else np
    return library.broadcast_to(array.reshape(*regimes, -1), (*regimes, count))


def _transition(transition: Any, regimes: int) -> Any:
    array = _array("transition", transition)
    if array.size != regimes**2:
        raise ValueError(
            f"transition has {array.size} probabilities, expected {regimes} rows of {regimes}, a "
            "row for each regime of regime_drift"
        )
    array = array.reshape(regimes, regimes)
    if not isinstance(array, Tracer):
        right = bool((array >= 0).all() and np.allclose(array.sum(axis=1), 1.0, atol=1e-5))
        _require("transition", transition, right, "probabilities whose rows sum to 1")
    return array


def _stationary(chain: Any) -> Array:
    """The stationary distribution [K]; of several, the one that a uniform start comes to."""
    regimes = chain.shape[0]
    # Half of the time the lazy chain stays, so that a periodic one settles too; 2^20 periods on.
    powers = (jnp.eye(regimes) + jnp.asarray(chain)) / 2
    for _ in range(20):
        powers = jnp.matmul(powers, powers, precision="highest")
        powers = powers / jnp.sum(powers, axis=1, keepdims=True)
    return jnp.mean(powers, axis=0)


def _cumulative(probabilities: Any) -> Array:
    """The upper ends of all regimes but the last, [..., K - 1]."""
    return jnp.cumsum(jnp.asarray(probabilities), axis=-1)[..., :-1]


def _cumulative_poisson(rate: Any) -> Array:
    """P(n <= k) for k = 0 .. 15."""
    counts = jnp.arange(1, _MOST_JUMPS, dtype=jnp.float32)
    terms = jnp.concatenate([jnp.ones(1), jnp.cumprod(rate / counts)])
    return jnp.exp(-jnp.float32(rate)) * jnp.cumsum(terms)


def _no_history(count: int, window: int) -> Start:
    zeros = np.zeros((window, count), np.float32)

    def start(key: Key) -> tuple[Any, Array]:
        del key
        return (), jnp.asarray(zeros)

    return start

"""Baselines of portfolio choice: constant weights, equal, Markowitz's, Merton's, and buy and hold.

Each is a `Policy`, played by `jaxrl.evaluate` as any agent is. Where actions are logits
(`action="softmax"`), no weight is less than e^-10 of the largest: a weight of 0 becomes that.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from jaxrl.environments.finance.portfolio import LARGEST_LOGIT
from jaxrl.environments.finance.portfolio_weights import markowitz_weights, merton_weights
from jaxrl.types import Action, Key, Observation, Policy


def constant_weights(weights: Any, *, action: str = "softmax") -> Policy:
    """The policy that restores the same weights in every period.

    Args:
        weights: [N + 1], cash first, not negative, with sum 1; may be traced.
        action: what the environment takes, "softmax" or "weights".

    Returns:
        The policy, which draws no random numbers and has no memory.

    Raises:
        ValueError: the weights are none, or the action is unknown.

    Example:
        >>> import jax, jaxrl
        >>> from jaxrl.environments.finance import constant_weights, portfolio
        >>> half_in_cash = constant_weights([0.5, 0.5], action="weights")
        >>> market = portfolio(drift=0.1, volatility=0.2, action="weights")
        >>> result = jaxrl.evaluate(jax.random.key(0), market, half_in_cash, num_episodes=4)
        >>> result.returns.shape
        (4,)
    """
    chosen = _action_of(_checked(weights), action)

    def act(key: Key, carry: Any, observation: Observation) -> tuple[Any, Action]:
        del key, observation
        return carry, chosen

    return Policy(start=_no_memory, act=act)


def equal_weights(num_assets: int, *, action: str = "softmax") -> Policy:
    """The policy that restores 1 / N in each asset and no cash in every period.

    Args:
        num_assets: N.
        action: what the environment takes, "softmax" or "weights".

    Source: DeMiguel, Garlappi and Uppal (2009), "Optimal versus naive diversification".
    """
    return constant_weights(_equal(num_assets), action=action)


def buy_and_hold(num_assets: int, *, weights: Any = None, action: str = "softmax") -> Policy:
    """The policy that buys in the first period and never trades again.

    Args:
        num_assets: N.
        weights: [N + 1] that are bought, cash first; None: 1 / N in each asset.
        action: what the environment takes, "softmax" or "weights".

    Returns:
        The policy, whose memory is whether it has bought. It reads the weights in the observation.

    Raises:
        ValueError: the weights are none, or of another number of assets.
    """
    bought = _checked(_equal(num_assets) if weights is None else weights)
    if bought.shape != (num_assets + 1,):
        raise ValueError(
            f"weights have shape {bought.shape}, expected ({num_assets + 1},), cash first"
        )
    first = _action_of(bought, action)

    def start(key: Key) -> Bool[Array, ""]:
        del key
        return jnp.array(False)

    def act(
        key: Key, has_bought: Bool[Array, ""], observation: Float[Array, " size"]
    ) -> tuple[Bool[Array, ""], Action]:
        del key
        # Behind the weights stands one number, the time that is left.
        held = observation[-(num_assets + 2) : -1]
        return jnp.array(True), jnp.where(has_bought, _action_of(held, action), first)

    return Policy(start=start, act=act)


def merton(
    drift: Any,
    covariance: Any,
    *,
    riskless_rate: float = 0.0,
    risk_aversion: float = 1.0,
    action: str = "softmax",
) -> Policy:
    """The policy of Merton's weights, long only; at risk aversion 1, Kelly's: `merton_weights`."""
    weights = merton_weights(
        drift, covariance, riskless_rate=riskless_rate, risk_aversion=risk_aversion
    )
    return constant_weights(weights, action=action)


def markowitz(
    mean: Any,
    covariance: Any,
    *,
    riskless_rate: float = 0.0,
    risk_aversion: float = 3.0,
    with_cash: bool = True,
    action: str = "softmax",
) -> Policy:
    """The policy of Markowitz's mean-variance weights, long only: `markowitz_weights`."""
    weights = markowitz_weights(
        mean,
        covariance,
        riskless_rate=riskless_rate,
        risk_aversion=risk_aversion,
        with_cash=with_cash,
    )
    return constant_weights(weights, action=action)


def _equal(num_assets: int) -> Any:
    if num_assets < 1:
        raise ValueError(f"num_assets={num_assets} must be at least 1")
    return np.concatenate([[0.0], np.full(num_assets, 1 / num_assets)])


def _checked(weights: Any) -> Any:
    """Weights as an array; what is traced counts as right."""
    if isinstance(weights, Tracer):
        return weights
    array = np.asarray(weights, np.float32)
    if array.ndim != 1 or len(array) < 2:
        raise ValueError(f"weights have shape {array.shape}, expected (N + 1,), cash first")
    if not (np.isfinite(array).all() and (array >= 0).all() and abs(array.sum() - 1) < 1e-4):
        raise ValueError(f"weights={weights} must not be negative, and their sum must be 1")
    return array


def _action_of(weights: Any, action: str) -> Array:
    """The action that asks for some weights."""
    weights = jnp.asarray(weights, jnp.float32)
    if action == "weights":
        return weights
    if action != "softmax":
        raise ValueError(f"action={action!r} is not one of 'softmax', 'weights'")
    ratio = weights / jnp.max(weights)
    # The largest weight has the largest logit, so that the others have all of the range below it.
    logits = jnp.log(jnp.maximum(ratio, jnp.finfo(jnp.float32).tiny)) + LARGEST_LOGIT
    return jnp.maximum(logits, -LARGEST_LOGIT)


def _no_memory(key: Key) -> Any:
    del key
    return ()

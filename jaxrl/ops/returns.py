"""Returns and advantages along one trajectory of T steps; vmap for a batch.

All functions share one convention, so that time limits are treated right everywhere:

- `next_value[t]` is V of the true successor of step t, before any reset. Within an episode that is
  the next step's value; at an episode's end it is the value of the final observation.
- `terminated[t]`: the task ended; the future is worth nothing. It wins over `truncated[t]`.
- `truncated[t]`: a limit cut the episode; the future is worth `next_value[t]`.
- After either, the next step belongs to another episode, and nothing flows back across.
- The last step is bootstrapped from `next_value[T - 1]`, unless it terminated.
- What does not count is not read: a value that is nan where an episode terminated changes nothing.

`discount` is one number, or one per step. No gradient is stopped here: call these outside the
differentiated function, or wrap the results in `jax.lax.stop_gradient`.
"""

from typing import NamedTuple, TypeAlias

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxrl.ops.value_losses import td_error
from jaxrl.ops.weighting import probability_ratio, weighted

Number: TypeAlias = Float[Array, ""] | float
Discount: TypeAlias = Float[Array, "#T"] | Number


class VTrace(NamedTuple):
    """Targets and advantages by V-trace.

    Attributes:
        value_error: [T], target minus value.
        value_target: [T], what the value should be.
        advantage: [T], what multiplies the gradient of log pi, with its own clipped ratio.
    """

    value_error: Float[Array, "T"]
    value_target: Float[Array, "T"]
    advantage: Float[Array, "T"]


def discounted_returns(
    reward: Float[Array, "T"],
    next_value: Float[Array, "T"],
    terminated: Bool[Array, "T"],
    truncated: Bool[Array, "T"],
    *,
    discount: Discount,
) -> Float[Array, "T"]:
    """Rewards to the episode's end, and beyond a truncation or the last step the value.

        G_t = r_t + discount_t { 0 if terminated; V(s_{t+1}) if truncated or t = T - 1; G_{t+1} }

    Args:
        reward: r.
        next_value: see the module; zeros give the plain sum of rewards.
        terminated: see the module.
        truncated: see the module.
        discount: see the module.

    Returns:
        G.

    Source: Sutton and Barto (2018), equation 3.9.
    """
    return lambda_returns(reward, next_value, terminated, truncated, discount=discount, lambda_=1.0)


def n_step_returns(
    reward: Float[Array, "T"],
    next_value: Float[Array, "T"],
    terminated: Bool[Array, "T"],
    truncated: Bool[Array, "T"],
    *,
    discount: Discount,
    n: int,
) -> Float[Array, "T"]:
    """Some n rewards, then the value; fewer where an episode or the trajectory ends sooner.

        G_t^1 = r_t + discount_t (1 - terminated_t) V(s_{t+1})
        G_t^n = r_t + discount_t G_{t+1}^{n-1} within an episode, G_t^1 at its last step

    Args:
        reward: r.
        next_value: see the module.
        terminated: see the module.
        truncated: see the module.
        discount: see the module.
        n: how many rewards, static, at least 1; costs n passes over the trajectory.

    Returns:
        G^n.

    Raises:
        ValueError: where n is below 1.

    Source: Sutton and Barto (2018), equation 7.1.
    """
    if n < 1:
        raise ValueError(f"n={n} must be at least 1")
    _assert_trajectory(reward, next_value, terminated, truncated)
    bootstrap_discount = jnp.where(terminated, 0.0, discount)
    ends = jnp.logical_or(terminated, truncated).at[-1].set(True)

    def add_reward(index: Array, future: Array) -> Array:
        del index
        return jnp.where(
            ends, next_value, jnp.roll(reward + weighted(bootstrap_discount, future), -1)
        )

    future = jax.lax.fori_loop(0, n - 1, add_reward, next_value)
    return reward + weighted(bootstrap_discount, future)


def lambda_returns(
    reward: Float[Array, "T"],
    next_value: Float[Array, "T"],
    terminated: Bool[Array, "T"],
    truncated: Bool[Array, "T"],
    *,
    discount: Discount,
    lambda_: Number,
) -> Float[Array, "T"]:
    """The mixture of all n-step returns with weights (1 - lambda) lambda^(n-1).

        G_t = r_t + discount_t ((1 - lambda) V(s_{t+1}) + lambda G_{t+1}) within an episode,
        G_t = r_t + discount_t (1 - terminated_t) V(s_{t+1}) at its last step

    Args:
        reward: r.
        next_value: see the module.
        terminated: see the module.
        truncated: see the module.
        discount: see the module.
        lambda_: in [0, 1].

    Returns:
        G.

    Source: Sutton and Barto (2018), equation 12.2.
    """
    _assert_trajectory(reward, next_value, terminated, truncated)
    bootstrap_discount = jnp.where(terminated, 0.0, discount)
    # The last step has no next one: all of its future is the value.
    ends = jnp.logical_or(terminated, truncated).at[-1].set(True)
    trace = jnp.where(ends, 0.0, lambda_)
    trace, bootstrap_discount = (x.astype(reward.dtype) for x in (trace, bootstrap_discount))
    one_step = reward + weighted(bootstrap_discount * (1 - trace), next_value)
    return _accumulate(one_step, bootstrap_discount * trace)


def gae(
    reward: Float[Array, "T"],
    value: Float[Array, "T"],
    next_value: Float[Array, "T"],
    terminated: Bool[Array, "T"],
    truncated: Bool[Array, "T"],
    *,
    discount: Discount,
    gae_lambda: Number,
) -> Float[Array, "T"]:
    """The generalised advantage estimate.

        delta_t = r_t + discount_t (1 - terminated_t) V(s_{t+1}) - V(s_t)
        A_t = delta_t + discount_t lambda A_{t+1} within an episode, delta_t at its last step

    Args:
        reward: r.
        value: V(s_t), of the observation that the action was chosen from.
        next_value: see the module.
        terminated: see the module.
        truncated: see the module.
        discount: see the module.
        gae_lambda: in [0, 1]; 0 is the temporal-difference error, 1 the return less the value.

    Returns:
        A; A + value are the lambda-returns.

    Source: Schulman et al. (2016), "High-Dimensional Continuous Control Using Generalized Advantage
    Estimation", equation 16.
    """
    _assert_trajectory(reward, value, next_value, terminated, truncated)
    delta = td_error(reward, value, next_value, terminated, discount=discount)
    return _accumulate(delta, _trace(terminated, truncated, discount) * gae_lambda)


def vtrace(
    log_ratio: Float[Array, "T"],
    reward: Float[Array, "T"],
    value: Float[Array, "T"],
    next_value: Float[Array, "T"],
    terminated: Bool[Array, "T"],
    truncated: Bool[Array, "T"],
    *,
    discount: Discount,
    lambda_: Number = 1.0,
    clip_rho: Number = 1.0,
    clip_c: Number = 1.0,
    clip_policy_gradient_rho: Number = 1.0,
) -> VTrace:
    """Value targets and advantages of pi from what another policy mu did.

    With rho_t = min(clip_rho, pi / mu) and c_t = lambda min(clip_c, pi / mu),

        delta_t = rho_t (r_t + discount_t (1 - terminated_t) V(s_{t+1}) - V(s_t))
        error_t = delta_t + discount_t c_t error_{t+1} within an episode, delta_t at its last step
        target_t = V(s_t) + error_t
        advantage_t = min(clip_policy_gradient_rho, pi / mu)
                      (r_t + discount_t (V(s_{t+1}) + lambda error_{t+1}) - V(s_t))

    where error_{t+1} counts within an episode only and V(s_{t+1}) unless terminated.

    Args:
        log_ratio: log pi(a_t | s_t) - log mu(a_t | s_t).
        reward: r.
        value: V(s_t), of the observation that the action was chosen from.
        next_value: see the module.
        terminated: see the module.
        truncated: see the module.
        discount: see the module.
        lambda_: in [0, 1]; below 1 it mixes in shorter returns.
        clip_rho: fixes which policy is evaluated, between mu and pi; positive, may be infinite.
        clip_c: how fast corrections fade; positive.
        clip_policy_gradient_rho: the largest weight of an advantage; positive.

    Returns:
        Errors, targets and advantages.

    Source: Espeholt et al. (2018), "IMPALA", equation 1, section 4.2 and, for lambda, remark 2. The
    paper's advantage has no lambda; ours uses the targets' so that both mix the same returns.
    """
    _assert_trajectory(log_ratio, reward, value, next_value, terminated, truncated)
    delta = td_error(reward, value, next_value, terminated, discount=discount)
    trace = _trace(terminated, truncated, discount) * lambda_
    value_error = _accumulate(
        _clipped_ratio(log_ratio, clip_rho) * delta, trace * _clipped_ratio(log_ratio, clip_c)
    )
    next_value_error = jnp.append(value_error[1:], 0.0)
    weight = _clipped_ratio(log_ratio, clip_policy_gradient_rho)
    return VTrace(
        value_error=value_error,
        value_target=value + value_error,
        advantage=weight * (delta + weighted(trace, next_value_error)),
    )


def _accumulate(delta: Float[Array, "T"], trace: Float[Array, "T"]) -> Float[Array, "T"]:
    """sum_{k >= t} delta_k prod_{t <= j < k} trace_j; what lies behind a trace of 0 is not read."""

    def step(sum_tp1: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        delta_t, trace_t = inputs
        sum_t = delta_t + weighted(trace_t, sum_tp1)
        return sum_t, sum_t

    zero = jnp.zeros((), delta.dtype)
    return jax.lax.scan(step, zero, (delta, trace), reverse=True)[1]


def _trace(
    terminated: Bool[Array, "T"], truncated: Bool[Array, "T"], discount: Discount
) -> Float[Array, "T"]:
    """Discounts [T] that carry a return back over each step: 0 at an episode's end."""
    return jnp.where(jnp.logical_or(terminated, truncated), 0.0, discount)


def _clipped_ratio(log_ratio: Float[Array, "T"], clip: Number) -> Float[Array, "T"]:
    return jnp.minimum(probability_ratio(log_ratio), clip)


def _assert_trajectory(*arrays: Array) -> None:
    chex.assert_rank(arrays, 1)
    chex.assert_equal_shape(arrays)

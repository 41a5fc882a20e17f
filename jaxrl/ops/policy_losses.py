"""Policy-gradient losses, to be minimised.

`log_ratio` is log pi(a|s) - log pi_old(a|s), where pi_old drew the action. No gradient is stopped
here: pass advantages and old log-probabilities that were computed outside the differentiated
function, or wrap them in `jax.lax.stop_gradient`. An element whose weight or advantage is 0 has no
part in a loss or its gradient, whatever its log-probability is; ratios beyond e^20 are bounded as
in `probability_ratio`.
"""

import chex
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.ops.weighting import counted, probability_ratio, weighted


def score_function_loss(
    log_probability: Float[Array, "..."], weight: Float[Array, "..."]
) -> Float[Array, ""]:
    """The loss whose gradient is the score-function estimate of the policy gradient.

        -mean[log pi(a|s) weight]

    Args:
        log_probability: log pi(a|s), of any shape.
        weight: what the action was worth, such as its return or advantage; of the same shape.

    Returns:
        The loss; its value means nothing, its gradient is minus the estimate.

    Source: Williams (1992), "Simple Statistical Gradient-Following Algorithms for Connectionist
    Reinforcement Learning", theorem 1.
    """
    chex.assert_equal_shape([log_probability, weight])
    return -jnp.mean(weighted(weight, log_probability))


def surrogate_loss(
    log_ratio: Float[Array, "..."], advantage: Float[Array, "..."]
) -> Float[Array, ""]:
    """The importance-weighted policy-gradient loss.

        -mean[ratio A], with ratio = exp(log_ratio)

    Args:
        log_ratio: of any shape.
        advantage: A, of the same shape.

    Returns:
        The loss.

    Source: Schulman et al. (2015), "Trust Region Policy Optimization", equation 14.
    """
    chex.assert_equal_shape([log_ratio, advantage])
    return -jnp.mean(probability_ratio(counted(advantage, log_ratio)) * advantage)


def clipped_surrogate_loss(
    log_ratio: Float[Array, "..."],
    advantage: Float[Array, "..."],
    *,
    clip_epsilon: Float[Array, ""] | float,
) -> Float[Array, ""]:
    """PPO's loss: the surrogate, without the reward for a ratio that leaves the clip range.

        -mean[min(ratio A, clip(ratio, 1 - epsilon, 1 + epsilon) A)]

    Args:
        log_ratio: of any shape.
        advantage: A, of the same shape.
        clip_epsilon: half the width of the range, in (0, 1).

    Returns:
        The loss.

    Source: Schulman et al. (2017), "Proximal Policy Optimization Algorithms", equation 7.
    """
    chex.assert_equal_shape([log_ratio, advantage])
    ratio = probability_ratio(counted(advantage, log_ratio))
    clipped_ratio = jnp.clip(ratio, 1 - clip_epsilon, 1 + clip_epsilon)
    return -jnp.mean(jnp.minimum(ratio * advantage, clipped_ratio * advantage))

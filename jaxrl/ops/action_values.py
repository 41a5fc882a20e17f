"""Targets of action values, and alternatives to their plain maximum.

No gradient is stopped here: compute targets outside the differentiated function.
"""

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl.ops.weighting import weighted


def q_target(
    reward: Float[Array, "*batch"],
    discount: Float[Array, "*#batch"],
    next_value: Float[Array, "*batch"],
) -> Float[Array, "*batch"]:
    """R + discount V(s'): what Q(s, a) should be.

    Args:
        reward: of one step, or the discounted sum of several.
        discount: gamma to the number of steps; 0 where the task terminated, and not where a limit
            cut the episode off.
        next_value: of the true successor, before any reset; not read where the discount is 0.

    Source: Watkins and Dayan (1992).
    """
    chex.assert_equal_shape([reward, next_value])
    return reward + weighted(discount, next_value)


def value_of(
    values: Float[Array, "*batch K"], action: Int[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Q(s, a) of a vector Q(s, .); NaN where there is no such action."""
    size = values.shape[-1]
    # A gather would have a scatter for its gradient, which is slow on the CPU.
    chosen = jax.nn.one_hot(action, size, dtype=bool)
    total = jnp.sum(jnp.where(chosen, values, 0.0), axis=-1)
    return jnp.where((action >= 0) & (action < size), total, jnp.nan)


def double_q_value(
    online: Float[Array, "*batch K"], target: Float[Array, "*batch K"]
) -> Float[Array, "*batch"]:
    """target[argmax online]: one network chooses the action, another says what it is worth.

    The maximum of noisy values is too high on average; that of one network's choice is not, where
    the other's errors are its own.

    Source: van Hasselt et al. (2016, arXiv:1509.06461), equation 4.
    """
    chex.assert_equal_shape([online, target])
    return value_of(target, jnp.argmax(online, axis=-1))


def smoothed_action(
    action: Float[Array, "*batch D"],
    noise: Float[Array, "*batch D"],
    *,
    noise_clip: Float[Array, ""] | float,
    low: Float[Array, "*#batch #D"] | float = -1.0,
    high: Float[Array, "*#batch #D"] | float = 1.0,
) -> Float[Array, "*batch D"]:
    """clip(a + clip(noise, -c, c) (high - low) / 2, low, high).

    Args:
        action: of the target policy, within the bounds.
        noise: in half the width of the bounds.
        noise_clip: c, of the same unit.
        low: the least action.
        high: the greatest.

    Source: Fujimoto et al. (2018, arXiv:1802.09477), equation 14, where the bounds are -1 and 1.
    """
    chex.assert_equal_shape([action, noise])
    low, high = (jnp.broadcast_to(jnp.asarray(x, action.dtype), action.shape) for x in (low, high))
    half_width = 0.5 * (high - low)
    return jnp.clip(action + half_width * jnp.clip(noise, -noise_clip, noise_clip), low, high)


def soft_value(
    value: Float[Array, "*batch"],
    log_probability: Float[Array, "*batch"],
    *,
    temperature: Float[Array, ""] | float,
) -> Float[Array, "*batch"]:
    """Q(s, a) - alpha log pi(a | s), of an action that was drawn from pi.

    Source: Haarnoja et al. (2018, arXiv:1812.05905), equation 3.
    """
    chex.assert_equal_shape([value, log_probability])
    return value - temperature * log_probability


def temperature_loss(
    log_temperature: Float[Array, ""],
    log_probability: Float[Array, "*batch"],
    *,
    target_entropy: Float[Array, "*#batch"] | float,
) -> Float[Array, ""]:
    """-log(alpha) (log pi + target entropy), the mean: alpha grows where the entropy is too low.

    Args:
        log_temperature: log alpha.
        log_probability: of actions drawn from pi; no gradient of them is meant.
        target_entropy: in nats; one for all, or one for each action.

    Source: Haarnoja et al. (2018, arXiv:1812.05905), equation 18, with log(alpha) for alpha, as the
    authors' code had it at first: the step then does not depend on how large alpha is.
    """
    return -log_temperature * jnp.mean(log_probability + target_entropy)

"""Values of the true successors of a rollout's steps, computed no oftener than needed."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def successor_values(
    value: Float[Array, "T B"],
    terminated: Bool[Array, "T B"],
    truncated: Bool[Array, "T B"],
    *,
    value_of_final: Callable[[slice], Float[Array, "S B"]],
) -> Float[Array, "T B"]:
    """V(s_{t+1}), before any reset: what `ops.returns` calls `next_value`.

    Args:
        value: V(s_t), of the observation that the action was chosen from.
        terminated: of each step.
        truncated: of each step.
        value_of_final: (rows) -> the values of those rows' final observations.

    Returns:
        The values; where an episode terminated they mean nothing, and no return reads them.
    """
    cut_off = truncated & ~terminated
    # The value of a step that goes on is that of the next one, and where the episode terminated
    # none is read. Only if a time limit cut one off in the midst of the rollout is more to be seen.
    return jax.lax.cond(
        jnp.any(cut_off[:-1]),
        lambda: value_of_final(slice(None)),
        lambda: jnp.concatenate((value[1:], value_of_final(slice(-1, None)))),
    )

"""Q(lambda) returns of rollouts."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.networks.applying import apply_to_batch
from jaxrl.ops.returns import lambda_returns
from jaxrl.ops.successors import successor_values
from jaxrl.types import Network, Params, Transition


def q_lambda_returns(
    network: Network,
    params: Params,
    transitions: Transition,
    value: Float[Array, "T B"],
    *,
    discount: Any,
    trace_decay: Any,
) -> Float[Array, "T B"]:
    """Lambda-returns that bootstrap from max_a Q.

    Random actions do not cut the returns: this is Peng's Q(lambda), not Watkins'. Time limits
    bootstrap from the final observations.

    Args:
        network: of action values, as `values_network` makes it.
        params: that acted.
        transitions: a rollout, leaves [T, B, ...].
        value: max_a Q of each observation, with the same parameters.
        discount: gamma.
        trace_decay: lambda, in [0, 1].

    Source: Gallici et al. (2024, arXiv:2407.04811), algorithm 1; Peng and Williams (1994).
    """

    def of_final(rows: slice) -> Float[Array, "S B"]:
        final = jax.tree.map(
            lambda x: x[rows].reshape(-1, *x.shape[2:]), transitions.next_observation
        )
        highest = jnp.max(apply_to_batch(network, params, final), axis=-1)
        return highest.reshape(-1, value.shape[1])

    terminated, truncated = transitions.terminated, transitions.truncated
    next_value = successor_values(value, terminated, truncated, value_of_final=of_final)
    returns = partial(lambda_returns, discount=discount, lambda_=trace_decay)
    return jax.vmap(returns, in_axes=1, out_axes=1)(
        transitions.reward, next_value, terminated, truncated
    )

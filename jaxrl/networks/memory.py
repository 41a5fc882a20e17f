"""Networks with memory: the trivial one, and how any of them runs over sequences."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxrl.networks.protocol import over_batch
from jaxrl.types import Network, Observation, Params, RecurrentNetwork


def without_memory(network: Network) -> RecurrentNetwork:
    """A feed-forward network as one whose memory is (): it costs nothing."""

    def start() -> tuple[()]:
        return ()

    def apply(params: Params, memory: Any, observation: Observation) -> tuple[Any, Any]:
        return memory, network.apply(params, observation)

    def unroll(
        params: Params, memory: Any, observation: Observation, ended: Bool[Array, "T B"]
    ) -> tuple[Any, Any]:
        del ended
        per_step = over_batch(network, over_batch(network, network.apply))
        return memory, per_step(params, observation)

    return RecurrentNetwork(init=network.init, start=start, apply=apply, unroll=unroll)


def step_by_step(
    init: Callable[..., Params],
    start: Callable[[], Any],
    apply: Callable[[Params, Any, Observation], tuple[Any, Any]],
) -> RecurrentNetwork:
    """Completes a network with memory by an `unroll` that takes one step after another.

    Args:
        init: see `RecurrentNetwork`.
        start: see `RecurrentNetwork`.
        apply: see `RecurrentNetwork`.
    """

    def unroll(
        params: Params, memory: Any, observation: Observation, ended: Bool[Array, "T B"]
    ) -> tuple[Any, Any]:
        def step(memory: Any, inputs: Any) -> Any:
            observation, ended = inputs
            after, output = jax.vmap(apply, (None, 0, 0))(params, memory, observation)
            return start_again(ended, start, after), (after, output)

        return jax.lax.scan(step, memory, (observation, ended))[1]

    return RecurrentNetwork(init=init, start=start, apply=apply, unroll=unroll)


def start_again(ended: Bool[Array, " B"], start: Callable[[], Any], memory: Any) -> Any:
    """Memories [B, ...], at an episode's start where one `ended`."""

    def choose(fresh: Array, old: Array) -> Array:
        return jnp.where(ended.reshape(ended.shape + (1,) * (old.ndim - 1)), fresh, old)

    return jax.tree.map(choose, start(), memory)

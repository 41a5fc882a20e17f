"""Passes over a batch in shuffled minibatches."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrl.keys import scan_keys
from jaxrl.ops.shuffling import random_permutation
from jaxrl.sharding import over_devices
from jaxrl.types import Key, Metrics


def over_minibatches(
    key: Key,
    learn: Callable[[Any, Int[Array, " M"]], tuple[Any, Metrics]],
    carry: Any,
    *,
    size: int,
    num_epochs: int,
    num_minibatches: int,
) -> tuple[Any, Metrics]:
    """Learns from minibatches; each pass shares out every element once, in a fresh order.

    Args:
        key: consumed.
        learn: (carry, index [M] of a minibatch's elements) -> (carry, metrics).
        carry: what is learnt.
        size: N, elements of the batch.
        num_epochs: passes.
        num_minibatches: of a pass; divides N.

    Returns:
        What is learnt, and the metrics' means over all minibatches.
    """

    def epoch(carry: Any, key_shuffle: Key) -> Any:
        order = random_permutation(key_shuffle, size).reshape(num_minibatches, -1)
        return jax.lax.scan(learn, carry, over_devices(order, axis=1))

    carry, metrics = scan_keys(epoch, carry, jax.random.split(key, num_epochs))
    return carry, jax.tree.map(jnp.mean, metrics)

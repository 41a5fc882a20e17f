"""Uniform replay (Lin 1992; Mnih et al. 2015): every step that is remembered is as likely."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxrl.replay.ring import Ring, RingStorage
from jaxrl.types import Key, Replay, Replayed


def uniform_replay(storage: RingStorage, *, batch_size: int, discount: Any = 0.99) -> Replay:
    """Builds a replay that samples with replacement in time and memory of the batch.

    Args:
        storage: of the steps.
        batch_size: M, of each sample.
        discount: gamma, of the rewards until the successor; may be traced.

    Returns:
        The replay; its state is a `Ring`.

    Raises:
        ValueError: the batch size is not positive.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be at least 1")

    def can_sample(ring: Ring) -> Bool[Array, ""]:
        return storage.window(ring).length > 0

    def sample(key: Key, ring: Ring) -> Replayed:
        window = storage.window(ring)
        count = jnp.maximum(window.length, 1).astype(jnp.uint32) * storage.num_envs
        # One draw, where randint takes two: off uniform by less than count / 2^32.
        index = (jax.random.bits(key, (batch_size,)) % count).astype(jnp.int32)
        time = window.oldest + index // storage.num_envs
        steps = storage.read(ring, time, index % storage.num_envs, discount)
        # What cannot be sampled yet has no weight.
        weight = jnp.full(batch_size, window.length > 0, jnp.float32)
        return steps._replace(weight=weight)

    def prioritize(ring: Ring, index: Array, error: Array) -> Ring:
        del index, error
        return ring

    return Replay(
        init=storage.init,
        add=storage.add,
        sample=sample,
        can_sample=can_sample,
        prioritize=prioritize,
    )

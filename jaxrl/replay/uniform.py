"""Uniform replay (Lin 1992; Mnih et al. 2015): every step that is remembered is as likely."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxrl.replay.ring import Ring, ring_storage
from jaxrl.types import Key, ObservationSpace, Replay, Replayed, Space, Transition


def uniform_replay(
    observation_space: ObservationSpace,
    action_space: Space,
    *,
    capacity: int,
    batch_size: int,
    num_envs: int,
    num_steps: int = 1,
    n_step: int = 1,
    discount: Any = 0.99,
    max_episode_steps: int | None = None,
) -> Replay:
    """Builds a replay that samples with replacement in time and memory of the batch.

    Args:
        observation_space: of the observations.
        action_space: of the actions, as the policy draws them.
        capacity: transitions of all environments together; rounded up to whole additions.
        batch_size: M, of each sample.
        num_envs: B, environments.
        num_steps: T, steps of each that are added at a time.
        n_step: rewards that are summed before the successor's value counts.
        discount: gamma, of these rewards; may be traced.
        max_episode_steps: see `ring_storage`.

    Returns:
        The replay; its state is a `Ring`.

    Raises:
        ValueError: a count is not positive, or the capacity is too small.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be at least 1")
    storage = ring_storage(
        observation_space,
        action_space,
        capacity=capacity,
        num_envs=num_envs,
        num_steps=num_steps,
        n_step=n_step,
        max_episode_steps=max_episode_steps,
    )

    def can_sample(ring: Ring) -> Bool[Array, ""]:
        return storage.window(ring).length > 0

    def sample(key: Key, ring: Ring) -> Replayed:
        window = storage.window(ring)
        count = jnp.maximum(window.length, 1).astype(jnp.uint32) * num_envs
        # One draw, where randint takes two: off uniform by less than count / 2^32.
        index = (jax.random.bits(key, (batch_size,)) % count).astype(jnp.int32)
        time = window.oldest + index // num_envs
        steps = storage.read(ring, time, index % num_envs, discount)
        return Replayed(*steps, weight=jnp.ones(batch_size), index=index)

    def prioritize(ring: Ring, index: Array, error: Array) -> Ring:
        del index, error
        return ring

    def add(ring: Ring, transitions: Transition) -> Ring:
        return storage.add(ring, transitions)

    return Replay(
        init=storage.init, add=add, sample=sample, can_sample=can_sample, prioritize=prioritize
    )

"""Prioritised replay (Schaul et al. 2016, arXiv:1511.05952), the proportional variant."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxrl.replay.ring import Ring, ring_storage
from jaxrl.replay.sum_tree import (
    SumTree,
    find,
    init_sum_tree,
    set_weights,
    total_weight,
    weights_at,
)
from jaxrl.types import Key, ObservationSpace, Replay, Replayed, Space, Transition

# Added to every error, so that no step is never seen again.
_SMALLEST_ERROR = 1e-6


class PrioritizedState(NamedTuple):
    """Steps and how much there is to learn from them.

    Attributes:
        ring: the steps.
        tree: of priority^alpha; 0 where there is nothing to learn from. The leaf of slot s of
            environment b is s B + b.
        highest: float32 (), the highest priority so far, which new steps get.
    """

    ring: Ring
    tree: SumTree
    highest: Float[Array, ""]


def prioritized_replay(
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
    priority_exponent: Any = 0.6,
    importance_exponent: Any = 0.4,
    annealed_over: int | None = None,
) -> Replay:
    """Builds a replay that samples what surprised most more often.

        p_i = |error_i| + 1e-6,  P(i) = p_i^alpha / sum_k p_k^alpha,
        weight_i = (N P(i))^-beta / max_j weight_j, the maximum over the batch.

    The batch is stratified: the total is cut into M equal shares, and one step drawn from each.

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
        priority_exponent: alpha, 0 for uniform; may be traced.
        importance_exponent: beta at the start, 1 for unbiased; may be traced.
        annealed_over: steps of one environment over which beta rises to 1; None: it stays.

    Returns:
        The replay; its state is a `PrioritizedState`.

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

    def leaves_of(time: Array) -> Int[Array, " leaves"]:
        slots = time % storage.num_slots
        return (slots[:, None] * num_envs + jnp.arange(num_envs)).reshape(-1)

    def init() -> PrioritizedState:
        tree = init_sum_tree(storage.num_slots * num_envs)
        return PrioritizedState(ring=storage.init(), tree=tree, highest=jnp.float32(1))

    def add(state: PrioritizedState, transitions: Transition) -> PrioritizedState:
        before = storage.window(state.ring).oldest
        ring = storage.add(state.ring, transitions)
        oldest = storage.window(ring).oldest
        tree = _forget(state.tree, before, oldest, leaves_of, num_steps)
        # Complete by now: the n steps from these times on.
        time = state.ring.time + jnp.arange(num_steps) - (n_step - 1)
        weight = jnp.where(time >= oldest, state.highest**priority_exponent, 0.0)
        tree = set_weights(tree, leaves_of(time), jnp.repeat(weight, num_envs))
        return state._replace(ring=ring, tree=tree)

    def can_sample(state: PrioritizedState) -> Bool[Array, ""]:
        return total_weight(state.tree) > 0

    def sample(key: Key, state: PrioritizedState) -> Replayed:
        total = total_weight(state.tree)
        share = (jnp.arange(batch_size) + jax.random.uniform(key, (batch_size,))) / batch_size
        leaf = find(state.tree, share * total)
        window = storage.window(state.ring)
        slot = leaf // num_envs
        time = window.oldest + (slot - window.oldest) % storage.num_slots
        steps = storage.read(state.ring, time, leaf % num_envs, discount)
        count = jnp.maximum(window.length, 1) * num_envs
        probability = weights_at(state.tree, leaf) / total
        beta = importance_exponent
        if annealed_over is not None:
            done = jnp.minimum(state.ring.time / annealed_over, 1.0)
            beta = importance_exponent + (1.0 - importance_exponent) * done
        weight = (count * probability) ** (-beta)
        return Replayed(*steps, weight=weight / jnp.max(weight), index=leaf)

    def prioritize(state: PrioritizedState, index: Array, error: Array) -> PrioritizedState:
        priority = jnp.abs(error) + _SMALLEST_ERROR
        # What has been forgotten since it was sampled stays forgotten.
        remembered = weights_at(state.tree, index) > 0
        weight = jnp.where(remembered, priority**priority_exponent, 0.0)
        highest = jnp.maximum(state.highest, jnp.max(priority))
        return state._replace(tree=set_weights(state.tree, index, weight), highest=highest)

    return Replay(init=init, add=add, sample=sample, can_sample=can_sample, prioritize=prioritize)


def _forget(tree: SumTree, start: Array, end: Array, leaves_of: Any, block: int) -> SumTree:
    """Clears the weights of times start .. end - 1: most often of as many as have been added."""

    def clear(carry: tuple[Array, SumTree]) -> tuple[Array, SumTree]:
        time, tree = carry
        # A last block that is not full clears its last time several times.
        times = jnp.minimum(time + jnp.arange(block), end - 1)
        index = leaves_of(times)
        return time + block, set_weights(tree, index, jnp.zeros(index.shape))

    return jax.lax.while_loop(lambda carry: carry[0] < end, clear, (start, tree))[1]

"""Prioritised replay (Schaul et al. 2016, arXiv:1511.05952), the proportional variant."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl.replay.ring import Ring, RingStorage
from jaxrl.replay.sum_tree import (
    SumTree,
    find,
    init_sum_tree,
    set_weights,
    total_weight,
    weights_at,
)
from jaxrl.types import Key, Replay, Replayed, Transition

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
    storage: RingStorage,
    *,
    batch_size: int,
    discount: Any = 0.99,
    priority_exponent: Any = 0.6,
    importance_exponent: Any = 0.4,
    annealed_over: int | None = None,
) -> Replay:
    """Builds a replay that samples what surprised most more often.

        p_i = |error_i| + 1e-6,  P(i) = p_i^alpha / sum_k p_k^alpha,
        weight_i = (N P(i))^-beta / max_j weight_j, the maximum over the batch.

    The batch is stratified: the total is cut into M equal shares, and one step drawn from each. An
    error that is not finite counts as 0: nothing can be learnt from such a step, which with a high
    priority would come again and again. Before anything can be sampled, the weights are 0.

    Args:
        storage: of the steps.
        batch_size: M, of each sample.
        discount: gamma, of the rewards until the successor; may be traced.
        priority_exponent: alpha, 0 for uniform; may be traced.
        importance_exponent: beta at the start, 1 for unbiased; may be traced.
        annealed_over: steps of one environment over which beta rises to 1; None: it stays.

    Returns:
        The replay; its state is a `PrioritizedState`.

    Raises:
        ValueError: the batch size is not positive.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be at least 1")

    def init() -> PrioritizedState:
        tree = init_sum_tree(storage.num_slots * storage.num_envs)
        return PrioritizedState(ring=storage.init(), tree=tree, highest=jnp.float32(1))

    def sample(key: Key, state: PrioritizedState) -> Replayed:
        beta = importance_exponent
        if annealed_over is not None:
            done = jnp.minimum(state.ring.time / annealed_over, 1.0)
            beta = importance_exponent + (1.0 - importance_exponent) * done
        share = (
            jnp.arange(batch_size, dtype=jnp.float32)
            + jax.random.uniform(key, (batch_size,), jnp.float32)
        ) / batch_size
        return _sample(state, share, storage=storage, discount=discount, beta=beta)

    return Replay(
        init=init,
        add=partial(_add, storage=storage, exponent=priority_exponent),
        sample=sample,
        can_sample=lambda state: total_weight(state.tree) > 0,
        prioritize=partial(_prioritize, exponent=priority_exponent),
    )


def _add(
    state: PrioritizedState, transitions: Transition, *, storage: RingStorage, exponent: Any
) -> PrioritizedState:
    """Adds steps with the highest priority, those whose n steps are known by now."""
    first, before = state.ring.time, storage.window(state.ring).oldest
    ring = storage.add(state.ring, transitions)
    window = storage.window(ring)
    # Until n - 1 steps before these none was complete; the last n - 1 are not yet.
    steps = jnp.arange(storage.num_steps + storage.n_step - 1, dtype=jnp.int32)
    time = first - (storage.n_step - 1) + steps
    learnable = (time >= window.oldest) & (time < window.oldest + window.length)
    weight = jnp.where(learnable, state.highest**exponent, 0.0)
    tree = set_weights(state.tree, _leaves(time, storage), jnp.repeat(weight, storage.num_envs))
    # What has been overwritten is dealt with; more is forgotten where a final observation is.
    overwritten = jnp.maximum(before, ring.time - storage.num_slots)
    tree = _forget(tree, overwritten, window.oldest, storage)
    return state._replace(ring=ring, tree=tree)


def _forget(tree: SumTree, start: Array, end: Array, storage: RingStorage) -> SumTree:
    """Clears the weights of times start .. end - 1, of which there are hardly ever any."""

    def clear(carry: tuple[Array, SumTree]) -> tuple[Array, SumTree]:
        time, tree = carry
        # A last block that is not full clears its last time several times.
        times = jnp.minimum(time + jnp.arange(storage.num_steps, dtype=jnp.int32), end - 1)
        index = _leaves(times, storage)
        return time + storage.num_steps, set_weights(
            tree, index, jnp.zeros(index.shape, jnp.float32)
        )

    return jax.lax.while_loop(lambda carry: carry[0] < end, clear, (start, tree))[1]


def _leaves(time: Int[Array, " times"], storage: RingStorage) -> Int[Array, " leaves"]:
    """Indices of all environments at some times."""
    slots = time % storage.num_slots
    environments = jnp.arange(storage.num_envs, dtype=jnp.int32)
    return (slots[:, None] * storage.num_envs + environments[None]).reshape(-1)


def _sample(
    state: PrioritizedState,
    share: Float[Array, " M"],
    *,
    storage: RingStorage,
    discount: Any,
    beta: Any,
) -> Replayed:
    """The steps in which some shares of the total weight fall, with the loss's weights."""
    total = total_weight(state.tree)
    leaf, leaf_weight = find(state.tree, share * total)
    oldest = storage.window(state.ring).oldest
    slot, environment = leaf // storage.num_envs, leaf % storage.num_envs
    time = oldest + (slot - oldest) % storage.num_slots
    steps = storage.read(state.ring, time, environment, discount)
    # N and the total cancel; without them nothing overflows, whatever the priorities.
    ratio = jnp.min(leaf_weight) / jnp.where(leaf_weight > 0, leaf_weight, 1.0)
    weight = jnp.where(total > 0, ratio**beta, 0.0)
    return steps._replace(weight=weight)


def _prioritize(
    state: PrioritizedState,
    index: Int[Array, " M"],
    error: Float[Array, " M"],
    *,
    exponent: Any,
) -> PrioritizedState:
    priority = jnp.where(jnp.isfinite(error), jnp.abs(error), 0.0) + _SMALLEST_ERROR
    # What has been forgotten since it was sampled stays forgotten.
    remembered = weights_at(state.tree, index) > 0
    weight = jnp.where(remembered, priority**exponent, 0.0)
    highest = jnp.maximum(state.highest, jnp.max(priority))
    return state._replace(tree=set_weights(state.tree, index, weight), highest=highest)

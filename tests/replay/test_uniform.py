"""Uniform replay: which steps are drawn how often, flashbax's the same ones, in how many bytes."""

import math

import flashbax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from replay.streams import ACTIONS, OBSERVATIONS, Stream

from jaxrl.replay import ring_storage, uniform_replay
from jaxrl.types import Box, Discrete, Replayed

DISCOUNT = 0.9


def make_replay(*, batch_size, **sizes):
    storage = ring_storage(OBSERVATIONS, ACTIONS, **sizes)
    return uniform_replay(storage, batch_size=batch_size, discount=DISCOUNT)


@pytest.mark.parametrize("n_step", [1, 3])
def test_every_possible_step_is_as_likely(n_step):
    """Before the ring wraps, after it has, and after a final observation has made room."""
    replay = make_replay(capacity=24, num_envs=3, num_steps=2, n_step=n_step, batch_size=20_000)
    stream = Stream(3, ends=0.3)
    add, sample = jax.jit(replay.add), jax.jit(replay.sample)
    ring = replay.init()
    for addition in range(1, 12):
        ring = add(ring, stream.take(2))
        if addition not in (2, 4, 7, 11):
            continue
        num_times = stream.time - (n_step - 1) - max(int(ring.oldest), stream.time - 8)
        batch = jax.device_get(sample(jax.random.key(addition), ring))
        entries = Replayed(*batch).observation.astype(int)
        counts = np.zeros((num_times, 3))
        first = stream.time - (n_step - 1) - num_times
        # A time or an environment out of the window is an index out of bounds.
        assert entries.min(axis=0)[0] >= first
        np.add.at(counts, (entries[:, 0] - first, entries[:, 1]), 1)
        assert scipy.stats.chisquare(counts.reshape(-1)).pvalue > 0.001
        np.testing.assert_array_equal(batch.weight, 1.0)
        for i in range(0, 20_000, 500):
            reward, discount, successor = stream.expected(*entries[i], n_step, DISCOUNT)
            np.testing.assert_allclose(batch.reward[i], reward, rtol=1e-6)
            np.testing.assert_allclose(batch.discount[i], discount, rtol=1e-6)
            if successor is not None:
                assert batch.next_observation[i].tolist() == list(successor)


def test_it_can_sample_once_n_steps_are_known():
    replay = make_replay(capacity=20, num_envs=2, num_steps=2, n_step=3, batch_size=4)
    stream, ring = Stream(2), replay.init()
    add = jax.jit(replay.add)
    can_sample = []
    for _ in range(3):
        can_sample.append(bool(replay.can_sample(ring)))
        ring = add(ring, stream.take(2))
    assert can_sample == [False, False, True]


def test_priorities_change_nothing():
    replay = make_replay(capacity=4, num_envs=1, batch_size=2)
    ring = replay.init()
    assert replay.prioritize(ring, jnp.zeros(2, int), jnp.ones(2)) is ring


def test_seeds_and_discounts_side_by_side():
    """Two rings with a traced discount each: rewards of two steps are r + discount r'."""

    def run(discount, transitions):
        storage = ring_storage(OBSERVATIONS, ACTIONS, capacity=8, num_envs=1, num_steps=4, n_step=2)
        replay = uniform_replay(storage, batch_size=16, discount=discount)
        return replay.sample(jax.random.key(0), replay.add(replay.init(), transitions))

    transitions = Stream(1, ends=0.0).take(4)
    discounts = jnp.array([0.5, 1.0])
    batch = jax.jit(jax.vmap(run, in_axes=(0, None)))(discounts, transitions)
    first = batch.observation[..., 0]
    np.testing.assert_allclose(batch.reward, first + discounts[:, None] * (first + 1))
    np.testing.assert_allclose(batch.discount, jnp.repeat(discounts[:, None] ** 2, 16, axis=1))


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="batch_size=0 must be at least 1"):
        make_replay(capacity=4, num_envs=1, batch_size=0)


def test_flashbax_gives_the_same_steps():
    """(s, a, r, s') of 2 environments, before (3) and after (10) rings of 5 steps have wrapped."""
    replay = make_replay(capacity=10, num_envs=2, num_steps=1, batch_size=500)
    item = {"s": jnp.zeros(2), "a": jnp.int32(0), "r": jnp.float32(0), "next_s": jnp.zeros(2)}
    theirs = flashbax.make_item_buffer(10, 1, 10, add_batches=True)
    ring, state = replay.init(), theirs.init(item)
    add, add_theirs, sample = map(jax.jit, (replay.add, theirs.add, replay.sample))
    sample_theirs = jax.jit(jax.vmap(theirs.sample, (None, 0)))
    stream = Stream(2, ends=0.0)
    for additions in range(1, 11):
        step = stream.take(1)
        ring = add(ring, step)
        s, a, r, _, _, next_s, _ = jax.tree.map(lambda x: x[0], step)
        state = add_theirs(state, {"s": s, "a": a, "r": r, "next_s": next_s})
        if additions not in (3, 10):
            continue
        batch = sample(jax.random.key(1), ring)
        ours = rows(batch.observation, batch.action, batch.reward, batch.next_observation)
        sampled = sample_theirs(state, jax.random.split(jax.random.key(2), 50)).experience
        sampled = jax.tree.map(lambda x: x.reshape(500, *x.shape[2:]), sampled)
        assert ours == rows(sampled["s"], sampled["a"], sampled["r"], sampled["next_s"])
        assert len(ours) == 2 * min(additions, 5)


def rows(observation, action, reward, next_observation):
    columns = observation, action[:, None], reward[:, None], next_observation
    return {tuple(row) for row in np.concatenate(columns, axis=1).tolist()}


def test_minatar_takes_a_seventh_of_flashbax():
    """Breakout's truth values a bit each and once, beside float32 observations; both as built."""
    capacity, pixels = 70_000, (10, 10, 4)
    storage = ring_storage(
        Box(0, 1, pixels, jnp.bool_), Discrete(3), capacity=capacity, num_envs=1, num_steps=10
    )
    item = {
        "observation": jnp.zeros(pixels),
        "action": jnp.int32(0),
        "reward": jnp.float32(0),
        "terminated": jnp.bool_(False),
    }
    theirs = flashbax.make_item_buffer(capacity, 1, 1)
    ours_bytes, their_bytes = (
        sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state)) / capacity
        for state in (
            jax.eval_shape(uniform_replay(storage, batch_size=1).init),
            jax.eval_shape(theirs.init, item),
        )
    )
    # Their observations alone; the successor, which ours has, they would keep as another one.
    assert their_bytes >= 4 * math.prod(pixels)
    assert ours_bytes <= their_bytes / 7
    # 50 of the observation, 1 of the action, 4 each of the reward and of what follows; and a
    # sixteenth of an observation and its time apart.
    assert ours_bytes == pytest.approx(50 + 1 + 4 + 4 + (50 + 4) / 16, abs=0.01)

"""Prioritised replay: probabilities and weights by hand, and who is ever drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from replay.streams import ACTIONS, OBSERVATIONS, Stream
from tiers import leading

from jaxrl.replay import prioritized_replay, ring_storage
from jaxrl.replay.sum_tree import total_weight

DISCOUNT = 0.9


def make_replay(*, sizes, **arguments):
    storage = ring_storage(OBSERVATIONS, ACTIONS, **sizes)
    return prioritized_replay(storage, discount=DISCOUNT, **arguments)


def leaf_weights(state, count):
    return np.asarray(state.tree.levels[-1]).reshape(-1)[:count]


def test_probabilities_and_weights_by_hand():
    """Errors 0, 1, 2, 3 with alpha 0.5 and beta 0.8: shares of sqrt(error + 1e-6), (4 P)^-0.8."""
    replay = make_replay(
        sizes={"capacity": 4, "num_envs": 1, "num_steps": 4},
        batch_size=4000,
        priority_exponent=0.5,
        importance_exponent=0.8,
    )
    state = jax.jit(replay.add)(replay.init(), Stream(1, ends=0.0).take(4))
    state = jax.jit(replay.prioritize)(state, jnp.arange(4), jnp.array([0.0, -1.0, 2.0, 3.0]))
    priority = np.sqrt(np.array([0.0, 1.0, 2.0, 3.0]) + 1e-6)
    probability = priority / priority.sum()
    np.testing.assert_allclose(leaf_weights(state, 4), priority, rtol=1e-5)
    batch = jax.jit(replay.sample)(jax.random.key(0), state)
    # Stratified: as many as its share of the batch, to one at each of its ends.
    counts = np.bincount(batch.index, minlength=4)
    assert (np.abs(counts - 4000 * probability) <= 2).all()
    weight = (4 * probability) ** -0.8
    np.testing.assert_allclose(
        batch.weight, (weight / weight[batch.index].max())[batch.index], rtol=1e-4
    )
    np.testing.assert_array_equal(batch.observation[:, 0], batch.index)


def test_in_each_share_another_place_is_drawn():
    """Of 400 equal steps one from each quarter, and not every hundredth from some place on."""
    replay = make_replay(sizes={"capacity": 400, "num_envs": 1, "num_steps": 400}, batch_size=4)
    state = jax.jit(replay.add)(replay.init(), Stream(1, ends=0.0).take(400))
    index = np.asarray(jax.jit(replay.sample)(jax.random.key(0), state).index)
    np.testing.assert_array_equal(index // 100, np.arange(4))
    assert np.unique(index % 100).size > 1


def test_steps_get_the_highest_priority_and_lose_it_with_their_place():
    """T = 1, B = 2, n = 2, 3 slots: what is complete has the highest priority so far."""
    sizes = {"capacity": 6, "num_envs": 2, "n_step": 2}
    replay = make_replay(sizes=sizes, batch_size=4, priority_exponent=1.0)
    stream, state = Stream(2, ends=0.0), replay.init()
    add = jax.jit(replay.add)
    state = add(state, stream.take(1))
    assert not replay.can_sample(state)
    state = add(state, stream.take(1))
    assert replay.can_sample(state)
    np.testing.assert_array_equal(leaf_weights(state, 6), [1, 1, 0, 0, 0, 0])
    state = replay.prioritize(state, jnp.array([0, 1]), jnp.array([5.0, 0.5]))
    assert state.highest == pytest.approx(5.0, abs=1e-5)
    state = add(state, stream.take(1))
    np.testing.assert_allclose(leaf_weights(state, 6), [5, 0.5, 5, 5, 0, 0], rtol=1e-5)
    # The first step makes room, and the third is complete.
    state = add(state, stream.take(1))
    np.testing.assert_allclose(leaf_weights(state, 6), [0, 0, 5, 5, 5, 5], rtol=1e-5)
    # One that has been forgotten since it was sampled stays so.
    state = replay.prioritize(state, jnp.array([0, 2]), jnp.array([9.0, 9.0]))
    np.testing.assert_allclose(leaf_weights(state, 6), [0, 0, 9, 5, 5, 5], rtol=1e-5)


@pytest.mark.parametrize(
    ("sizes", "ends", "limit"),
    leading(
        [
            ({"capacity": 24, "num_envs": 2, "num_steps": 2, "n_step": 3}, 0.4, None),
            # Final observations are lost, and with them steps that have not been overwritten.
            ({"capacity": 64, "num_envs": 2, "num_steps": 1, "n_step": 1}, 0.0, 3),
        ]
    ),
)
def test_all_that_is_learnable_can_be_drawn_and_nothing_else(sizes, ends, limit):
    """Every sample is the stream's; new steps and steps with priorities of their own."""
    storage = ring_storage(OBSERVATIONS, ACTIONS, **sizes)
    replay = prioritized_replay(storage, batch_size=256, discount=DISCOUNT)
    stream, state = Stream(sizes["num_envs"], ends=ends, limit=limit), replay.init()
    add, sample, prioritize = map(jax.jit, (replay.add, replay.sample, replay.prioritize))
    random = np.random.default_rng(0)
    while stream.time < 3 * storage.num_slots:
        state = add(state, stream.take(storage.num_steps))
        oldest, length = storage.window(state.ring)
        times = np.arange(oldest, oldest + max(length, 0)) % storage.num_slots
        learnable = np.zeros((storage.num_slots, storage.num_envs), bool)
        learnable[times] = True
        count = learnable.size
        np.testing.assert_array_equal(leaf_weights(state, count) > 0, learnable.reshape(-1))
        if length <= 0:
            continue
        batch = jax.device_get(sample(jax.random.key(stream.time), state))
        for i in range(0, 256, 16):
            time, environment = batch.observation[i].astype(int)
            assert oldest <= time < oldest + length
            expected = stream.expected(time, environment, storage.n_step, DISCOUNT)
            np.testing.assert_allclose(
                (batch.reward[i], batch.discount[i]), expected[:2], rtol=1e-6
            )
            if expected[2] is not None:
                assert batch.next_observation[i].tolist() == list(expected[2])
        error = jnp.asarray(random.exponential(1.0, 256), jnp.float32)
        state = prioritize(state, batch.index, error)


def test_with_alpha_0_it_is_uniform():
    replay = make_replay(sizes={"capacity": 40, "num_envs": 4}, batch_size=1, priority_exponent=0.0)
    stream, state = Stream(4), replay.init()
    add = jax.jit(replay.add)
    for _ in range(13):
        state = add(state, stream.take(1))
    state = replay.prioritize(state, jnp.arange(40), jnp.arange(40.0))
    draws = jax.jit(jax.vmap(replay.sample, (0, None)))
    batch = draws(jax.random.split(jax.random.key(3), 20_000), state)
    counts = np.bincount(batch.index.reshape(-1), minlength=40)
    assert scipy.stats.chisquare(counts).pvalue > 0.001
    np.testing.assert_array_equal(batch.weight, 1.0)


@pytest.mark.parametrize(("annealed_over", "betas"), [(None, (0.5, 0.5)), (8, (0.75, 1.0))])
def test_beta_rises_to_1(annealed_over, betas):
    """Two steps, of priorities 1 and 3: the ratio of their weights is 3^-beta."""
    replay = make_replay(
        sizes={"capacity": 2, "num_envs": 1, "num_steps": 2},
        batch_size=64,
        priority_exponent=1.0,
        importance_exponent=0.5,
        annealed_over=annealed_over,
    )
    stream, state = Stream(1, ends=0.0), replay.init()
    add, sample = jax.jit(replay.add), jax.jit(replay.sample)
    ratios = []
    for time in range(2, 13, 2):
        state = add(state, stream.take(2))
        if time in (4, 12):
            state = replay.prioritize(state, jnp.arange(2), jnp.array([1.0, 3.0]))
            ratios.append(sample(jax.random.key(time), state).weight.min())
    np.testing.assert_allclose(ratios, 3.0 ** -np.array(betas), rtol=1e-4)


def test_seeds_and_exponents_side_by_side():
    """A traced alpha and beta for each of two replays."""

    def run(alpha, beta, transitions):
        replay = make_replay(
            sizes={"capacity": 2, "num_envs": 1, "num_steps": 2},
            batch_size=64,
            priority_exponent=alpha,
            importance_exponent=beta,
        )
        state = replay.add(replay.init(), transitions)
        state = replay.prioritize(state, jnp.arange(2), jnp.array([1.0, 4.0]))
        return total_weight(state.tree), replay.sample(jax.random.key(0), state).weight.min()

    transitions = Stream(1, ends=0.0).take(2)
    exponents = jnp.array([0.5, 1.0]), jnp.array([1.0, 0.5])
    total, least = jax.jit(jax.vmap(run, (0, 0, None)))(*exponents, transitions)
    np.testing.assert_allclose(total, [3.0, 5.0], rtol=1e-5)
    np.testing.assert_allclose(least, [0.5, 0.5], rtol=1e-5)


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="batch_size=0 must be at least 1"):
        make_replay(sizes={"capacity": 4, "num_envs": 1}, batch_size=0)


def test_errors_that_are_not_finite_count_as_none():
    """By hand, alpha 1: the priorities are 1e-6, and new steps still get the highest so far."""
    replay = make_replay(
        sizes={"capacity": 6, "num_envs": 1, "num_steps": 3}, batch_size=64, priority_exponent=1.0
    )
    stream = Stream(1, ends=0.0)
    state = jax.jit(replay.add)(replay.init(), stream.take(3))
    errors = jnp.array([jnp.nan, jnp.inf, 2.0])
    state = jax.jit(replay.prioritize)(state, jnp.arange(3), errors)
    np.testing.assert_allclose(leaf_weights(state, 3), [1e-6, 1e-6, 2.0], rtol=1e-5)
    np.testing.assert_allclose(total_weight(state.tree), 2.0, rtol=1e-5)
    state = jax.jit(replay.add)(state, stream.take(3))
    np.testing.assert_allclose(leaf_weights(state, 6)[3:], 2.0, rtol=1e-5)
    batch = jax.jit(replay.sample)(jax.random.key(0), state)
    assert np.isfinite(batch.weight).all()


@pytest.mark.parametrize(("exponent", "error"), [(1.0, 1e36), (1.0, 3e38), (0.6, 3e38)])
def test_huge_errors_leave_the_total_finite(exponent, error):
    replay = make_replay(
        sizes={"capacity": 4000, "num_envs": 1, "num_steps": 2000},
        batch_size=64,
        priority_exponent=exponent,
    )
    stream = Stream(1, ends=0.0)
    add, sample = jax.jit(replay.add), jax.jit(replay.sample)
    state = add(replay.init(), stream.take(2000))
    errors = jnp.where(jnp.arange(2000) % 2 == 0, error, 1.0)
    state = add(jax.jit(replay.prioritize)(state, jnp.arange(2000), errors), stream.take(2000))
    assert np.isfinite(total_weight(state.tree))
    batch = sample(jax.random.key(0), state)
    # What is drawn are the steps with that error and the new ones, all alike.
    assert ((batch.index % 2 == 0) | (batch.index >= 2000)).all()
    np.testing.assert_allclose(batch.weight, 1.0, rtol=1e-6)


def test_what_cannot_be_sampled_has_no_weight():
    replay = make_replay(sizes={"capacity": 8, "num_envs": 1, "n_step": 3}, batch_size=4)
    state = jax.jit(replay.add)(replay.init(), Stream(1).take(1))
    assert not replay.can_sample(state)
    batch = jax.jit(replay.sample)(jax.random.key(0), state)
    np.testing.assert_array_equal(batch.weight, 0.0)

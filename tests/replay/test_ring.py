"""What is read from the ring is what the stream of transitions says, and nothing else can be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from replay.streams import ACTIONS, OBSERVATIONS, Stream

from jaxrl.replay import ring_storage
from jaxrl.types import Transition

DISCOUNT = 0.9


def make_storage(**sizes):
    return ring_storage(OBSERVATIONS, ACTIONS, **sizes)


def functions(storage):
    """`add`, and `read` of every slot from the window's start on, of all environments."""

    def read(ring):
        window = storage.window(ring)
        times = jnp.repeat(window.oldest + jnp.arange(storage.num_slots), storage.num_envs)
        environments = jnp.tile(jnp.arange(storage.num_envs), storage.num_slots)
        return window, storage.read(ring, times, environments, DISCOUNT)

    return storage.add, read


def window_of(stream, storage, num_finals):
    """The window by its definition: what is kept, complete, and has its final observations."""
    oldest = max(0, stream.time - storage.num_slots)
    truncated, terminated = np.array(stream.truncated), np.array(stream.terminated)
    for column in (truncated & ~terminated).T:
        evicted = np.flatnonzero(column)[:-num_finals]
        oldest = max(oldest, *(evicted + 1), 0)
    return oldest, stream.time - oldest - (storage.n_step - 1)


def check_window(window, steps, stream, storage, num_finals):
    """Compares every entry of the window with the stream; returns how many there are."""
    oldest, length = window_of(stream, storage, num_finals)
    assert (window.oldest, window.length) == (oldest, length)
    for i in range(max(length, 0) * storage.num_envs):
        time, environment = oldest + i // storage.num_envs, i % storage.num_envs
        reward, discount, successor = stream.expected(time, environment, storage.n_step, DISCOUNT)
        assert steps.observation[i].tolist() == [time, environment]
        assert steps.action[i] == (time + environment) % 300
        np.testing.assert_allclose(steps.reward[i], reward, rtol=1e-6)
        np.testing.assert_allclose(steps.discount[i], discount, rtol=1e-6)
        assert steps.index[i] == time % storage.num_slots * storage.num_envs + environment
        assert steps.weight[i] == 1
        if successor is not None:
            assert steps.next_observation[i].tolist() == list(successor)
        if steps.between is not None:
            check_between(steps, i, stream, time, environment, storage.n_step)
    return max(length, 0) * storage.num_envs


def check_between(steps, i, stream, time, environment, n_step):
    """The steps before the successor, those of the same episode and no others."""
    goes_on = True
    for k in range(1, n_step):
        ends = stream.terminated[time + k - 1], stream.truncated[time + k - 1]
        goes_on = goes_on and not (ends[0][environment] or ends[1][environment])
        np.testing.assert_allclose(
            steps.between.discount[i, k - 1], DISCOUNT**k if goes_on else 0.0, rtol=1e-6
        )
        if goes_on:
            assert steps.between.observation[i, k - 1].tolist() == [time + k, environment]


# The last case keeps 2 final observations for 32 steps of episodes of 4: its window shrinks.
@pytest.mark.parametrize(
    ("num_steps", "num_envs", "n_step", "capacity", "ends", "limit", "max_episode_steps"),
    [
        (1, 2, 1, 24, 0.5, None, None),
        (1, 2, 3, 24, 0.5, None, None),
        (4, 3, 1, 60, 0.4, None, 4),
        (5, 1, 3, 13, 0.2, 3, 3),
        (2, 2, 3, 64, 0.1, 4, None),
    ],
)
def test_every_entry_is_the_streams(
    num_steps, num_envs, n_step, capacity, ends, limit, max_episode_steps
):
    storage = make_storage(
        capacity=capacity,
        num_envs=num_envs,
        num_steps=num_steps,
        n_step=n_step,
        max_episode_steps=max_episode_steps,
        with_steps_between=True,
    )
    stream = Stream(num_envs, ends=ends, limit=limit, seed=n_step)
    add, read = map(jax.jit, functions(storage))
    ring = storage.init()
    num_finals = ring.finals.time.shape[0]
    seen = 0
    while stream.time < 3.5 * storage.num_slots:
        ring = add(ring, stream.take(num_steps))
        window, steps = jax.device_get(read(ring))
        seen += check_window(window, steps, stream, storage, num_finals)
    kinds = np.array(stream.terminated), np.array(stream.truncated)
    assert seen > 0
    assert (kinds[0] & ~kinds[1]).any()
    assert (kinds[1] & ~kinds[0]).any()


def test_termination_wins_over_truncation():
    """By hand: the step that ends in both ways is worth its reward, whatever comes after."""
    storage = make_storage(capacity=4, num_envs=1, num_steps=4, n_step=1)
    transitions = (
        Stream(1, ends=0.0)
        .take(4)
        ._replace(
            terminated=np.array([[0], [1], [1], [0]], bool),
            truncated=np.array([[1], [0], [1], [0]], bool),
            next_observation=np.full((4, 1, 2), 7.0, np.float32) + np.arange(4)[:, None, None],
        )
    )
    ring = jax.jit(storage.add)(storage.init(), transitions)
    steps = jax.jit(storage.read)(ring, jnp.arange(4), jnp.zeros(4, int), 0.5)
    assert steps.discount.tolist() == [0.5, 0.0, 0.0, 0.5]
    assert steps.reward.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert steps.next_observation[0].tolist() == [7.0, 7.0]
    assert steps.next_observation[3].tolist() == [10.0, 10.0]


def test_n_steps_by_hand():
    """Rewards 0, 1, 2, 3, 4; a cut after the second step, the end after the fifth; n = 3."""
    storage = make_storage(capacity=5, num_envs=1, num_steps=1, n_step=3)
    stream = Stream(1, ends=0.0)
    ring = storage.init()
    add = jax.jit(storage.add)
    for time in range(5):
        step = stream.take(1)
        ring = add(
            ring,
            step._replace(
                truncated=jnp.array([[time == 1]]),
                terminated=jnp.array([[time == 4]]),
                next_observation=np.full((1, 1, 2), 50.0 + time, np.float32),
            ),
        )
    assert storage.window(ring) == (0, 3)
    steps = jax.jit(storage.read)(ring, jnp.arange(3), jnp.zeros(3, int), 0.5)
    assert steps.reward.tolist() == [0 + 0.5 * 1, 1.0, 2 + 0.5 * 3 + 0.25 * 4]
    assert steps.discount.tolist() == [0.25, 0.5, 0.0]
    assert steps.next_observation[:2].tolist() == [[51.0, 51.0], [51.0, 51.0]]


def test_frequent_cuts_do_not_outgrow_the_finals():
    """Every step is cut off, and a sixteenth of the finals is kept: so is of the steps."""
    storage = make_storage(capacity=64, num_envs=2, num_steps=1)
    stream = Stream(2, ends=0.0, limit=1)
    ring = storage.init()
    add = jax.jit(storage.add)
    for _ in range(40):
        ring = add(ring, stream.take(1))
    assert ring.finals.time.shape == (2, 2)
    assert storage.window(ring) == (38, 2)


def test_rings_side_by_side_keep_apart():
    storage = make_storage(capacity=12, num_envs=2, num_steps=2, n_step=3)
    streams = [Stream(2, ends=0.5, seed=seed) for seed in range(2)]
    add, read = (jax.jit(jax.vmap(function)) for function in functions(storage))
    rings = jax.tree.map(lambda x: jnp.stack([x, x]), storage.init())
    for _ in range(9):
        pieces = [stream.take(2) for stream in streams]
        rings = add(rings, jax.tree.map(lambda *x: np.stack(x), *pieces))
    entries = jax.device_get(read(rings))
    for i, stream in enumerate(streams):
        window, steps = jax.tree.map(lambda x, i=i: x[i], entries)
        assert check_window(window, steps, stream, storage, rings.finals.time.shape[1]) > 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"capacity": 0}, "capacity=0 must be at least 1"),
        ({"num_envs": 0}, "num_envs=0 must be at least 1"),
        ({"num_steps": -1}, "num_steps=-1 must be at least 1"),
        ({"n_step": 0}, "n_step=0 must be at least 1"),
        ({"n_step": 6}, "capacity=10 holds 5 steps of each of 2 environments.*needs 6"),
        ({"n_step": 2, "num_steps": 5}, "too few for n_step=2, which needs 6"),
    ],
)
def test_wrong_sizes_are_refused(changed, message):
    sizes = {"capacity": 10, "num_envs": 2, "num_steps": 1, "n_step": 1} | changed
    with pytest.raises(ValueError, match=message):
        make_storage(**sizes)


def test_the_capacity_is_rounded_up_to_whole_additions():
    storage = make_storage(capacity=13, num_envs=2, num_steps=4)
    assert storage.num_slots == 8
    assert storage.init().reward.shape == (8, 2)


def test_another_number_of_transitions_is_refused():
    storage = make_storage(capacity=10, num_envs=2, num_steps=1)
    transitions: Transition = Stream(3).take(1)
    with pytest.raises(ValueError, match=r"takes \[1, 2\] transitions at a time, not \[1, 3\]"):
        storage.add(storage.init(), transitions)


def test_what_follows_a_termination_is_not_read():
    """By hand, n = 3, discount 1/2: a termination, then an episode of nan; and a discount of 0."""
    storage = make_storage(capacity=12, num_envs=1, num_steps=6, n_step=3)
    nothing = np.zeros((6, 1), bool)
    transitions = Stream(1, ends=0.0).take(6)
    transitions = transitions._replace(
        reward=np.array([[1.0], [2.0], [np.nan], [np.inf], [4.0], [5.0]], np.float32),
        terminated=np.array([[0], [1], [0], [1], [0], [0]], bool),
        truncated=nothing,
    )
    add, read = jax.jit(storage.add), jax.jit(storage.read)
    ring = add(storage.init(), transitions)
    steps = read(ring, jnp.array([0, 1]), jnp.zeros(2, int), 0.5)
    assert steps.reward.tolist() == [2.0, 2.0]
    assert steps.discount.tolist() == [0.0, 0.0]
    ring = add(storage.init(), transitions._replace(terminated=nothing))
    for discount in (0.0, jnp.float32(0)):
        steps = read(ring, jnp.array([0, 1]), jnp.zeros(2, int), discount)
        assert steps.reward.tolist() == [1.0, 2.0]
        assert steps.discount.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("num_steps", [1, 3])
@pytest.mark.parametrize("n_step", [1, 4])
def test_something_is_remembered_however_often_episodes_are_cut_off(num_steps, n_step):
    """Episodes of one step, of whose length nothing was known: T steps, of n each, are left."""
    storage = make_storage(capacity=48, num_envs=2, num_steps=num_steps, n_step=n_step)
    stream, ring = Stream(2, ends=0.0, limit=1), storage.init()
    add = jax.jit(storage.add)
    while stream.time < 60:
        ring = add(ring, stream.take(num_steps))
        if stream.time >= num_steps + n_step - 1:
            assert storage.window(ring).length >= num_steps

"""The last steps of some environments, each observation once, and what became of them.

A step's successor is the observation of the next step, and is read from there. Only where a limit
cut an episode off is the true successor, the final observation, nowhere else: those are kept apart.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl.replay.encoding import Encoding, encoding_of
from jaxrl.replay.finals import Finals, keep_finals, no_finals, num_finals
from jaxrl.types import ObservationSpace, Replayed, Space, StepsBetween, Transition

# What came after a step: the next step, or nothing; else the row of its final observation.
_GOES_ON = -1
_TERMINATED = -2


class Ring(NamedTuple):
    """S steps of each of B environments; time is counted in steps of one of them.

    Attributes:
        observation: encoded, leaves [S, B, ...]; the step of time t is in slot t mod S.
        action: encoded, [S, B, ...].
        reward: float32 [S, B].
        successor: int32 [S, B], a row of `finals`, or that there is none.
        finals: the successors of steps after which a limit cut the episode off.
        time: int32 (), steps ever added.
        oldest: int32 (), no step before this one has all it needs.
    """

    observation: Any
    action: Array
    reward: Float[Array, "S B"]
    successor: Int[Array, "S B"]
    finals: Finals
    time: Int[Array, ""]
    oldest: Int[Array, ""]


class Window(NamedTuple):
    """Times that can be learnt from: oldest .. oldest + length - 1 of every environment.

    Attributes:
        oldest: int32 ().
        length: int32 (); 0 or less: nothing yet.
    """

    oldest: Int[Array, ""]
    length: Int[Array, ""]


class RingStorage(NamedTuple):
    """A ring's pure functions, for B environments that are added T steps at a time.

    Attributes:
        init: () -> Ring, empty.
        add: (Ring, Transition [T, B]) -> Ring; what is oldest makes room.
        window: (Ring) -> Window, of the steps whose n steps are known.
        read: (Ring, time [M], environment [M], discount) -> Replayed [M], of times in the window.
            All have the weight 1; `index` is slot * B + environment.
        num_slots: S, a multiple of T.
        num_envs: B.
        num_steps: T.
        n_step: steps from an observation to the one that is its successor.
    """

    init: Callable[[], Ring]
    add: Callable[[Ring, Transition], Ring]
    window: Callable[[Ring], Window]
    read: Callable[[Ring, Array, Array, Any], Replayed]
    num_slots: int
    num_envs: int
    num_steps: int
    n_step: int


def ring_storage(
    observation_space: ObservationSpace,
    action_space: Space,
    *,
    capacity: int,
    num_envs: int,
    num_steps: int = 1,
    n_step: int = 1,
    max_episode_steps: int | None = None,
    with_steps_between: bool = False,
) -> RingStorage:
    """Builds the storage.

    Args:
        observation_space: of the observations.
        action_space: of the actions, as the policy draws them.
        capacity: transitions of all environments together; rounded up to whole additions.
        num_envs: B.
        num_steps: T, of each addition.
        n_step: n, steps from an observation to the one that is its successor in learning.
        max_episode_steps: the longest episode, for how many final observations are kept. Where
            episodes are cut off more often than that, the ring remembers fewer steps than S, but
            always those of the last T + n - 1 times.
        with_steps_between: whether the n - 1 steps before a successor are read too.

    Raises:
        ValueError: a count is not positive, or the capacity does not hold T + n - 1 steps of
            each environment.
    """
    num_slots = _num_slots(capacity, num_envs=num_envs, num_steps=num_steps, n_step=n_step)
    observations, actions = encoding_of(observation_space), encoding_of(action_space)

    def init() -> Ring:
        shape = (num_slots, num_envs)
        count = num_finals(num_slots, num_steps, n_step, max_episode_steps)
        return Ring(
            observation=observations.zeros(shape),
            action=actions.zeros(shape),
            reward=jnp.zeros(shape, jnp.float32),
            successor=jnp.full(shape, _TERMINATED, jnp.int32),
            finals=no_finals(count, num_envs, observations),
            time=jnp.int32(0),
            oldest=jnp.int32(0),
        )

    def add(ring: Ring, transitions: Transition) -> Ring:
        _require_shape(transitions, [num_steps, num_envs])
        return _add(ring, transitions, observations, actions)

    def window(ring: Ring) -> Window:
        oldest = jnp.maximum(ring.oldest, ring.time - num_slots)
        return Window(oldest=oldest, length=ring.time - oldest - (n_step - 1))

    def read(ring: Ring, time: Array, environment: Array, discount: Any) -> Replayed:
        place = (ring, time, environment, discount, n_step, observations)
        between = _read_between(*place) if with_steps_between and n_step > 1 else None
        return _read(*place, actions)._replace(between=between)

    return RingStorage(init, add, window, read, num_slots, num_envs, num_steps, n_step)


def _require_shape(transitions: Transition, shape: list[int]) -> None:
    given = list(transitions.reward.shape)
    if given != shape:
        raise ValueError(f"this replay takes {shape} transitions at a time, not {given}")


def _num_slots(capacity: int, *, num_envs: int, num_steps: int, n_step: int) -> int:
    """S, checked."""
    counts = {"capacity": capacity, "num_envs": num_envs, "num_steps": num_steps, "n_step": n_step}
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}={count} must be at least 1")
    num_slots = num_steps * math.ceil(capacity / (num_envs * num_steps))
    # Fewer, and some steps would be overwritten before they are complete.
    needed = num_steps + n_step - 1
    if num_slots < needed:
        raise ValueError(
            f"capacity={capacity} holds {num_slots} steps of each of {num_envs} environments: "
            f"too few for n_step={n_step}, which needs {needed}"
        )
    return num_slots


def _add(ring: Ring, transitions: Transition, observations: Encoding, actions: Encoding) -> Ring:
    # Whole additions fill the ring, so that none of them wraps.
    slot = ring.time % ring.reward.shape[0]

    def put(x: Array, steps: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(x, steps.astype(x.dtype), slot, 0)

    num_steps = transitions.reward.shape[0]
    cut = transitions.truncated & ~transitions.terminated
    finals, row, lost = keep_finals(
        ring.finals,
        observations.encode(transitions.next_observation),
        cut,
        ring.time + jnp.arange(num_steps, dtype=jnp.int32),
    )
    successor = jnp.where(transitions.terminated, _TERMINATED, jnp.where(cut, row, _GOES_ON))
    return Ring(
        observation=jax.tree.map(
            put, ring.observation, observations.encode(transitions.observation)
        ),
        action=put(ring.action, actions.encode(transitions.action)),
        reward=put(ring.reward, transitions.reward),
        successor=put(ring.successor, successor),
        finals=finals,
        time=ring.time + num_steps,
        oldest=jnp.maximum(ring.oldest, lost + 1),
    )


def _read(
    ring: Ring,
    time: Int[Array, " M"],
    environment: Int[Array, " M"],
    discount: Any,
    n_step: int,
    observations: Encoding,
    actions: Encoding,
) -> Replayed:
    num_slots, num_envs = ring.reward.shape
    discount = jnp.float32(discount)
    steps = jnp.arange(n_step, dtype=jnp.int32)[None]
    slots = (time[:, None] + steps) % num_slots
    reward = ring.reward[slots, environment[:, None]]
    successor = ring.successor[slots, environment[:, None]]
    ends = (successor != _GOES_ON).at[:, -1].set(True)
    last = jnp.argmax(ends, axis=1).astype(jnp.int32)
    code = jnp.take_along_axis(successor, last[:, None], axis=1)[:, 0]
    # What is worth nothing is left out, and not multiplied by 0: it may not be finite.
    worth = discount**steps
    counted = jnp.where((steps <= last[:, None]) & (worth > 0), reward * worth, 0.0)

    after = time + last + 1
    apart = (code >= 0) | (after == ring.time)

    def successor_of(kept: Array, finals: Array) -> Array:
        final = finals[jnp.where(code >= 0, code, -1), environment]
        chosen = apart.reshape(-1, *(1 for _ in final.shape[1:]))
        return jnp.where(chosen, final, kept[after % num_slots, environment])

    first = time % num_slots
    # Looked up with two indices, XLA does it before and after an addition, and copies all actions.
    flat_actions = ring.action.reshape(-1, *ring.action.shape[2:])
    next_observation = jax.tree.map(successor_of, ring.observation, ring.finals.observation)
    index = first * num_envs + environment
    return Replayed(
        observation=observations.decode(
            jax.tree.map(lambda x: x[first, environment], ring.observation)
        ),
        action=actions.decode(flat_actions[index]),
        reward=jnp.sum(counted, axis=1),
        discount=jnp.where(code == _TERMINATED, 0.0, discount ** (last + 1)),
        next_observation=observations.decode(next_observation),
        weight=jnp.ones(time.shape, jnp.float32),
        index=index,
    )


def _read_between(
    ring: Ring,
    time: Int[Array, " M"],
    environment: Int[Array, " M"],
    discount: Any,
    n_step: int,
    observations: Encoding,
) -> StepsBetween:
    num_slots = ring.reward.shape[0]
    steps = jnp.arange(1, n_step, dtype=jnp.int32)[None]
    environment = environment[:, None]
    # A step belongs to the episode where none of those before it was the last.
    before = (time[:, None] + steps - 1) % num_slots
    goes_on = jnp.cumprod(ring.successor[before, environment] == _GOES_ON, axis=1)
    slots = (time[:, None] + steps) % num_slots
    kept = jax.tree.map(lambda x: x[slots, environment], ring.observation)
    return StepsBetween(
        observation=observations.decode(kept),
        discount=jnp.where(goes_on > 0, jnp.float32(discount) ** steps, 0.0),
    )

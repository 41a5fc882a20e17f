"""Plays one episode and keeps what a picture of it needs."""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrl.environments import clip_actions, flatten_actions
from jaxrl.keys import typed_key
from jaxrl.loops.worlds import Worlds, act_without_extras, start_world, step_world
from jaxrl.types import Environment, Key, Observation, Policy

SCAN_STEPS = 128


class Episode(NamedTuple):
    """One episode, or its beginning.

    Attributes:
        name: of the environment.
        observations: leaves [T + 1, ...]: what each action was chosen from, and the last successor.
        actions: [T, ...].
        rewards: [T], the task's own.
        ended: False if the episode was cut off before its end.
    """

    name: str
    observations: Observation
    actions: np.ndarray
    rewards: np.ndarray
    ended: bool


def record_episode(
    key: Key, environment: Environment, policy: Policy, *, max_steps: int = 1000
) -> Episode:
    """Plays one episode with a policy, to its end or for `max_steps`.

    Args:
        key: consumed.
        environment: the task; Box actions are clipped to its bounds.
        policy: whose actions are taken.
        max_steps: where to cut off a longer episode.

    Raises:
        ValueError: `max_steps` is not positive.
    """
    if max_steps < 1:
        raise ValueError(f"max_steps={max_steps} must be at least 1")
    key = typed_key(key)
    environment = flatten_actions(clip_actions(environment))
    key_reset, key_start, key_loop = jax.random.split(key, 3)

    def step(world: Worlds, time: Any) -> Any:
        key_act, key_env = jax.random.split(jax.random.fold_in(key_loop, time))
        act = act_without_extras(policy.act, environment)
        world, transition, info = step_world(key_act, key_env, world, environment, act)
        return world, (transition, info.get("task_reward", transition.reward))

    scan = jax.jit(lambda world, times: jax.lax.scan(step, world, times))
    begin = jax.jit(partial(start_world, environment=environment, start=policy.start))
    world = begin(key_reset, key_start)
    pieces = []
    # Piece by piece, so that a short episode under a long limit costs little.
    for start in range(0, max_steps, SCAN_STEPS):
        world, rows = scan(world, np.arange(start, start + SCAN_STEPS))
        pieces.append(jax.device_get(rows))
        if (pieces[-1][0].terminated | pieces[-1][0].truncated).any():
            break
    played, rewards = jax.tree.map(lambda *parts: np.concatenate(parts), *pieces)
    ends = played.terminated | played.truncated
    length = min(int(np.argmax(ends)) + 1 if ends.any() else len(ends), max_steps)
    observations = jax.tree.map(
        lambda seen, successor: np.concatenate([seen[:length], successor[length - 1 : length]]),
        played.observation,
        played.next_observation,
    )
    return Episode(
        name=environment.name,
        observations=observations,
        actions=played.action[:length],
        rewards=np.asarray(rewards[:length], dtype=float),
        ended=bool(ends[:length].any()),
    )

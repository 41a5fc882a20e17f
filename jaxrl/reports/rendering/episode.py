"""Plays one episode and keeps what a picture of it needs."""

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrl.environments import clip_actions, flatten_actions, play_once
from jaxrl.keys import typed_key
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
    environment = play_once(flatten_actions(clip_actions(environment)))
    key_reset, key_start, key_loop = jax.random.split(key, 3)

    def step(carry: Any, time: Any) -> Any:
        env_state, observation, memory = carry
        key_act, key_env = jax.random.split(jax.random.fold_in(key_loop, time))
        memory, action = policy.act(key_act, memory, observation)
        env_state, timestep = environment.step(key_env, env_state, action)
        reward = timestep.info.get("task_reward", timestep.reward)
        ended = timestep.terminated | timestep.truncated
        row = (observation, action, reward, ended, timestep.final_observation)
        return (env_state, timestep.observation, memory), row

    scan = jax.jit(lambda carry, times: jax.lax.scan(step, carry, times))
    env_state, observation = jax.jit(environment.reset)(key_reset)
    carry = (env_state, observation, policy.start(key_start))
    pieces = []
    # Piece by piece, so that a short episode under a long limit costs little.
    for start in range(0, max_steps, SCAN_STEPS):
        carry, rows = scan(carry, np.arange(start, start + SCAN_STEPS))
        pieces.append(jax.device_get(rows))
        if pieces[-1][3].any():
            break
    rows = jax.tree.map(lambda *parts: np.concatenate(parts), *pieces)
    observations, actions, rewards, ends, successors = rows
    length = min(int(np.argmax(ends)) + 1 if ends.any() else len(ends), max_steps)
    observations = jax.tree.map(
        lambda seen, successor: np.concatenate([seen[:length], successor[length - 1 : length]]),
        observations,
        successors,
    )
    return Episode(
        name=environment.name,
        observations=observations,
        actions=actions[:length],
        rewards=np.asarray(rewards[:length], dtype=float),
        ended=bool(ends[:length].any()),
    )

"""Environments: tasks as two pure functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float

from jaxrl.types.arrays import Action, EnvState, Key, Observation
from jaxrl.types.spaces import ObservationSpace, Space


class TimeStep(NamedTuple):
    """One environment's answer to one action.

    Attributes:
        observation: the successor, which the next action is chosen from unless the episode ended;
            never that of a reset.
        reward: float32, shape ().
        terminated: bool, shape (); the task ended, so the future is worth nothing.
        truncated: bool, shape (); cut off by a limit, so the future is worth V(observation).
            Where both are set, terminated wins.
        info: further arrays by name. `task_reward` is the reward before any scaling or clipping:
            a wrapper that changes `reward` keeps it there, and reported returns are sums of it.
    """

    observation: Observation
    reward: Float[Array, ""]
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]
    info: dict[str, Any]


class Environment(NamedTuple):
    """A task, one instance: no batch axis.

    Attributes:
        name: for people and for presets.
        observation_space: of `observation`.
        action_space: of `action`.
        reset: (key) -> (EnvState, observation).
        step: (key, EnvState, action) -> (EnvState, TimeStep). It knows nothing of the next episode:
            what plays on after an end resets (`jaxrl.loops.worlds`).
        max_episode_steps: no episode is longer; may be traced. None: no limit is known.
        metrics: names of entries of a step's `info`, one number each, that are reported: their
            values where an episode ends, averaged over episodes, as `episode_<name>`.
    """

    name: str
    observation_space: ObservationSpace
    action_space: Space
    reset: Callable[[Key], tuple[EnvState, Observation]]
    step: Callable[[Key, EnvState, Action], tuple[EnvState, TimeStep]]
    max_episode_steps: Any = None
    metrics: tuple[str, ...] = ()

"""Environments: tasks as two pure functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float

from jaxrl.types.arrays import Action, EnvState, Key, Observation
from jaxrl.types.spaces import ObservationSpace, Space


class TimeStep(NamedTuple):
    """One environment's answer to one action.

    Attributes:
        observation: what the next action is chosen from; already reset if the episode ended.
        reward: float32, shape ().
        terminated: bool, shape (); the task ended, so the future is worth nothing.
        truncated: bool, shape (); cut off by a limit, so the future is worth V(final_observation).
            Where both are set, terminated wins.
        final_observation: the successor before any reset; equals `observation` within an episode.
        info: further arrays by name. `task_reward` is the reward before any scaling or clipping:
            a wrapper that changes `reward` keeps it there, and reported returns are sums of it.
    """

    observation: Observation
    reward: Float[Array, ""]
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]
    final_observation: Observation
    info: dict[str, Any]


class Environment(NamedTuple):
    """A task, one instance: no batch axis.

    Attributes:
        name: for people and for presets.
        observation_space: of `observation`.
        action_space: of `action`.
        reset: (key) -> (EnvState, observation).
        step: (key, EnvState, action) -> (EnvState, TimeStep); resets by itself at an episode's end.
        max_episode_steps: no episode is longer; may be traced. None: no limit is known.
    """

    name: str
    observation_space: ObservationSpace
    action_space: Space
    reset: Callable[[Key], tuple[EnvState, Observation]]
    step: Callable[[Key, EnvState, Action], tuple[EnvState, TimeStep]]
    max_episode_steps: Any = None

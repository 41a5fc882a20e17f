"""Functions from an environment to an environment."""

from jaxrl.environments.wrappers.action_masks import mask_actions, unmasked_space
from jaxrl.environments.wrappers.actions import (
    clip_actions,
    flatten_actions,
    rescale_actions,
    sticky_actions,
)
from jaxrl.environments.wrappers.frames import stack_frames
from jaxrl.environments.wrappers.observations import (
    flatten_observation,
    one_hot_observation,
    select_observations,
)
from jaxrl.environments.wrappers.rewards import clip_reward, scale_reward
from jaxrl.environments.wrappers.statistics import record_episode_statistics
from jaxrl.environments.wrappers.time_limits import time_limit

__all__ = [
    "clip_actions",
    "clip_reward",
    "flatten_actions",
    "flatten_observation",
    "mask_actions",
    "one_hot_observation",
    "record_episode_statistics",
    "rescale_actions",
    "scale_reward",
    "select_observations",
    "stack_frames",
    "sticky_actions",
    "time_limit",
    "unmasked_space",
]

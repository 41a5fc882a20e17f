"""Environments: by name, from gymnax, from one's own functions, and wrapped."""

from jaxrl.environments.checking import require_environment
from jaxrl.environments.gymnax_adapter import from_gymnax
from jaxrl.environments.making import available_environments, make_env
from jaxrl.environments.resets import auto_reset, change_step, play_once
from jaxrl.environments.wrappers import (
    clip_actions,
    clip_reward,
    flatten_actions,
    flatten_observation,
    mask_actions,
    one_hot_observation,
    record_episode_statistics,
    rescale_actions,
    scale_reward,
    select_observations,
    sticky_actions,
    time_limit,
    unmasked_space,
)

__all__ = [
    "auto_reset",
    "available_environments",
    "change_step",
    "clip_actions",
    "clip_reward",
    "flatten_actions",
    "flatten_observation",
    "from_gymnax",
    "make_env",
    "mask_actions",
    "one_hot_observation",
    "play_once",
    "record_episode_statistics",
    "require_environment",
    "rescale_actions",
    "scale_reward",
    "select_observations",
    "sticky_actions",
    "time_limit",
    "unmasked_space",
]

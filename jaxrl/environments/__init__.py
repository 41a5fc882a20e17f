"""Where tasks come from: environments by name, the adapter for gymnax, and wrappers."""

from jaxrl.environments.builder import build_environment, reads_key, require_environment
from jaxrl.environments.gymnax_adapter import from_gymnax
from jaxrl.environments.making import available_environments, make_env
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
    "available_environments",
    "build_environment",
    "clip_actions",
    "clip_reward",
    "flatten_actions",
    "flatten_observation",
    "from_gymnax",
    "make_env",
    "mask_actions",
    "one_hot_observation",
    "reads_key",
    "record_episode_statistics",
    "require_environment",
    "rescale_actions",
    "scale_reward",
    "select_observations",
    "sticky_actions",
    "time_limit",
    "unmasked_space",
]

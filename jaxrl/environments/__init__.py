"""Environments: a registry of names and suites, the adapter for gymnax, and wrappers."""

from jaxrl.environments import finance
from jaxrl.environments.builder import build_environment, reads_key, require_environment
from jaxrl.environments.gymnax_adapter import from_gymnax
from jaxrl.environments.making import make_env
from jaxrl.environments.parameters import Parameter, signature_parameters
from jaxrl.environments.registry import (
    available_environments,
    canonical_name,
    parameters_of,
    register_environment,
    register_suite,
)
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
    stack_frames,
    sticky_actions,
    time_limit,
    unmasked_space,
)

__all__ = [
    "Parameter",
    "available_environments",
    "build_environment",
    "canonical_name",
    "clip_actions",
    "clip_reward",
    "finance",
    "flatten_actions",
    "flatten_observation",
    "from_gymnax",
    "make_env",
    "mask_actions",
    "one_hot_observation",
    "parameters_of",
    "reads_key",
    "record_episode_statistics",
    "register_environment",
    "register_suite",
    "require_environment",
    "rescale_actions",
    "scale_reward",
    "select_observations",
    "signature_parameters",
    "stack_frames",
    "sticky_actions",
    "time_limit",
    "unmasked_space",
]

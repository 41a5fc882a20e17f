"""From an environment, settings and a learning rule to an algorithm: what all of them check."""

from typing import Any

from jaxrl.environments import flatten_actions, require_environment
from jaxrl.loops.on_policy import on_policy
from jaxrl.policy_gradient.normalization import normalize_observations, normalize_rewards
from jaxrl.policy_gradient.settings import MAX_STEPS, OnPolicySettings
from jaxrl.settings import require_scalars, validate
from jaxrl.types import Agent, Algorithm, Box, Environment, MaskedSpace


def check_task(env: Environment, config: Any) -> Environment:
    """Checks the settings against the environment before anything is traced.

    Args:
        env: the task.
        config: settings with the fields of `OnPolicySettings` and `NetworkSettings`.

    Returns:
        The environment, with vectors for actions where it has a Box of them.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    require_environment(env)
    validate(config)
    require_scalars(config)
    batch_size = config.num_envs * config.num_steps
    if config.total_steps + batch_size > MAX_STEPS:
        raise ValueError(
            f"total_steps={config.total_steps} and num_envs * num_steps = {batch_size} are too "
            f"many: together they must stay at most {MAX_STEPS}"
        )
    if config.state_dependent_exploration and not isinstance(env.action_space, Box):
        raise ValueError(
            "state_dependent_exploration=True needs Box actions, but the actions of "
            f"{env.name} are {env.action_space}"
        )
    space = env.observation_space
    seen = space.space if isinstance(space, MaskedSpace) else space
    if config.normalize_observations and not isinstance(seen, Box):
        raise ValueError(
            "normalize_observations=True needs Box observations, but the observations of "
            f"{env.name} are {seen}"
        )
    return flatten_actions(env)


def assemble(env: Environment, agent: Agent, config: OnPolicySettings) -> Algorithm:
    """Joins a learning rule to the on-policy loop, with the normalisation that was asked for."""
    if config.normalize_observations:
        agent = normalize_observations(agent, env.observation_space)
    if config.normalize_rewards:
        agent = normalize_rewards(agent, num_envs=config.num_envs, discount=config.discount)
    return on_policy(
        env,
        agent,
        num_envs=config.num_envs,
        num_steps=config.num_steps,
        total_steps=config.total_steps,
    )


def num_updates(config: OnPolicySettings) -> int:
    """How many rollouts a run learns from."""
    return -(-config.total_steps // (config.num_envs * config.num_steps))

"""From an environment, settings and a learning rule to an algorithm: what all of them check."""

from typing import Any

import jax

from jaxrl.budget import check_budget
from jaxrl.environments import flatten_actions, require_environment
from jaxrl.loops.on_policy import on_policy
from jaxrl.normalization import (
    check_normalization,
    normalize_observations,
    normalize_rewards,
)
from jaxrl.policy_gradient.actor import Actor
from jaxrl.policy_gradient.settings import (
    MemorySettings,
    NormalizationSettings,
    OnPolicySettings,
)
from jaxrl.settings import require_scalars, validate
from jaxrl.types import Agent, Algorithm, Box, Environment


def check_task(env: Environment, config: Any, *, num_workers: int = 1) -> Environment:
    """Checks the settings against the environment before anything is traced.

    Args:
        env: the task.
        config: settings with the fields of `OnPolicySettings` and `NetworkSettings`.
        num_workers: who have `num_envs` environments each.

    Returns:
        The environment, with vectors for actions where it has a Box of them.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    check_settings(env, config)
    size = num_workers * config.num_envs * config.num_steps
    check_budget(config, size, "num_envs * num_steps" if num_workers == 1 else "the workers' steps")
    if isinstance(config, NormalizationSettings) and config.normalize_observations:
        check_normalization(env)
    return flatten_actions(env)


def check_settings(env: Environment, config: Any) -> None:
    """Checks each setting alone, and those of `NetworkSettings` against the environment.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    require_environment(env)
    validate(config)
    require_scalars(config)
    if config.state_dependent_exploration and not isinstance(env.action_space, Box):
        raise ValueError(
            "state_dependent_exploration=True needs Box actions, but the actions of "
            f"{env.name} are {env.action_space}"
        )


def assemble(env: Environment, agent: Agent, config: Any) -> Algorithm:
    """Joins a learning rule to the on-policy loop, with the normalisation that was asked for.

    Args:
        env: as `check_task` gives it.
        agent: the learning rule.
        config: settings with the fields of `OnPolicySettings` and `NormalizationSettings`.
    """
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


def sequences_per_environment(config: OnPolicySettings, actor: Actor) -> int:
    """Into how many sequences an environment's rollout is cut: of single steps without a memory.

    Raises:
        ValueError: `sequence_length` does not divide the rollout, or there is nothing to remember.
    """
    has_memory = bool(jax.tree.leaves(jax.eval_shape(actor.network.start)))
    length = config.sequence_length if isinstance(config, MemorySettings) else 0
    if length and not has_memory:
        raise ValueError(
            f"sequence_length={length} is for a network with memory: core='gru', or one of your own"
        )
    if length and config.num_steps % length:
        raise ValueError(f"sequence_length={length} does not divide num_steps={config.num_steps}")
    if not has_memory:
        return config.num_steps
    return config.num_steps // length if length else 1


def check_minibatches(config: Any, actor: Actor) -> None:
    """Minibatches are of steps, or of whole sequences where the network has a memory.

    Raises:
        ValueError: they cannot be shared out evenly.
    """
    per_environment = sequences_per_environment(config, actor)
    number_of = config.num_envs * per_environment
    if per_environment == config.num_steps:
        product = f"num_envs * num_steps = {number_of}"
    elif per_environment > 1:
        product = f"num_envs * num_steps / sequence_length = {number_of}"
    else:
        product = f"num_envs = {number_of} (a network with memory learns from whole rollouts)"
    if number_of % config.num_minibatches:
        raise ValueError(f"num_minibatches={config.num_minibatches} does not divide {product}")

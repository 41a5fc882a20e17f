"""From an environment, settings and a learning rule to an algorithm: what all of them check."""

from typing import Any

import jax

from jaxrl.environments import flatten_actions, rescale_actions
from jaxrl.loops.rollouts import check_rollout_task, check_shares
from jaxrl.policy_gradient._actor import Actor
from jaxrl.policy_gradient._settings import MemorySettings, NetworkSettings, OnPolicySettings
from jaxrl.types import Box, Environment


def check_task(env: Environment, config: Any, kind: type, *, num_workers: int = 1) -> Environment:
    """Checks the settings against the environment before anything is traced.

    Args:
        env: the task.
        config: settings with the fields of `OnPolicySettings` and `NetworkSettings`.
        kind: the class of settings that the algorithm takes.
        num_workers: who have `num_envs` environments each.

    Returns:
        The environment with the actions that the policy chooses: vectors where it has a Box of
        them, from -1 to 1 where that was asked for.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    checked = check_rollout_task(env, config, kind, num_workers=num_workers)
    return with_actions_of(checked, config)


def with_actions_of(env: Environment, config: NetworkSettings) -> Environment:
    """The environment with the actions that a policy of these settings chooses.

    Raises:
        ValueError: the scaling of the settings does not suit the actions.
    """
    check_exploration(env, config)
    env = flatten_actions(env)
    return rescale_actions(env) if config.rescale_actions else env


def check_exploration(env: Environment, config: NetworkSettings) -> None:
    """Checks that the scaling of the settings suits the actions.

    Raises:
        ValueError: it does not.
    """
    space = env.action_space
    if config.rescale_actions and not (isinstance(space, Box) and space.is_bounded()):
        raise ValueError(
            "rescale_actions=True needs Box actions with finite bounds, but the actions of "
            f"{env.name} are {space}"
        )


def sequences_per_environment(config: OnPolicySettings, actor: Actor) -> int:
    """Into how many sequences an environment's rollout is cut: of single steps without a memory.

    Raises:
        ValueError: `sequence_length` does not divide the rollout.
    """
    has_memory = bool(jax.tree.leaves(jax.eval_shape(actor.network.start)))
    length = config.sequence_length if isinstance(config, MemorySettings) else 0
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
    check_shares(config.num_minibatches, number_of, product)

"""From an environment, settings and a learning rule to an algorithm that learns from rollouts."""

from typing import Any

from jaxrl.environments import flatten_actions, require_environment
from jaxrl.learning.normalization import (
    NormalizationSettings,
    check_normalization,
    normalize_observations,
    normalize_rewards,
)
from jaxrl.loops.on_policy import on_policy
from jaxrl.loops.worlds import WAYS_OF_RESETTING, resets_of
from jaxrl.settings import (
    MAX_BUDGET,
    check_budget,
    number,
    require_settings,
    settings,
    static,
)
from jaxrl.types import Agent, Algorithm, Environment


@settings
class RolloutSettings:
    """How much is collected, and what later rewards are worth."""

    total_steps: int = static(500_000, minimum=1, maximum=MAX_BUDGET)
    """Budget in environment steps, all environments together."""
    num_envs: int = static(4, minimum=1)
    """Environments stepped side by side."""
    num_steps: int = static(128, minimum=1)
    """Steps of each environment between two updates."""
    discount: float = number(0.99, minimum=0, maximum=1)
    """Gamma, the worth of a reward one step later."""
    resets: str = static("every_step", choices=WAYS_OF_RESETTING)
    """Where episodes start. every_step: from a start of their own, drawn in every step for every
    environment. pooled: from one of num_envs / reset_ratio starts drawn in each step, which costs
    less; each has the right distribution, but episodes that begin in one step can begin alike.
    cached: where the environment's first episode did, which costs nothing; the whole run then has
    no more starts than environments."""
    reset_ratio: int = static(4, minimum=2, needs=("resets", "pooled"))
    """Environments to each start that a step draws; must divide num_envs."""


def check_rollout_task(
    env: Environment, config: Any, kind: type, *, num_workers: int = 1
) -> Environment:
    """Checks the settings against the environment before anything is traced.

    Args:
        env: the task.
        config: settings with the fields of `RolloutSettings`.
        kind: the class of settings that the algorithm takes.
        num_workers: who have `num_envs` environments each.

    Returns:
        The environment, with vectors for actions where it has a Box of them.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    env = require_environment(env)
    require_settings(config, kind)
    size = num_workers * config.num_envs * config.num_steps
    product = "num_envs * num_steps" if num_workers == 1 else "the workers' steps"
    check_budget(config, size, product, counts_per_iteration=num_workers)
    resets_of(config)
    if isinstance(config, NormalizationSettings) and config.normalize_observations:
        check_normalization(env)
    return flatten_actions(env)


def check_shares(num_minibatches: int, size: int, product: str) -> None:
    """Checks that a batch of `size`, which is the `product` in words, can be shared out evenly.

    Raises:
        ValueError: it cannot.
    """
    if size % num_minibatches:
        raise ValueError(f"num_minibatches={num_minibatches} does not divide {product}")


def join_rollouts(env: Environment, agent: Agent, config: Any) -> Algorithm:
    """Joins a learning rule to the on-policy loop, with the normalisation that was asked for.

    Args:
        env: as `check_rollout_task` gives it.
        agent: the learning rule.
        config: settings with the fields of `RolloutSettings` and `NormalizationSettings`.
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
        resets=resets_of(config),
    )


def num_rollouts(config: RolloutSettings) -> int:
    """How many rollouts a run learns from."""
    return -(-config.total_steps // (config.num_envs * config.num_steps))

"""From an environment, settings and a learning rule to an algorithm with a replay."""

import numpy as np
from jax.core import Tracer

from jaxrl.environments import flatten_actions, require_environment
from jaxrl.learning.normalization import (
    ObservationNormalizationSettings,
    check_normalization,
    normalize_replayed_observations,
)
from jaxrl.loops.off_policy import off_policy
from jaxrl.loops.worlds import WAYS_OF_RESETTING, resets_of
from jaxrl.replay import prioritized_replay, ring_storage, uniform_replay
from jaxrl.settings import (
    MAX_BUDGET,
    MAX_STEPS,
    check_budget,
    number,
    require_settings,
    settings,
    static,
    unless,
)
from jaxrl.types import Algorithm, Box, Discrete, Environment, Replay, ReplayAgent


@settings
class ReplaySettings(ObservationNormalizationSettings):
    """How much is collected, how much of it is kept, and how often it is learnt from."""

    total_steps: int = static(100_000, minimum=1, maximum=MAX_BUDGET)
    """Budget in environment steps, all environments together, the random steps included."""
    num_envs: int = static(1, minimum=1)
    """Environments stepped side by side."""
    num_steps: int = static(1, minimum=1)
    """Steps of each environment in an iteration."""
    num_updates: int = static(1, minimum=1)
    """Updates in an iteration; one per environment step where it is num_envs * num_steps."""
    random_steps: int = static(1_000, minimum=0, maximum=MAX_STEPS)
    """Environment steps with random actions before the first update."""
    buffer_size: int = static(100_000, minimum=1, maximum=MAX_STEPS)
    """Transitions that the replay keeps, of all environments together."""
    batch_size: int = static(256, minimum=1, maximum=2**24)
    """Transitions of each update."""
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
    n_step: int = static(1, minimum=1, maximum=10_000)
    """Rewards that are summed before the successor's value counts."""
    prioritized: bool = static(False)
    """Replay what surprised most more often (Schaul et al. 2016) instead of everything alike."""
    priority_exponent: float = number(0.6, minimum=0, maximum=1, needs=("prioritized", True))
    """Alpha: how much more often a greater error is replayed; 0: not at all."""
    importance_exponent: float = number(
        0.4, minimum=0, maximum=1, needs=(("prioritized", True), unless("priority_exponent", 0.0))
    )
    """Beta at the start, 1 at the end: how far the loss makes up for it; 1: wholly."""


def check_replay_task(env: Environment, config: ReplaySettings, kind: type) -> Environment:
    """Checks the settings against the environment before anything is traced.

    Args:
        env: the task.
        config: the settings.
        kind: the class of settings that the algorithm takes.

    Returns:
        The environment, with vectors for actions where it has a Box of them.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    env = require_environment(env)
    require_settings(config, kind)
    size = config.num_envs * config.num_steps
    fastest = max(config.num_updates, config.num_steps)
    check_budget(config, size, "num_envs * num_steps", counts_per_iteration=fastest)
    _check_random_steps(config, size)
    resets_of(config)
    if config.normalize_observations:
        check_normalization(env)
    _check_n_step(config)
    return flatten_actions(env)


def check_discrete(env: Environment, name: str) -> Discrete:
    """The action space of an environment with one discrete action.

    Raises:
        ValueError: it is another; `name` is the algorithm's.
    """
    if not isinstance(env.action_space, Discrete):
        raise ValueError(
            f"{name} needs Discrete actions, but the actions of {env.name} are {env.action_space}"
        )
    return env.action_space


def check_bounded(env: Environment, name: str) -> Box:
    """The action space of an environment with actions between finite bounds.

    Args:
        env: as `check_replay_task` gives it.
        name: the algorithm's.

    Raises:
        ValueError: the actions are others.
    """
    space = env.action_space
    if not isinstance(space, Box):
        raise ValueError(f"{name} needs Box actions, but the actions of {env.name} are {space}")
    if not space.is_bounded():
        raise ValueError(
            f"{name} needs actions between finite bounds, but those of {env.name} are bounded by "
            f"{space.low} and {space.high}"
        )
    low, high = space.bounds()
    if isinstance(low, np.ndarray) and isinstance(high, np.ndarray) and not (high > low).any():
        raise ValueError(
            f"{name} has nothing to choose: every action of {env.name} is bounded by {space.low} "
            f"and {space.high}"
        )
    return space


def join_replay(
    env: Environment,
    agent: ReplayAgent,
    config: ReplaySettings,
    *,
    with_steps_between: bool = False,
) -> Algorithm:
    """Joins a learning rule to a replay and to the off-policy loop.

    Args:
        env: as `check_replay_task` gives it.
        agent: the learning rule.
        config: the settings.
        with_steps_between: whether the rule reads the steps before an n-step successor too.
    """
    if config.normalize_observations:
        agent = normalize_replayed_observations(agent, env.observation_space)
    return off_policy(
        env,
        agent,
        make_replay(env, config, with_steps_between=with_steps_between),
        num_envs=config.num_envs,
        num_steps=config.num_steps,
        num_updates=config.num_updates,
        random_steps=config.random_steps,
        total_steps=config.total_steps,
        resets=resets_of(config),
    )


def make_replay(
    env: Environment, config: ReplaySettings, *, with_steps_between: bool = False
) -> Replay:
    """The replay of the settings; arguments as for `join_replay`."""
    limit = env.max_episode_steps
    storage = ring_storage(
        env.observation_space,
        env.action_space,
        capacity=config.buffer_size,
        num_envs=config.num_envs,
        num_steps=config.num_steps,
        n_step=config.n_step,
        # One that is traced is not known when the memory is laid out.
        max_episode_steps=None if limit is None or isinstance(limit, Tracer) else int(limit),
        with_steps_between=with_steps_between,
    )
    if not config.prioritized:
        return uniform_replay(storage, batch_size=config.batch_size, discount=config.discount)
    return prioritized_replay(
        storage,
        batch_size=config.batch_size,
        discount=config.discount,
        priority_exponent=config.priority_exponent,
        importance_exponent=config.importance_exponent,
        annealed_over=-(-config.total_steps // config.num_envs),
    )


def num_updates(config: ReplaySettings) -> int:
    """How many updates a whole run makes."""
    size = config.num_envs * config.num_steps
    random_iterations = -(-config.random_steps // size)
    return config.num_updates * -(-(config.total_steps - random_iterations * size) // size)


def _check_random_steps(config: ReplaySettings, size: int) -> None:
    """Some of the budget must be left after the random steps, which come in whole iterations."""
    taken = size * -(-config.random_steps // size)
    if taken < config.total_steps:
        return
    rounded = "" if taken == config.random_steps else f" are {taken} in whole iterations, which"
    raise ValueError(
        f"random_steps={config.random_steps}{rounded} must be less than "
        f"total_steps={config.total_steps}: nothing would be learnt; with num_envs * num_steps = "
        f"{size} they may be at most {size * ((config.total_steps - 1) // size)}"
    )


def _check_n_step(config: ReplaySettings) -> None:
    """The replay must hold n steps, and the first update must find that many."""
    size = config.num_envs * config.num_steps
    kept = config.num_steps * -(-config.buffer_size // size)
    first = config.num_steps * (-(-config.random_steps // size) + 1)
    needed = config.num_steps + config.n_step - 1
    if kept < needed:
        raise ValueError(
            f"buffer_size={config.buffer_size} keeps {kept} steps of each environment: "
            f"too few for n_step={config.n_step}, which needs {needed}"
        )
    if first < config.n_step:
        raise ValueError(
            f"random_steps={config.random_steps} give {first} steps of each environment before the "
            f"first update: too few for n_step={config.n_step}"
        )

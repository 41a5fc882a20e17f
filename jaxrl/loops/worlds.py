"""Batches of environments: the one place where they start, act and start again.

An environment's `step` knows nothing of the next episode. Whoever plays whole episodes steps it as
it is (`step_world`); whoever goes on after an end resets the environments that ended (`collect`),
in one of three ways:

- `every_step`: a fresh start is drawn for every environment in every step. Every episode has a
  start of its own, as if it had been reset by hand; the random numbers of starts that nobody sees
  are much of the work in a simple environment.
- `pooled`: each step draws a start for every `ratio` environments, which those that end in this
  step share (Craftax calls it an optimistic reset; Matthews et al. 2024, arXiv:2402.16801). Every
  start has the right distribution. Where more environments end in one step than there are starts,
  several get the same one: their episodes are correlated, and begin as one where the policy and the
  environment draw nothing. Time limits that all environments reach together do that.
- `cached`: each environment starts all its episodes as it started its first, as in Brax and
  MuJoCo Playground. A run then sees `num_envs` starts in all instead of the whole distribution, and
  what is drawn at a reset and kept in the state, such as a task's constants, stays the same too.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxrl.environments import reads_key
from jaxrl.keys import scan_keys
from jaxrl.loops.finished_episodes import FinishedEpisodes, reported_of
from jaxrl.types import (
    Action,
    Agent,
    Carry,
    Environment,
    EnvState,
    GradientAgent,
    Key,
    Observation,
    Policy,
    PyTree,
    ReplayAgent,
    Rollout,
    Transition,
)

Act: TypeAlias = Callable[[Key, Carry, Observation], tuple[Carry, Action, PyTree]]
Start: TypeAlias = Callable[[Key], Carry]

WAYS_OF_RESETTING = ("every_step", "pooled", "cached")


class Resets(NamedTuple):
    """How environments start again where their episodes end.

    Attributes:
        way: one of `WAYS_OF_RESETTING`, which this module's text describes.
        ratio: environments to one fresh start of each step, with "pooled"; divides their number.
    """

    way: str = "every_step"
    ratio: int = 1


EVERY_STEP = Resets()


def resets_of(config: Any) -> Resets:
    """How environments start again, as settings say.

    Args:
        config: settings with `resets`, `reset_ratio` and `num_envs`.

    Raises:
        ValueError: the starts of a pool cannot be shared out evenly.
    """
    if config.resets != "pooled":
        return Resets(config.resets)
    if config.num_envs % config.reset_ratio:
        raise ValueError(
            f"reset_ratio={config.reset_ratio} must divide num_envs={config.num_envs}: with "
            "resets='pooled', each step draws one start for as many environments"
        )
    return Resets("pooled", config.reset_ratio)


class Worlds(NamedTuple):
    """B environments in the midst of their episodes, and who acts in them; or one, without B.

    Attributes:
        env_state: leaves [B, ...].
        observation: leaves [B, ...], what the next actions are chosen from.
        carry: leaves [B, ...], the actors' memory.
        starts: (env_state, observation) that episodes start from, where they are cached; else ().
    """

    env_state: EnvState
    observation: Observation
    carry: Carry
    starts: PyTree = ()


def start_world(key_reset: Key, key_start: Key, environment: Environment, start: Start) -> Worlds:
    """Resets one environment and starts its actor's memory.

    Args:
        key_reset: consumed by the environment.
        key_start: consumed by the memory.
        environment: the task.
        start: (key) -> carry, at an episode's start.
    """
    env_state, observation = environment.reset(key_reset)
    return Worlds(env_state=env_state, observation=observation, carry=start(key_start))


def start_worlds(
    key: Key,
    environment: Environment,
    start: Start,
    *,
    num_envs: int,
    resets: Resets | None = EVERY_STEP,
) -> Worlds:
    """Resets B environments and starts their actors' memory.

    Args:
        key: consumed.
        environment: the task.
        start: (key) -> carry, at an episode's start.
        num_envs: B.
        resets: as for `collect`.
    """
    carry = jax.eval_shape(start, key)
    # Every split is a program to compile: none is made for actors without memory, who read no key.
    has_memory = bool(jax.tree.leaves(carry))
    key_reset, key_start = jax.random.split(key) if has_memory else (key, key)
    keys = jax.random.split(key_reset, num_envs)
    keys_start = jax.random.split(key_start, num_envs) if has_memory else keys
    begin = partial(start_world, environment=environment, start=start)
    worlds = jax.vmap(begin)(keys, keys_start)
    if resets is not None and resets.way == "cached":
        worlds = worlds._replace(starts=(worlds.env_state, worlds.observation))
    return worlds


def step_world(
    key_act: Key, key_step: Key, world: Worlds, environment: Environment, act: Act
) -> tuple[Worlds, Transition, dict[str, Any]]:
    """Acts once in one environment, which stays where its episode ends.

    Args:
        key_act: consumed by the actor.
        key_step: consumed by the environment.
        world: where the environment stands, without a batch axis.
        environment: the task.
        act: (key, carry, observation) -> (carry, action, extras).

    Returns:
        The world after the step, what a learner reads of it, and the `info` of the environment.
    """
    carry, action, extras = act(key_act, world.carry, world.observation)
    env_state, time_step = environment.step(key_step, world.env_state, action)
    transition = Transition(
        observation=world.observation,
        action=action,
        reward=time_step.reward,
        terminated=time_step.terminated,
        truncated=time_step.truncated,
        next_observation=time_step.observation,
        extras=extras,
    )
    after = world._replace(env_state=env_state, observation=time_step.observation, carry=carry)
    return after, transition, time_step.info


def collect(
    key: Key,
    environment: Environment,
    act: Act,
    start: Start,
    worlds: Worlds,
    *,
    num_steps: int,
    resets: Resets | None = EVERY_STEP,
) -> tuple[Worlds, Rollout, FinishedEpisodes]:
    """Acts for `num_steps` in every environment.

    Args:
        key: consumed.
        environment: with episode statistics recorded.
        act: (key, carry, observation) -> (carry, action, extras), for one environment.
        start: (key) -> carry, at an episode's start.
        worlds: where the environments stand; made by `start_worlds` with the same `resets`.
        num_steps: T.
        resets: how environments start again where their episodes end. None: they do not, and what
            comes after an episode's end means nothing.

    Returns:
        The worlds after the rollout, the rollout with leaves [T, B, ...], the episodes that ended.
    """
    num_envs = jax.tree.leaves(worlds.observation)[0].shape[0]
    has_memory = bool(jax.tree.leaves(worlds.carry))
    # All keys of the rollout in one draw: at few environments the cost is per operation. A flat
    # draw, whose program the compiler gets done with in a third of the time.
    kinds = 3 if has_memory else 2
    keys = jax.random.split(key, num_steps * kinds * num_envs)
    keys = keys.reshape(num_steps, kinds, num_envs)
    starts = worlds.starts
    share_keys = _sharing_of_keys(environment, resets)

    def interact(playing: Worlds, keys: Any) -> Any:
        keys_step, keys_reset = share_keys(keys[1])
        playing, transition, info = jax.vmap(partial(step_world, environment=environment, act=act))(
            keys[0], keys_step, playing
        )
        ended = transition.terminated | transition.truncated
        if resets is not None:
            fresh = _next_starts(keys_reset, environment, ended, starts, resets)
            present = (playing.env_state, playing.observation)
            env_state, observation = jax.vmap(where_ended)(ended, fresh, present)
            playing = playing._replace(env_state=env_state, observation=observation)
        if has_memory:
            carry = jax.vmap(where_ended)(ended, jax.vmap(start)(keys[2]), playing.carry)
            playing = playing._replace(carry=carry)
        reported = jax.vmap(partial(reported_of, environment))(info)
        finished = FinishedEpisodes(ended, info["episode_return"], info["episode_length"], reported)
        return playing, (transition, finished)

    after, (transitions, finished) = scan_keys(interact, worlds._replace(starts=()), keys)
    rollout = Rollout(transitions=transitions, carry=worlds.carry)
    return after._replace(starts=starts), rollout, finished


def exploring_policy(agent: Agent | ReplayAgent | GradientAgent, state: Any) -> Policy:
    """The policy that an agent collects with.

    Args:
        agent: it explores.
        state: what its `act` goes by.
    """

    def choose(key: Key, carry: Carry, observation: Observation) -> tuple[Carry, Action]:
        carry, action, *_ = agent.act(key, state, carry, observation)
        return carry, action

    return Policy(start=agent.start, act=choose)


def where_ended(ended: Bool[Array, ""], fresh: PyTree, present: PyTree) -> PyTree:
    """The fresh start of one environment where its episode ended, else the present."""
    return jax.tree.map(lambda first, running: jnp.where(ended, first, running), fresh, present)


def act_without_extras(
    act: Callable[[Key, Carry, Observation], tuple[Carry, Action]], environment: Environment
) -> Act:
    """The `Act` of a policy, which reports nothing beside its actions.

    Args:
        act: the policy's.
        environment: where it acts. Actions with another number of elements than its space's are a
            ValueError when the `Act` is traced.
    """
    space = environment.action_space

    def choose(key: Key, carry: Carry, observation: Observation) -> tuple[Carry, Action, tuple[()]]:
        carry, action = act(key, carry, observation)
        # A policy of the user's own may give plain numbers.
        action = jnp.asarray(action)
        if action.size != math.prod(space.shape):
            raise ValueError(
                f"the policy's actions have shape {action.shape}, but those of "
                f"{environment.name} have shape {space.shape}"
            )
        return carry, action, ()

    return choose


def _sharing_of_keys(
    environment: Environment, resets: Resets | None
) -> Callable[[Key], tuple[Key, Key]]:
    """How the environments' keys [B] of one step serve the steps and the resets after them.

    Random bits are a large part of a simple environment's step: a reset gets the whole key where
    the transition draws none, and the transition where no reset draws any.
    """
    only_one_draws = resets is None or resets.way == "cached" or not reads_key(environment)
    if only_one_draws:
        return lambda keys: (keys, keys)

    def share(keys: Key) -> tuple[Key, Key]:
        both = jax.vmap(jax.random.split)(keys)
        return both[:, 0], both[:, 1]

    return share


def _next_starts(
    keys: Key, environment: Environment, ended: Bool[Array, " B"], starts: PyTree, resets: Resets
) -> PyTree:
    """A state and an observation for each environment, taken where `ended`."""
    if resets.way == "cached":
        return starts
    if resets.way == "every_step":
        return jax.vmap(environment.reset)(keys)
    size = ended.shape[0] // resets.ratio
    pool = jax.vmap(environment.reset)(keys[:size])
    # One each for those that end in this step, as far as there are enough.
    chosen = (jnp.cumsum(ended) - 1) % size
    return jax.tree.map(lambda x: x[chosen], pool)

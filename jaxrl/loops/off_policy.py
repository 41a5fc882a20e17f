"""The off-policy loop: collect some steps, keep them, learn from those of all times.

An iteration collects T steps of B environments and makes U updates, whatever the ratio. Before the
first one, steps are collected with random actions: in a loop of their own, since a condition within
the iteration would cost as much as both of its branches under `vmap`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrl.distributions import Categorical, MultiCategorical, mask_logits
from jaxrl.environments import clip_actions, record_episode_statistics
from jaxrl.keys import scan_keys, taking_any_key
from jaxrl.loops.finished_episodes import episode_metrics
from jaxrl.loops.worlds import (
    EVERY_STEP,
    Act,
    Resets,
    Worlds,
    collect,
    exploring_policy,
    start_worlds,
)
from jaxrl.types import (
    Action,
    AgentState,
    Algorithm,
    Carry,
    Environment,
    Key,
    MaskedObservation,
    Metrics,
    MultiDiscrete,
    Observation,
    Replay,
    ReplayAgent,
    Space,
    Transition,
)


class OffPolicyState(NamedTuple):
    """Everything an off-policy run needs to go on.

    Attributes:
        agent: the learning rule's state.
        worlds: the environments, B of them.
        replay: the steps of the past.
        steps: int32 (), environment steps taken, those with random actions among them.
    """

    agent: AgentState
    worlds: Worlds
    replay: Any
    steps: Int[Array, ""]


def off_policy(
    environment: Environment,
    agent: ReplayAgent,
    replay: Replay,
    *,
    num_envs: int,
    num_steps: int,
    num_updates: int,
    random_steps: int,
    total_steps: int,
    resets: Resets = EVERY_STEP,
) -> Algorithm:
    """Builds the algorithm that alternates between collecting and learning from a replay.

    Args:
        environment: the task; Box actions are clipped to its bounds at its door.
        agent: the learning rule.
        replay: takes [num_steps, num_envs] transitions at a time.
        num_envs: B, environments side by side.
        num_steps: T, steps of each in an iteration.
        num_updates: U, of an iteration.
        random_steps: environment steps with random actions before the first iteration; rounded up
            to whole additions to the replay.
        total_steps: the budget with the random steps; the fewest iterations that reach it are run.
        resets: how environments start again where their episodes end.
    """
    recorded = record_episode_statistics(clip_actions(environment))
    size = num_envs * num_steps
    num_random = -(-random_steps // size)
    gather = partial(_gather, recorded, agent, replay, num_steps=num_steps, resets=resets)

    def init(key: Key) -> OffPolicyState:
        key_agent, key_worlds, key_random = jax.random.split(key, 3)
        worlds = start_worlds(key_worlds, recorded, agent.start, num_envs=num_envs, resets=resets)
        state = OffPolicyState(
            agent=agent.init(key_agent),
            worlds=worlds,
            replay=replay.init(),
            steps=jnp.int32(0),
        )
        return _warm_up(key_random, state, gather, environment.action_space, num_random)

    def step(key: Key, state: OffPolicyState) -> tuple[OffPolicyState, Metrics]:
        key_experience, key_updates = jax.random.split(key)
        state, metrics = gather(key_experience, state, act=partial(_act, agent, state.agent))
        state, learning_metrics = _learn(key_updates, state, agent, replay, num_updates)
        return state, {"steps": state.steps} | metrics | learning_metrics

    algorithm = Algorithm(
        init=init,
        step=step,
        policy=lambda state: agent.policy(state.agent),
        environment=environment,
        total_steps=total_steps,
        steps_per_iteration=size,
        max_iterations=-(-(total_steps - num_random * size) // size),
        first_steps=num_random * size,
        behavior=lambda state: exploring_policy(agent, state.agent),
    )
    return taking_any_key(algorithm)


def _gather(
    environment: Environment,
    agent: ReplayAgent,
    replay: Replay,
    key: Key,
    state: OffPolicyState,
    *,
    act: Act,
    num_steps: int,
    resets: Resets,
) -> tuple[OffPolicyState, Metrics]:
    """Collects num_steps of each environment and keeps them."""
    key_rollout, key_observe = jax.random.split(key)
    worlds, rollout, finished = collect(
        key_rollout,
        environment,
        act,
        agent.start,
        state.worlds,
        num_steps=num_steps,
        resets=resets,
    )
    transitions: Transition = rollout.transitions
    state = OffPolicyState(
        agent=agent.observe(key_observe, state.agent, transitions),
        worlds=worlds,
        replay=replay.add(state.replay, transitions),
        steps=state.steps + transitions.reward.size,
    )
    return state, episode_metrics(finished)


def _warm_up(
    key: Key,
    state: OffPolicyState,
    gather: Callable[..., Any],
    action_space: Space,
    num_iterations: int,
) -> OffPolicyState:
    """Gathers with random actions."""
    act = partial(_act_randomly, action_space)

    def step(state: OffPolicyState, key: Key) -> tuple[OffPolicyState, None]:
        return gather(key, state, act=act)[0], None

    if num_iterations == 0:
        return state
    return scan_keys(step, state, jax.random.split(key, num_iterations))[0]


def _act(
    agent: ReplayAgent, state: AgentState, key: Key, carry: Carry, observation: Observation
) -> tuple[Carry, Action, tuple[()]]:
    return *agent.act(key, state, carry, observation), ()


def _act_randomly(
    space: Space, key: Key, carry: Carry, observation: Observation
) -> tuple[Carry, Action, tuple[()]]:
    return carry, random_action(key, space, observation), ()


def _learn(
    key: Key, state: OffPolicyState, agent: ReplayAgent, replay: Replay, num_updates: int
) -> tuple[OffPolicyState, Metrics]:
    """Makes the updates, each from a sample of its own."""

    def update(carry: tuple[Any, Any], key: Key) -> tuple[tuple[Any, Any], Metrics]:
        agent_state, kept = carry
        key_sample, key_update = jax.random.split(key)
        batch = replay.sample(key_sample, kept)
        agent_state, error, metrics = agent.update(key_update, agent_state, batch)
        return (agent_state, replay.prioritize(kept, batch.index, error)), metrics

    carry = (state.agent, state.replay)
    if num_updates == 1:
        (agent_state, kept), metrics = update(carry, key)
    else:
        keys = jax.random.split(key, num_updates)
        (agent_state, kept), metrics = scan_keys(update, carry, keys)
        metrics = jax.tree.map(jnp.mean, metrics)
    return state._replace(agent=agent_state, replay=kept), metrics


def random_action(key: Key, space: Space, observation: Observation) -> Action:
    """Draws one of the allowed actions, all alike; the key is consumed."""
    if not isinstance(observation, MaskedObservation):
        return space.sample(key)
    mask = observation.action_mask
    logits = mask_logits(jnp.zeros(mask.shape, jnp.float32), mask)
    if isinstance(space, MultiDiscrete):
        return MultiCategorical(logits, space.num_categories).sample(key)
    return Categorical(logits).sample(key)

"""The off-policy loop: collect some steps, keep them, learn from those of all times.

An iteration collects T steps of B environments and makes U updates, whatever the ratio. Before the
first one, steps are collected with random actions: in a loop of their own, since a condition within
the iteration would cost as much as both of its branches under `vmap`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrl.distributions import Categorical, MultiCategorical, mask_logits
from jaxrl.environments import clip_actions, record_episode_statistics
from jaxrl.loops.on_policy import Act, Worlds, collect, episode_metrics, start_worlds
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
    Policy,
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
        total_steps: the budget, the random steps included; the fewest iterations that reach it are
            taken.
    """
    recorded = record_episode_statistics(clip_actions(environment))
    steps_per_iteration = num_envs * num_steps
    num_random = -(-random_steps // steps_per_iteration)

    def experience(key: Key, state: OffPolicyState, act: Act) -> tuple[OffPolicyState, Metrics]:
        key_rollout, key_observe = jax.random.split(key)
        worlds, rollout, finished = collect(
            key_rollout, recorded, act, agent.start, state.worlds, num_steps=num_steps
        )
        transitions: Transition = rollout.transitions
        state = OffPolicyState(
            agent=agent.observe(key_observe, state.agent, transitions),
            worlds=worlds,
            replay=replay.add(state.replay, transitions),
            steps=state.steps + steps_per_iteration,
        )
        return state, episode_metrics(finished)

    def act_randomly(key: Key, carry: Carry, observation: Observation) -> Any:
        return carry, random_action(key, environment.action_space, observation), ()

    def init(key: Key) -> OffPolicyState:
        key_agent, key_worlds, key_random = jax.random.split(key, 3)
        state = OffPolicyState(
            agent=agent.init(key_agent),
            worlds=start_worlds(key_worlds, recorded, agent.start, num_envs=num_envs),
            replay=replay.init(),
            steps=jnp.int32(0),
        )
        if num_random == 0:
            return state

        def step(state: OffPolicyState, key: Key) -> tuple[OffPolicyState, None]:
            return experience(key, state, act_randomly)[0], None

        return jax.lax.scan(step, state, jax.random.split(key_random, num_random))[0]

    def step(key: Key, state: OffPolicyState) -> tuple[OffPolicyState, Metrics]:
        key_experience, key_updates = jax.random.split(key)

        def act(key: Key, carry: Carry, observation: Observation) -> Any:
            return *agent.act(key, state.agent, carry, observation), ()

        state, metrics = experience(key_experience, state, act)
        state, learning_metrics = learn(key_updates, state)
        return state, {"steps": state.steps} | metrics | learning_metrics

    def learn(key: Key, state: OffPolicyState) -> tuple[OffPolicyState, Metrics]:
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
            (agent_state, kept), metrics = jax.lax.scan(update, carry, keys)
            metrics = jax.tree.map(jnp.mean, metrics)
        return state._replace(agent=agent_state, replay=kept), metrics

    def policy(state: OffPolicyState) -> Policy:
        return agent.policy(state.agent)

    return Algorithm(
        init=init,
        step=step,
        policy=policy,
        environment=environment,
        total_steps=total_steps,
        steps_per_iteration=steps_per_iteration,
        max_iterations=-(-(total_steps - num_random * steps_per_iteration) // steps_per_iteration),
        first_steps=num_random * steps_per_iteration,
    )


def random_action(key: Key, space: Space, observation: Observation) -> Action:
    """Draws one of the allowed actions, all alike; the key is consumed."""
    if not isinstance(observation, MaskedObservation):
        return space.sample(key)
    mask = observation.action_mask
    logits = mask_logits(jnp.zeros(mask.shape), mask)
    if isinstance(space, MultiDiscrete):
        return MultiCategorical(logits, space.num_categories).sample(key)
    return Categorical(logits).sample(key)

"""The on-policy loop: collect T steps of B environments with the present policy, then learn."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl.environments import clip_actions, record_episode_statistics
from jaxrl.keys import scan_keys, taking_any_key
from jaxrl.ops.missing import missing_value
from jaxrl.types import (
    Action,
    Agent,
    AgentState,
    Algorithm,
    Carry,
    Environment,
    EnvState,
    Key,
    Metrics,
    Observation,
    Policy,
    PyTree,
    Rollout,
    Transition,
)

Act: TypeAlias = Callable[[Key, Carry, Observation], tuple[Carry, Action, PyTree]]
Start: TypeAlias = Callable[[Key], Carry]


class Worlds(NamedTuple):
    """B environments in the midst of their episodes, and who acts in them.

    Attributes:
        env_state: leaves [B, ...].
        observation: leaves [B, ...], what the next actions are chosen from.
        carry: leaves [B, ...], the actors' memory.
    """

    env_state: EnvState
    observation: Observation
    carry: Carry


class OnPolicyState(NamedTuple):
    """Everything an on-policy run needs to go on.

    Attributes:
        agent: the learning rule's state.
        worlds: the environments, B of them.
        steps: int32 (), environment steps taken.
    """

    agent: AgentState
    worlds: Worlds
    steps: Int[Array, ""]


class FinishedEpisodes(NamedTuple):
    """At each step of each environment: did an episode end here, and what was it worth.

    Attributes:
        ended: bool [T, B].
        episode_return: float32 [T, B], of the task's own rewards; read where `ended`.
        episode_length: int32 [T, B]; read where `ended`.
    """

    ended: Array
    episode_return: Array
    episode_length: Array


def on_policy(
    environment: Environment, agent: Agent, *, num_envs: int, num_steps: int, total_steps: int
) -> Algorithm:
    """Builds the algorithm that alternates rollouts of `num_envs` x `num_steps` with updates.

    Args:
        environment: the task; Box actions are clipped to its bounds at its door.
        agent: the learning rule.
        num_envs: B, environments side by side.
        num_steps: T, steps of each between two updates.
        total_steps: the budget; the fewest iterations that reach it are taken.
    """
    recorded = record_episode_statistics(clip_actions(environment))
    steps_per_iteration = num_envs * num_steps

    def init(key: Key) -> OnPolicyState:
        key_agent, key_worlds = jax.random.split(key)
        return OnPolicyState(
            agent=agent.init(key_agent),
            worlds=start_worlds(key_worlds, recorded, agent.start, num_envs=num_envs),
            steps=jnp.int32(0),
        )

    def step(key: Key, state: OnPolicyState) -> tuple[OnPolicyState, Metrics]:
        key_rollout, key_update = jax.random.split(key)

        def act(key: Key, carry: Carry, observation: Observation) -> Any:
            return agent.act(key, state.agent, carry, observation)

        worlds, rollout, finished = collect(
            key_rollout, recorded, act, agent.start, state.worlds, num_steps=num_steps
        )
        agent_state, learning_metrics = agent.update(key_update, state.agent, rollout)
        steps = state.steps + steps_per_iteration
        metrics = {"steps": steps} | episode_metrics(finished) | learning_metrics
        return OnPolicyState(agent=agent_state, worlds=worlds, steps=steps), metrics

    def policy(state: OnPolicyState) -> Policy:
        return agent.policy(state.agent)

    algorithm = Algorithm(
        init=init,
        step=step,
        policy=policy,
        environment=environment,
        total_steps=total_steps,
        steps_per_iteration=steps_per_iteration,
        max_iterations=-(-total_steps // steps_per_iteration),
    )
    return taking_any_key(algorithm)


def start_worlds(key: Key, environment: Environment, start: Start, *, num_envs: int) -> Worlds:
    """Resets `num_envs` environments and starts their actors' memory; the key is consumed."""
    reset_all, start_all = jax.vmap(environment.reset), jax.vmap(start)
    carry = jax.eval_shape(start, key)
    # Every split is a program to compile: none is made for actors without memory, of whom the
    # shape, which has no arrays, is all there is.
    if not jax.tree.leaves(carry):
        env_state, observation = reset_all(jax.random.split(key, num_envs))
    else:
        key_reset, key_start = jax.random.split(key)
        env_state, observation = reset_all(jax.random.split(key_reset, num_envs))
        carry = start_all(jax.random.split(key_start, num_envs))
    return Worlds(env_state=env_state, observation=observation, carry=carry)


def collect(
    key: Key, environment: Environment, act: Act, start: Start, worlds: Worlds, *, num_steps: int
) -> tuple[Worlds, Rollout, FinishedEpisodes]:
    """Acts for `num_steps` in every environment.

    Args:
        key: consumed.
        environment: with episode statistics recorded.
        act: (key, carry, observation) -> (carry, action, extras), for one environment.
        start: (key) -> carry, at an episode's start.
        worlds: where the environments stand.
        num_steps: T.

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

    def interact(worlds: Worlds, keys: Any) -> Any:
        env_state, observation, memory = worlds
        keys_act, keys_env = keys[0], keys[1]
        memory, action, extras = jax.vmap(act)(keys_act, memory, observation)
        env_state, timestep = jax.vmap(environment.step)(keys_env, env_state, action)
        ended = timestep.terminated | timestep.truncated
        if has_memory:
            memory = _where_ended(ended, jax.vmap(start)(keys[2]), memory)
        transition = Transition(
            observation=observation,
            action=action,
            reward=timestep.reward.astype(jnp.float32),
            terminated=timestep.terminated,
            truncated=timestep.truncated,
            next_observation=timestep.final_observation,
            extras=extras,
        )
        finished = FinishedEpisodes(
            ended=ended,
            episode_return=timestep.info["episode_return"],
            episode_length=timestep.info["episode_length"],
        )
        return Worlds(env_state, timestep.observation, memory), (transition, finished)

    after, (transitions, finished) = scan_keys(interact, worlds, keys)
    return after, Rollout(transitions=transitions, carry=worlds.carry), finished


def episode_metrics(finished: FinishedEpisodes) -> Metrics:
    """Means over the episodes that ended: nan where none did."""
    count = jnp.sum(finished.ended, dtype=jnp.int32)

    def mean(values: Array) -> Float[Array, ""]:
        total = jnp.sum(jnp.where(finished.ended, values.astype(jnp.float32), 0.0))
        return jnp.where(count > 0, total / jnp.maximum(count, 1), missing_value())

    return {
        "episodes": count,
        "episode_return": mean(finished.episode_return),
        "episode_length": mean(finished.episode_length),
    }


def _where_ended(ended: Array, fresh: Any, memory: Any) -> Any:
    def choose(x: Array, y: Array) -> Array:
        return jnp.where(ended.reshape(ended.shape + (1,) * (x.ndim - 1)), x, y)

    return jax.tree.map(choose, fresh, memory)

"""The on-policy loop: collect T steps of B environments with the present policy, then learn."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrl.environments import clip_actions, record_episode_statistics
from jaxrl.keys import taking_any_key
from jaxrl.loops.finished_episodes import episode_metrics
from jaxrl.loops.worlds import (
    EVERY_STEP,
    Resets,
    Worlds,
    collect,
    exploring_policy,
    start_worlds,
)
from jaxrl.sharding import over_devices
from jaxrl.types import (
    Agent,
    AgentState,
    Algorithm,
    Carry,
    Environment,
    Key,
    Metrics,
    Observation,
)


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


def on_policy(
    environment: Environment,
    agent: Agent,
    *,
    num_envs: int,
    num_steps: int,
    total_steps: int,
    resets: Resets = EVERY_STEP,
) -> Algorithm:
    """Builds the algorithm that alternates rollouts of `num_envs` x `num_steps` with updates.

    Args:
        environment: the task; Box actions are clipped to its bounds at its door.
        agent: the learning rule.
        num_envs: B, environments side by side.
        num_steps: T, steps of each between two updates.
        total_steps: the budget; the fewest iterations that reach it are taken.
        resets: how environments start again where their episodes end.
    """
    recorded = record_episode_statistics(clip_actions(environment))
    steps_per_iteration = num_envs * num_steps
    play = partial(
        collect, environment=recorded, start=agent.start, num_steps=num_steps, resets=resets
    )

    def init(key: Key) -> OnPolicyState:
        key_agent, key_worlds = jax.random.split(key)
        worlds = start_worlds(key_worlds, recorded, agent.start, num_envs=num_envs, resets=resets)
        return OnPolicyState(
            agent=agent.init(key_agent),
            worlds=over_devices(worlds, axis=0, name="num_envs"),
            steps=jnp.int32(0),
        )

    def step(key: Key, state: OnPolicyState) -> tuple[OnPolicyState, Metrics]:
        key_rollout, key_update = jax.random.split(key)

        def act(key: Key, carry: Carry, observation: Observation) -> Any:
            return agent.act(key, state.agent, carry, observation)

        worlds = over_devices(state.worlds, axis=0, name="num_envs")
        worlds, rollout, finished = play(key_rollout, act=act, worlds=worlds)
        rollout = rollout._replace(transitions=over_devices(rollout.transitions, axis=1))
        agent_state, learning_metrics = agent.update(key_update, state.agent, rollout)
        steps = state.steps + steps_per_iteration
        metrics = {"steps": steps} | episode_metrics(finished) | learning_metrics
        return OnPolicyState(agent=agent_state, worlds=worlds, steps=steps), metrics

    algorithm = Algorithm(
        init=init,
        step=step,
        policy=lambda state: agent.policy(state.agent),
        environment=environment,
        total_steps=total_steps,
        steps_per_iteration=steps_per_iteration,
        max_iterations=-(-total_steps // steps_per_iteration),
        behavior=lambda state: exploring_policy(agent, state.agent),
    )
    return taking_any_key(algorithm)

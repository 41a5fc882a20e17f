"""The asynchronous loop of A3C (Mnih et al. 2016, arXiv:1602.01783), as a pure function.

Each of W workers has its own, stale copy of the parameters and its own environments. In one tick
all workers act and compute a gradient side by side, each with its own copy; the shared optimiser
then applies the gradients one after another, in a random order, and each worker pulls the shared
parameters right after its own gradient. So the stale gradients of threads that race for one set of
parameters are reproduced, but repeatably, and measured: staleness is the number of gradients that
others applied between a worker's pull and its own gradient's application.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrl.environments import clip_actions, record_episode_statistics
from jaxrl.keys import taking_any_key
from jaxrl.loops.finished_episodes import FinishedEpisodes, episode_metrics
from jaxrl.loops.worlds import (
    EVERY_STEP,
    Resets,
    Worlds,
    collect,
    exploring_policy,
    start_worlds,
)
from jaxrl.types import (
    AgentState,
    Algorithm,
    Carry,
    Environment,
    GradientAgent,
    Key,
    Metrics,
    Observation,
    Params,
)


class AsynchronousState(NamedTuple):
    """Everything an asynchronous run needs to go on.

    Attributes:
        agent: the shared learner's state.
        worker_params: leaves [W, ...], each worker's copy.
        pulled_at: int32 [W], gradients applied before each worker's pull.
        applied: int32 (), gradients applied so far.
        worlds: leaves [W, B, ...].
        steps: int32 (), environment steps taken by all workers.
    """

    agent: AgentState
    worker_params: Params
    pulled_at: Int[Array, " W"]
    applied: Int[Array, ""]
    worlds: Worlds
    steps: Int[Array, ""]


def asynchronous(
    environment: Environment,
    agent: GradientAgent,
    *,
    num_workers: int,
    num_envs: int,
    num_steps: int,
    total_steps: int,
    resets: Resets = EVERY_STEP,
) -> Algorithm:
    """Builds the algorithm whose workers learn asynchronously; one is bit for bit `on_policy`.

    Args:
        environment: the task; Box actions are clipped to its bounds at its door.
        agent: the learning rule.
        num_workers: W.
        num_envs: B, environments of each worker.
        num_steps: T, steps of each environment between two gradients of its worker.
        total_steps: the budget of all workers together.
        resets: how the environments of each worker start again where their episodes end.
    """
    recorded = record_episode_statistics(clip_actions(environment))
    side_by_side = jax.vmap if num_workers > 1 else _alone
    in_world = {"environment": recorded, "resets": resets}
    start = partial(start_worlds, start=agent.start, num_envs=num_envs, **in_world)
    work = partial(_work, agent=agent, num_steps=num_steps, **in_world)
    size = num_workers * num_envs * num_steps

    def init(key: Key) -> AsynchronousState:
        key_agent, key_worlds = jax.random.split(key)
        shared = agent.init(key_agent)
        return AsynchronousState(
            agent=shared,
            worker_params=_copies(agent.params(shared), num_workers),
            pulled_at=jnp.zeros(num_workers, jnp.int32),
            applied=jnp.int32(0),
            worlds=side_by_side(start)(_keys(key_worlds, num_workers)),
            steps=jnp.int32(0),
        )

    def step(key: Key, state: AsynchronousState) -> tuple[AsynchronousState, Metrics]:
        keys, order = _keys_and_order(key, num_workers)
        work_done = side_by_side(work)(keys, state.worker_params, state.worlds)
        worlds, finished, gradients, learning = work_done
        state, applied = _apply_in_turn(agent, state, gradients, order)
        steps = state.steps + size
        metrics = {"steps": steps} | episode_metrics(finished) | _means(learning | applied)
        return state._replace(worlds=worlds, steps=steps), metrics

    algorithm = Algorithm(
        init=init,
        step=step,
        policy=lambda state: agent.policy(agent.params(state.agent)),
        environment=environment,
        total_steps=total_steps,
        steps_per_iteration=size,
        max_iterations=-(-total_steps // size),
        behavior=lambda state: exploring_policy(agent, agent.params(state.agent)),
    )
    return taking_any_key(algorithm)


def _work(
    key: Key,
    params: Params,
    worlds: Worlds,
    *,
    environment: Environment,
    agent: GradientAgent,
    num_steps: int,
    resets: Resets,
) -> tuple[Worlds, FinishedEpisodes, Params, Metrics]:
    """One worker's rollout and gradient, with its own parameters."""
    key_rollout, key_gradient = jax.random.split(key)

    def act(key: Key, carry: Carry, observation: Observation) -> Any:
        return agent.act(key, params, carry, observation)

    worlds, rollout, finished = collect(
        key_rollout, environment, act, agent.start, worlds, num_steps=num_steps, resets=resets
    )
    gradient, metrics = agent.gradient(key_gradient, params, rollout)
    return worlds, finished, gradient, metrics


def _apply_in_turn(
    agent: GradientAgent, state: AsynchronousState, gradients: Params, order: Int[Array, " W"]
) -> tuple[AsynchronousState, Metrics]:
    """Applies one worker's gradient after another's; each pulls what stands after its own.

    The metrics, [W], are in the order in which the gradients were applied.
    """

    def apply(shared: Any, worker: Array) -> Any:
        agent_state, applied = shared
        gradient = jax.tree.map(lambda x: x[worker], gradients)
        agent_state, metrics = agent.apply(agent_state, gradient)
        staleness = applied - state.pulled_at[worker]
        applied = applied + 1
        pulled = (agent.params(agent_state), applied)
        return (agent_state, applied), (pulled, staleness, metrics)

    (agent_state, applied), (pulled, staleness, metrics) = jax.lax.scan(
        apply, (state.agent, state.applied), order
    )
    place = jnp.argsort(order)
    worker_params, pulled_at = jax.tree.map(lambda x: x[place], pulled)
    state = state._replace(
        agent=agent_state, worker_params=worker_params, pulled_at=pulled_at, applied=applied
    )
    return state, metrics | {"staleness": staleness.astype(jnp.float32)}


def _means(metrics: Metrics) -> Metrics:
    """Those of all workers, [W], as one."""
    return jax.tree.map(lambda x: jnp.mean(x, axis=0), metrics)


def _alone(function: Callable[..., Any]) -> Callable[..., Any]:
    """What `vmap` does over one element, without a batch axis, which would round otherwise."""

    def mapped(*arguments: Any) -> Any:
        return jax.tree.map(lambda x: x[None], function(*jax.tree.map(lambda x: x[0], arguments)))

    return mapped


def _keys(key: Key, num_workers: int) -> Key:
    """A key each; a single worker has the key itself, as the on-policy loop would."""
    return key[None] if num_workers == 1 else jax.random.split(key, num_workers)


def _keys_and_order(key: Key, num_workers: int) -> tuple[Key, Int[Array, " W"]]:
    """The workers' keys of a tick, and the order in which their gradients are applied."""
    if num_workers == 1:
        return _keys(key, 1), jnp.zeros(1, jnp.int32)
    key_order, key_workers = jax.random.split(key)
    order = jax.random.permutation(key_order, num_workers).astype(jnp.int32)
    return _keys(key_workers, num_workers), order


def _copies(params: Params, count: int) -> Params:
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape)), params)

"""Exploration by noise on a policy's parameters (Plappert et al. 2018, arXiv:1706.01905)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from jaxrl.types import (
    AgentState,
    Box,
    Carry,
    Key,
    Metrics,
    Observation,
    Params,
    ReplayAgent,
    Replayed,
    Transition,
)

# The paper's: by this factor the scale changes at a time.
_ADAPTATION = 1.01


class PerturbedState(NamedTuple):
    """An agent's state and how far its parameters are perturbed.

    Attributes:
        agent: the wrapped agent's state.
        scale: float32 (), the deviation of each parameter's noise.
    """

    agent: AgentState
    scale: Float[Array, ""]


class PerturbedCarry(NamedTuple):
    """One environment's memory.

    Attributes:
        inner: the wrapped agent's.
        noise: standard normal, of the parameters' shapes; drawn at an episode's start.
    """

    inner: Carry
    noise: Params


def perturb_policy(
    agent: ReplayAgent,
    action_space: Box,
    *,
    params_of: Callable[[Any], Params],
    with_params: Callable[[Any, Params], Any],
    deviation: Any,
) -> ReplayAgent:
    """Lets an agent act with perturbed parameters, the same ones for a whole episode.

    How far an action moves for a given noise changes as the agent learns, so the scale adapts: at
    each update it grows by 1 % where fresh noise moves the batch's actions by less than wanted
    (root mean square over the batch and the actions' dimensions), and shrinks where it does by
    more. Layer normalisation makes all parameters about as sensitive.

    Args:
        agent: acts without noise of its own.
        action_space: of vectors, with finite bounds.
        params_of: (AgentState) -> the policy's Params.
        with_params: (AgentState, Params) -> AgentState with these for the policy's.
        deviation: the distance that is aimed at, in half the width of the bounds; may be traced.
    """
    shapes = jax.eval_shape(lambda key: params_of(agent.init(key)), jax.random.key(0))

    def perturbed(state: PerturbedState, noise: Params) -> AgentState:
        params = jax.tree.map(lambda p, n: p + state.scale * n, params_of(state.agent), noise)
        return with_params(state.agent, params)

    def start(key: Key) -> PerturbedCarry:
        key_inner, key_noise = jax.random.split(key)
        return PerturbedCarry(agent.start(key_inner), _standard_normal(key_noise, shapes))

    def act(
        key: Key, state: PerturbedState, carry: PerturbedCarry, observation: Observation
    ) -> tuple[PerturbedCarry, Array]:
        inner, action = agent.act(key, perturbed(state, carry.noise), carry.inner, observation)
        return carry._replace(inner=inner), action

    def observe(key: Key, state: PerturbedState, transitions: Transition) -> PerturbedState:
        return state._replace(agent=agent.observe(key, state.agent, transitions))

    def update(
        key: Key, state: PerturbedState, batch: Replayed
    ) -> tuple[PerturbedState, Array, Metrics]:
        key_update, key_noise = jax.random.split(key)
        noisy = perturbed(state, _standard_normal(key_noise, shapes))
        distance = _distance(agent, state.agent, noisy, batch.observation, action_space)
        agent_state, error, metrics = agent.update(key_update, state.agent, batch)
        factor = jnp.where(distance < deviation, _ADAPTATION, 1 / _ADAPTATION)
        metrics = metrics | {"parameter_noise": state.scale, "action_deviation": distance}
        return PerturbedState(agent_state, state.scale * factor), error, metrics

    return ReplayAgent(
        init=lambda key: PerturbedState(agent.init(key), jnp.float32(deviation)),
        start=start,
        act=act,
        observe=observe,
        update=update,
        policy=lambda state: agent.policy(state.agent),
    )


def _standard_normal(key: Key, shapes: Params) -> Params:
    zeros, unravel = ravel_pytree(jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes))
    # One flat draw compiles several times as fast as one for each array.
    return unravel(jax.random.normal(key, zeros.shape, zeros.dtype))


def _distance(
    agent: ReplayAgent, state: AgentState, other: AgentState, observation: Observation, space: Box
) -> Float[Array, ""]:
    """Between the actions of two policies: root mean square, in half the width of the bounds."""
    key = jax.random.key(0)  # A policy that does not explore draws nothing.

    def action_of(state: AgentState, observation: Observation) -> Array:
        return agent.policy(state).act(key, agent.start(key), observation)[1]

    over_batch = jax.vmap(action_of, (None, 0))
    difference = over_batch(state, observation) - over_batch(other, observation)
    low, high = (jnp.broadcast_to(x, difference.shape) for x in space.bounds())
    # Where the bounds are equal, noise cannot move an action: such dimensions do not count.
    free = high > low
    squares = jnp.square(difference / jnp.where(free, 0.5 * (high - low), 1.0))
    return jnp.sqrt(jnp.mean(squares, where=free))

"""Exploration by noise on a policy's parameters (Plappert et al. 2018, arXiv:1706.01905)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.types import (
    AgentState,
    Box,
    Carry,
    Key,
    Metrics,
    Observation,
    Params,
    Policy,
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

    def perturbed(state: PerturbedState, noise: Params) -> AgentState:
        params = jax.tree.map(lambda p, n: p + state.scale * n, params_of(state.agent), noise)
        return with_params(state.agent, params)

    shapes = jax.eval_shape(lambda key: params_of(agent.init(key)), jax.random.key(0))

    def draw(key: Key) -> Params:
        leaves, structure = jax.tree.flatten(shapes)
        keys = jax.random.split(key, len(leaves))
        noise = [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]
        return jax.tree.unflatten(structure, noise)

    def init(key: Key) -> PerturbedState:
        # The first scale moves actions by about as much as is wanted; it adapts from there.
        return PerturbedState(agent.init(key), jnp.asarray(deviation, jnp.float32))

    def start(key: Key) -> PerturbedCarry:
        key_inner, key_noise = jax.random.split(key)
        return PerturbedCarry(agent.start(key_inner), draw(key_noise))

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
        distance = moved(key_noise, state, batch.observation)
        agent_state, error, metrics = agent.update(key_update, state.agent, batch)
        factor = jnp.where(distance < deviation, _ADAPTATION, 1 / _ADAPTATION)
        metrics = metrics | {"parameter_noise": state.scale, "action_deviation": distance}
        return PerturbedState(agent_state, state.scale * factor), error, metrics

    def moved(key: Key, state: PerturbedState, observation: Observation) -> Float[Array, ""]:
        """How far noise moves actions: root mean square, in half the width of the bounds."""

        def action_of(agent_state: AgentState, observation: Observation) -> Array:
            return agent.policy(agent_state).act(key, agent.start(key), observation)[1]

        over_batch = jax.vmap(action_of, (None, 0))
        change = over_batch(perturbed(state, draw(key)), observation) - over_batch(
            state.agent, observation
        )
        half_width = 0.5 * (jnp.asarray(action_space.high) - jnp.asarray(action_space.low))
        return jnp.sqrt(jnp.mean(jnp.square(change / half_width)))

    def policy(state: PerturbedState) -> Policy:
        return agent.policy(state.agent)

    return ReplayAgent(
        init=init, start=start, act=act, observe=observe, update=update, policy=policy
    )

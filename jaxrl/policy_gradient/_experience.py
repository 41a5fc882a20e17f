"""From a rollout to what a gradient step reads: values, then sequences, in minibatches."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.networks import start_again
from jaxrl.ops.successors import successor_values
from jaxrl.policy_gradient._actor import Actor
from jaxrl.types import Observation, Params, Rollout


class EvaluatedRollout(NamedTuple):
    """A rollout in the eyes of the present parameters; leaves [T, B, ...].

    Attributes:
        log_probability: of the actions that were taken.
        value: of the observations.
        next_value: of the true successors, before any reset.
        memory: the network's, after each step; () without one.
    """

    log_probability: Float[Array, "T B"]
    value: Float[Array, "T B"]
    next_value: Float[Array, "T B"]
    memory: Any


class Experience(NamedTuple):
    """N sequences of L steps; leaves [L, N, ...].

    Without a memory every step is a sequence of its own (L = 1), so that minibatches can mix steps
    of all times; with one, a sequence is an environment's whole rollout or a part of it. The
    sequences of a minibatch are those of some indices along the second axis of every leaf.

    Attributes:
        observation: what the action was chosen from.
        action: as it was drawn.
        log_probability: of the action when it was drawn.
        ended: whether the episode ended with this step.
        value: of the observation, before learning.
        advantage: of the action.
        target: what the value should be.
        memory: leaves [1, N, ...], the network's, before each sequence's first step.
    """

    observation: Observation
    action: Array
    log_probability: Array
    ended: Array
    value: Array
    advantage: Array
    target: Array
    memory: Any


def evaluate_rollout(params: Params, rollout: Rollout, actor: Actor) -> EvaluatedRollout:
    """Evaluates a rollout's actions, observations and true successors.

    Args:
        params: the present parameters.
        rollout: leaves [T, B, ...].
        actor: who acted, perhaps with other parameters.

    Returns:
        Log-probabilities and values under `params`.
    """
    transitions, memory = rollout.transitions, rollout.carry.memory
    observation, action = transitions.observation, transitions.action
    ended = transitions.terminated | transitions.truncated
    unroll = actor.network.unroll
    num_envs = ended.shape[1]
    if not jax.tree.leaves(memory):
        # Observations and successors in one pass, which compiles once.
        both = jax.tree.map(_beside, observation, transitions.next_observation)
        _, (distribution, values) = unroll(params, memory, both, _beside(ended, ended))
        log_probability = distribution.log_probability(_beside(action, action))
        return EvaluatedRollout(
            log_probability=log_probability[:, :num_envs],
            value=values[:, :num_envs],
            next_value=values[:, num_envs:],
            memory=memory,
        )
    memories, (distribution, value) = unroll(params, memory, observation, ended)
    return EvaluatedRollout(
        log_probability=distribution.log_probability(action),
        value=value,
        next_value=_successors_values(params, rollout, actor, memories, value),
        memory=memories,
    )


def as_sequences(
    rollout: Rollout,
    evaluated: EvaluatedRollout,
    *,
    advantage: Float[Array, "T B"],
    target: Float[Array, "T B"],
    actor: Actor,
    length: int = 0,
) -> Experience:
    """Cuts a rollout into what minibatches are made of.

    Args:
        rollout: leaves [T, B, ...].
        evaluated: the same rollout.
        advantage: of the actions.
        target: what the values should be.
        actor: who acted.
        length: L, of an actor with memory; divides T. 0: T.

    Returns:
        Single steps, or sequences of `length` of an actor with memory, the earliest first.
    """
    transitions = rollout.transitions
    experience = Experience(
        observation=transitions.observation,
        action=transitions.action,
        log_probability=transitions.extras.log_probability,
        ended=transitions.terminated | transitions.truncated,
        value=evaluated.value,
        advantage=advantage,
        target=target,
        memory=jax.tree.map(lambda x: x[None], rollout.carry.memory),
    )
    if jax.tree.leaves(experience.memory):
        return _in_sequences(experience, evaluated.memory, actor, length)
    return jax.tree.map(lambda x: x.reshape(1, -1, *x.shape[2:]), experience)


def evaluate_steps(
    params: Params, batch: Experience, actor: Actor
) -> tuple[Any, Float[Array, "L N"], Float[Array, "L N"]]:
    """Distributions, log-probabilities of the actions taken, and values, under `params`."""
    memory = jax.tree.map(lambda x: x[0], batch.memory)
    _, (distribution, value) = actor.network.unroll(params, memory, batch.observation, batch.ended)
    log_probability = distribution.log_probability(batch.action)
    chex.assert_equal_shape([log_probability, value, batch.advantage])
    return distribution, log_probability, value


def _in_sequences(experience: Experience, memories: Any, actor: Actor, length: int) -> Experience:
    """Cuts B sequences of T steps into sequences of `length`, those of the earliest steps first.

    Args:
        experience: with leaves [T, B, ...].
        memories: leaves [T, B, ...], after each step.
        actor: whose network it is.
        length: L; 0: T.
    """
    num_steps, num_envs = experience.ended.shape
    if length in (0, num_steps):
        return experience
    # A step is the last of its sequence where the next one is the first of another.
    last = slice(length - 1, num_steps - 1, length)
    ended, left = jax.tree.map(
        lambda x: jax.lax.collapse(x[last], 0, 2), (experience.ended, memories)
    )
    later = start_again(ended, actor.network.start, left)

    def cut(x: Array) -> Array:
        pieces = x.reshape(-1, length, num_envs, *x.shape[2:])
        return jnp.moveaxis(pieces, 0, 1).reshape(length, -1, *x.shape[2:])

    memory = jax.tree.map(
        lambda x, y: jnp.concatenate((x, y[None]), axis=1), experience.memory, later
    )
    return jax.tree.map(cut, experience._replace(memory=()))._replace(memory=memory)


def _successors_values(
    params: Params, rollout: Rollout, actor: Actor, memories: Any, value: Array
) -> Array:
    """Values of the steps' true successors, each from the memory that its step left; [T, B]."""
    transitions = rollout.transitions
    ended = transitions.terminated | transitions.truncated

    def of_final(rows: slice) -> Array:
        memory, final, over = jax.tree.map(
            lambda x: jax.lax.collapse(x[rows], 0, 2),
            (memories, transitions.next_observation, ended),
        )
        final = jax.tree.map(lambda x: x[None], final)
        _, (_, next_value) = actor.network.unroll(params, memory, final, over[None])
        return next_value.reshape(-1, value.shape[1])

    return successor_values(
        value, transitions.terminated, transitions.truncated, value_of_final=of_final
    )


def _beside(x: Array, y: Array) -> Array:
    return jnp.concatenate((x, y), axis=1)

"""From a rollout to what a gradient step reads: values, advantages, targets, in minibatches."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrl.networks import start_again
from jaxrl.ops.returns import gae
from jaxrl.ops.successors import successor_values
from jaxrl.policy_gradient._actor import Actor
from jaxrl.policy_gradient._settings import OnPolicySettings
from jaxrl.types import Observation, Params, Rollout

Estimator: TypeAlias = Callable[..., tuple[Array, Array]]
"""(log_ratio, reward, value, next_value, terminated, truncated), each [T] -> (advantage, target).

`log_ratio` is that of the present policy to the one that acted."""


class Experience(NamedTuple):
    """N sequences of L steps; every leaf but `memory` is [L, N, ...].

    Without a memory every step is a sequence of its own (L = 1), so that minibatches can mix steps
    of all times; with one, a sequence is an environment's whole rollout or a part of it.

    Attributes:
        observation: what the action was chosen from.
        action: as it was drawn.
        log_probability: of the action when it was drawn.
        ended: whether the episode ended with this step.
        value: of the observation, before learning.
        advantage: of the action.
        target: what the value should be.
        memory: leaves [N, ...], the network's, before each sequence's first step.
    """

    observation: Observation
    action: Array
    log_probability: Array
    ended: Array
    value: Array
    advantage: Array
    target: Array
    memory: Any


def gae_estimator(config: OnPolicySettings) -> Estimator:
    """Generalised advantage estimates, and lambda-returns as value targets."""

    def estimate(
        log_ratio: Array,
        reward: Array,
        value: Array,
        next_value: Array,
        terminated: Array,
        truncated: Array,
    ) -> tuple[Array, Array]:
        del log_ratio
        advantage = gae(
            reward,
            value,
            next_value,
            terminated,
            truncated,
            discount=config.discount,
            gae_lambda=config.gae_lambda,
        )
        return advantage, advantage + value

    return estimate


def prepare(
    params: Params,
    rollout: Rollout,
    actor: Actor,
    estimator: Estimator,
    sequence_length: int = 0,
) -> Experience:
    """Looks at a rollout with the present parameters.

    Args:
        params: the present parameters.
        rollout: leaves [T, B, ...].
        actor: who acted, perhaps with other parameters.
        estimator: of advantages and value targets.
        sequence_length: L, of an actor with memory; divides T. 0: T.
    """
    transitions = rollout.transitions
    ended = transitions.terminated | transitions.truncated
    memories, log_probability, value, next_value = _evaluate(params, rollout, actor)
    advantage, target = jax.vmap(estimator, in_axes=1, out_axes=1)(
        log_probability - transitions.extras.log_probability,
        transitions.reward,
        value,
        next_value,
        transitions.terminated,
        transitions.truncated,
    )
    experience = Experience(
        observation=transitions.observation,
        action=transitions.action,
        log_probability=transitions.extras.log_probability,
        ended=ended,
        value=value,
        advantage=advantage,
        target=target,
        memory=rollout.carry.memory,
    )
    if jax.tree.leaves(experience.memory):
        return _in_sequences(experience, memories, actor, sequence_length)
    return jax.tree.map(lambda x: x.reshape(1, -1, *x.shape[2:]), experience)


def select(experience: Experience, index: Int[Array, " M"]) -> Experience:
    """The sequences of a minibatch."""
    chosen = jax.tree.map(lambda x: x[:, index], experience._replace(memory=()))
    return chosen._replace(memory=jax.tree.map(lambda x: x[index], experience.memory))


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
        lambda x: x[last].reshape(-1, *x.shape[2:]), (experience.ended, memories)
    )
    later = start_again(ended, actor.network.start, left)

    def cut(x: Array) -> Array:
        pieces = x.reshape(-1, length, num_envs, *x.shape[2:])
        return jnp.moveaxis(pieces, 0, 1).reshape(length, -1, *x.shape[2:])

    memory = jax.tree.map(lambda x, y: jnp.concatenate((x, y)), experience.memory, later)
    return jax.tree.map(cut, experience._replace(memory=()))._replace(memory=memory)


def _evaluate(params: Params, rollout: Rollout, actor: Actor) -> tuple[Any, Array, Array, Array]:
    """Memories after the steps, log-probabilities, values, values of true successors; [T, B]."""
    transitions, memory = rollout.transitions, rollout.carry.memory
    observation, action = transitions.observation, transitions.action
    ended = transitions.terminated | transitions.truncated
    unroll = actor.network.unroll
    num_envs = ended.shape[1]
    if not jax.tree.leaves(memory):
        # Both in one pass, which compiles once.
        both = jax.tree.map(_beside, observation, transitions.next_observation)
        _, (distribution, values) = unroll(params, memory, both, _beside(ended, ended))
        log_probability = distribution.log_probability(_beside(action, action))
        return memory, log_probability[:, :num_envs], values[:, :num_envs], values[:, num_envs:]
    memories, (distribution, value) = unroll(params, memory, observation, ended)
    next_value = _successors_values(params, rollout, actor, memories, value)
    return memories, distribution.log_probability(action), value, next_value


def _successors_values(
    params: Params, rollout: Rollout, actor: Actor, memories: Any, value: Array
) -> Array:
    """Values of the steps' true successors, each from the memory that its step left; [T, B]."""
    transitions = rollout.transitions
    ended = transitions.terminated | transitions.truncated

    def of_final(rows: slice) -> Array:
        memory, final, over = jax.tree.map(
            lambda x: x[rows].reshape(-1, *x.shape[2:]),
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

"""A policy-gradient agent around its update."""

from collections.abc import Callable

import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxrl.learning.optimizers import LearnerState
from jaxrl.policy_gradient._actor import Actor, PolicyExtras
from jaxrl.types import Agent, Carry, Key, Metrics, Observation, Policy, Rollout


def init_learner(key: Key, actor: Actor, optimizer: optax.GradientTransformation) -> LearnerState:
    """Fresh parameters; the key is consumed."""
    params = actor.init(key)
    return LearnerState(params=params, optimizer=optimizer.init(params), updates=jnp.int32(0))


def learner_agent(
    actor: Actor,
    optimizer: optax.GradientTransformation,
    update: Callable[[Key, LearnerState, Rollout], tuple[LearnerState, Metrics]],
) -> Agent:
    """The agent that acts with the parameters that `update` learns."""

    def init(key: Key) -> LearnerState:
        return init_learner(key, actor, optimizer)

    def act(
        key: Key, state: LearnerState, carry: Carry, observation: Observation
    ) -> tuple[Carry, Array, PolicyExtras]:
        return actor.act(key, state.params, carry, observation)

    def policy(state: LearnerState) -> Policy:
        return actor.policy(state.params)

    return Agent(init=init, start=actor.start, act=act, update=update, policy=policy)

"""Policies that are paid for their entropy: what SAC does, whatever the actions."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.actor_critic._learner import Critics, Rule
from jaxrl.exploration import Exploration
from jaxrl.networks.applying import apply_to_batch, init_network, policy_of
from jaxrl.ops.action_values import soft_value, temperature_loss
from jaxrl.types import (
    Action,
    Carry,
    Key,
    Metrics,
    Network,
    Observation,
    ObservationSpace,
    Params,
)

Worth: TypeAlias = tuple[Float[Array, " M"], Float[Array, " M"]]


class SoftActor(NamedTuple):
    """A policy, and what its entropy is worth.

    One optimiser serves both: Adam and RMSprop treat every number alone.

    Attributes:
        policy: of the network.
        log_temperature: float32 (), log alpha.
    """

    policy: Params
    log_temperature: Float[Array, ""]


class SoftActions(NamedTuple):
    """What depends on the kind of actions.

    Attributes:
        policy: maps one observation to a distribution.
        exploration: draws actions from it.
        init_critic: see `Rule`.
        predict: see `Rule`.
        evaluate: (key, distribution [M], the critics' Params, observation [M]) ->
            (E[min Q], E[log pi]), both [M]: of one drawn action, or of all.
        log_probability: (key, distribution [M]) -> E[log pi] [M]: of one drawn action, or of all.
        target_entropy: (observation [M]) -> in nats, of actions as the environment takes them: one
            for all, or [M].
    """

    policy: Network
    exploration: Exploration
    init_critic: Callable[[Key], Params]
    predict: Callable[[Params, Observation, Action], Float[Array, " M"]]
    evaluate: Callable[[Key, Any, Critics, Observation], Worth]
    log_probability: Callable[[Key, Any], Float[Array, " M"]]
    target_entropy: Callable[[Observation], Float[Array, " *#M"] | float]


def soft_rule(
    actions: SoftActions,
    observation_space: ObservationSpace,
    *,
    initial_temperature: Any,
    learn_temperature: bool,
    num_critics: int,
) -> Rule:
    """Builds the rule: a state is worth V(s) = E[min_i Q_i(s, a)] - alpha E[log pi(a | s)].

    The actor goes up V, with the critics that learn; a successor is worth V by the targets. Where
    it is several steps away, the entropies of the steps between are part of the return as their
    rewards are: those of the present policy there, which is what the critics are to value.

    Args:
        actions: what depends on their kind.
        observation_space: of the observations.
        initial_temperature: alpha at the start; may be traced.
        learn_temperature: whether alpha seeks the target entropy.
        num_critics: of which the least counts.
    """

    def init_actor(key: Key) -> SoftActor:
        params = init_network(actions.policy, key, observation_space)
        return SoftActor(params, jnp.log(jnp.float32(initial_temperature)))

    def actor_loss(
        key: Key, actor: SoftActor, critics: Critics, observation: Observation
    ) -> tuple[Array, Metrics]:
        return _loss(
            actor.log_temperature,
            _worth(actions, key, actor, critics, observation),
            actions.target_entropy(observation) if learn_temperature else None,
        )

    def act(
        key: Key, actor: SoftActor, carry: Carry, observation: Observation
    ) -> tuple[Carry, Array]:
        distribution = actions.policy.apply(actor.policy, observation)
        return actions.exploration.sample(key, carry, distribution)

    return Rule(
        init_actor=init_actor,
        init_critic=actions.init_critic,
        predict=actions.predict,
        next_value=partial(_next_value, actions),
        entropy_bonus=partial(_entropy_bonus, actions),
        actor_loss=actor_loss,
        actor_metrics=("entropy", "temperature"),
        start=actions.exploration.start,
        act=act,
        policy=lambda actor: policy_of(actions.policy, actor.policy, lambda x: x.mode()),
        num_critics=num_critics,
        target_actor=False,
    )


def _next_value(
    actions: SoftActions, key: Key, actor: SoftActor, critics: Critics, observation: Observation
) -> Float[Array, " M"]:
    """What states are worth."""
    worth = _worth(actions, key, actor, critics, observation)
    return soft_value(*worth, temperature=jnp.exp(actor.log_temperature))


def _entropy_bonus(
    actions: SoftActions, key: Key, actor: SoftActor, observation: Observation
) -> Float[Array, " M"]:
    """What the policy's entropy in some states is worth."""
    distribution = apply_to_batch(actions.policy, actor.policy, observation)
    return -jnp.exp(actor.log_temperature) * actions.log_probability(key, distribution)


def _worth(
    actions: SoftActions, key: Key, actor: SoftActor, critics: Critics, observation: Observation
) -> Worth:
    """The actions' values and log-probabilities, expected under the policy."""
    distribution = apply_to_batch(actions.policy, actor.policy, observation)
    return actions.evaluate(key, distribution, critics, observation)


def _loss(
    log_temperature: Array,
    worth: Worth,
    target_entropy: Float[Array, " *#M"] | float | None,
) -> tuple[Array, Metrics]:
    """What the policy goes down, and, where there is a target entropy, the temperature with it."""
    value, log_probability = worth
    temperature = jax.lax.stop_gradient(jnp.exp(log_temperature))
    loss = -jnp.mean(soft_value(value, log_probability, temperature=temperature))
    if target_entropy is not None:
        loss += temperature_loss(
            log_temperature,
            jax.lax.stop_gradient(log_probability),
            target_entropy=target_entropy,
        )
    return loss, {"entropy": -jnp.mean(log_probability), "temperature": temperature}

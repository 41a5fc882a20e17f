"""Actor-critics that learn from a replay: what DDPG, TD3 and SAC share.

An update is a step of the critics towards their targets and, after every so many, a step of the
actor up the critics and of the target networks after both. The algorithms differ in what a
successor is worth, and in what the actor goes up.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxrl.actor_critic._settings import ActorCriticSettings
from jaxrl.learning.optimizers import (
    as_metric,
    gradient_norm,
    gradient_step,
    learning_rate_at,
    make_optimizer,
    scheduled,
)
from jaxrl.learning.regression import regress
from jaxrl.loops.replays import num_updates
from jaxrl.ops.action_values import q_target
from jaxrl.ops.target_updates import soft_update
from jaxrl.ops.weighting import weighted
from jaxrl.types import (
    Action,
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

# Parameters of several critics.
Critics: TypeAlias = tuple[Params, ...]


class Rule(NamedTuple):
    """What makes one of these algorithms what it is.

    Attributes:
        init_actor: (key) -> Params.
        init_critic: (key) -> Params, of one of N.
        predict: (critic Params, observation [M], action [M]) -> Q [M].
        next_value: (key, actor Params, the N critics' Params, observation [M]) -> V [M]; the
            Params are those of the targets, where there are any.
        entropy_bonus: (key, actor Params, observation [M]) -> [M], what a step is worth beside its
            reward; None: nothing.
        actor_loss: (key, actor Params, the N critics' Params, observation [M]) -> (loss, Metrics).
        start: (key) -> Carry, as in `ReplayAgent`.
        act: (key, actor Params, Carry, observation) -> (Carry, action); explores.
        policy: (actor Params) -> Policy, which does not explore.
        actor_metrics: the names of the metrics that come with the actor's loss.
        num_critics: N.
        target_actor: whether there is a target network of the actor too.
    """

    init_actor: Callable[[Key], Params]
    init_critic: Callable[[Key], Params]
    predict: Callable[[Params, Observation, Action], Float[Array, " M"]]
    next_value: Callable[[Key, Params, Critics, Observation], Float[Array, " M"]]
    entropy_bonus: Callable[[Key, Params, Observation], Float[Array, " M"]] | None
    actor_loss: Callable[[Key, Params, Critics, Observation], tuple[Array, Metrics]]
    start: Callable[[Key], Carry]
    act: Callable[[Key, Params, Carry, Observation], tuple[Carry, Action]]
    policy: Callable[[Params], Policy]
    actor_metrics: tuple[str, ...]
    num_critics: int
    target_actor: bool


class Networks(NamedTuple):
    """Parameters of an actor and its critics.

    Attributes:
        actor: () among the targets of an algorithm whose actor has none.
        critics: N of them.
    """

    actor: Params
    critics: Critics


class ActorCriticState(NamedTuple):
    """What an actor-critic with a replay learns.

    Attributes:
        networks: that learn.
        targets: that follow.
        actor_optimizer: optax's state.
        critic_optimizer: optax's state, of all critics together.
        updates: int32 (), updates of the critics made.
        actor_metrics: of the actor's last step.
    """

    networks: Networks
    targets: Networks
    actor_optimizer: optax.OptState
    critic_optimizer: optax.OptState
    updates: Int[Array, ""]
    actor_metrics: Metrics


def actor_critic_agent(rule: Rule, config: ActorCriticSettings) -> ReplayAgent:
    """Builds the learning rule from what is special to the algorithm."""
    critic_optimizer = make_optimizer(config)
    actor_optimizer = make_optimizer(config, clip=False)

    def init(key: Key) -> ActorCriticState:
        return _init(key, rule, actor_optimizer, critic_optimizer)

    def act(
        key: Key, state: ActorCriticState, carry: Carry, observation: Observation
    ) -> tuple[Carry, Array]:
        return rule.act(key, state.networks.actor, carry, observation)

    def observe(key: Key, state: ActorCriticState, transitions: Transition) -> ActorCriticState:
        del key, transitions
        return state

    def update(
        key: Key, state: ActorCriticState, batch: Replayed
    ) -> tuple[ActorCriticState, Array, Metrics]:
        key_target, key_actor = jax.random.split(key)
        state, error, metrics = _improve_critics(
            key_target, state, batch, rule=rule, config=config, optimizer=critic_optimizer
        )

        def improve_actor(state: ActorCriticState) -> ActorCriticState:
            state = _improve_actor(
                key_actor,
                state,
                batch.observation,
                rule=rule,
                config=config,
                optimizer=actor_optimizer,
            )
            return _follow(state, config.tau, rule)

        if config.policy_delay == 1:
            state = improve_actor(state)
        else:
            due = state.updates % config.policy_delay == 0
            state = jax.lax.cond(due, improve_actor, lambda state: state, state)
        return state, error, metrics | state.actor_metrics

    return ReplayAgent(
        init=init,
        start=rule.start,
        act=act,
        observe=observe,
        update=update,
        policy=lambda state: rule.policy(state.networks.actor),
    )


def _init(
    key: Key,
    rule: Rule,
    actor_optimizer: optax.GradientTransformation,
    critic_optimizer: optax.GradientTransformation,
) -> ActorCriticState:
    key_actor, key_critics = jax.random.split(key)
    actor = rule.init_actor(key_actor)
    critics = tuple(map(rule.init_critic, jax.random.split(key_critics, rule.num_critics)))
    return ActorCriticState(
        networks=Networks(actor, critics),
        targets=Networks(actor if rule.target_actor else (), critics),
        actor_optimizer=actor_optimizer.init(actor),
        critic_optimizer=critic_optimizer.init(critics),
        updates=jnp.int32(0),
        actor_metrics={name: jnp.float32(0) for name in ("actor_loss", *rule.actor_metrics)},
    )


def _improve_critics(
    key: Key,
    state: ActorCriticState,
    batch: Replayed,
    *,
    rule: Rule,
    config: ActorCriticSettings,
    optimizer: optax.GradientTransformation,
) -> tuple[ActorCriticState, Array, Metrics]:
    """A gradient step of every critic towards the same targets."""
    actor = state.targets.actor if rule.target_actor else state.networks.actor
    has_bonus = rule.entropy_bonus is not None and batch.between is not None
    key_value, key_bonus = jax.random.split(key) if has_bonus else (key, key)
    next_value = rule.next_value(key_value, actor, state.targets.critics, batch.next_observation)
    reward = batch.reward + _bonuses(key_bonus, actor, batch, rule)
    target = q_target(reward, batch.discount, next_value)

    def predict(critics: Critics) -> list[Float[Array, " M"]]:
        return [rule.predict(params, batch.observation, batch.action) for params in critics]

    gradient, error, metrics = regress(predict, state.networks.critics, target, weight=batch.weight)
    learning_rate = learning_rate_at(
        config, state.updates, num_updates(config), updates_per_iteration=config.num_updates
    )
    critics, optimizer_state = gradient_step(
        optimizer, state.networks.critics, state.critic_optimizer, gradient, learning_rate
    )
    metrics["gradient_norm"] = gradient_norm(gradient)
    metrics["learning_rate"] = as_metric(learning_rate)
    state = state._replace(
        networks=state.networks._replace(critics=critics),
        critic_optimizer=optimizer_state,
        updates=state.updates + 1,
    )
    return state, error, metrics


def _bonuses(key: Key, actor: Params, batch: Replayed, rule: Rule) -> Float[Array, " M"] | float:
    """The discounted bonuses of the steps between each step and its successor."""
    if rule.entropy_bonus is None or batch.between is None:
        return 0.0
    discount = batch.between.discount
    observation = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch.between.observation)
    bonus = rule.entropy_bonus(key, actor, observation)
    return jnp.sum(weighted(discount, bonus.reshape(discount.shape)), axis=1)


def _improve_actor(
    key: Key,
    state: ActorCriticState,
    observation: Observation,
    *,
    rule: Rule,
    config: ActorCriticSettings,
    optimizer: optax.GradientTransformation,
) -> ActorCriticState:
    """A gradient step of the actor, by what the critics say."""

    def loss_of(actor: Params) -> tuple[Array, Metrics]:
        return rule.actor_loss(key, actor, state.networks.critics, observation)

    actor = state.networks.actor
    (loss, metrics), gradient = jax.value_and_grad(loss_of, has_aux=True)(actor)
    start = config.actor_learning_rate
    start = config.learning_rate if start is None else start
    learning_rate = scheduled(
        start,
        config.learning_rate_schedule,
        state.updates - 1,
        num_updates(config),
        updates_per_iteration=config.num_updates,
    )
    actor, optimizer_state = gradient_step(
        optimizer, actor, state.actor_optimizer, gradient, learning_rate
    )
    return state._replace(
        networks=state.networks._replace(actor=actor),
        actor_optimizer=optimizer_state,
        actor_metrics={"actor_loss": loss} | metrics,
    )


def _follow(state: ActorCriticState, tau: Any, rule: Rule) -> ActorCriticState:
    """The targets' step."""
    learnt = state.networks if rule.target_actor else state.networks._replace(actor=())
    return state._replace(targets=soft_update(learnt, state.targets, tau=tau))

"""Steps of actor-critics that learn from a replay: what DDPG, TD3 and SAC do alike.

An update is a step of the critics towards a target and, after every so many, a step of the actor
and of the target networks. What the target is and what the actor goes down stands in the file of
each algorithm.
"""

import functools
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
from jaxrl.loops.replays import num_updates
from jaxrl.networks import apply_to_batch, init_network
from jaxrl.ops.target_updates import soft_update
from jaxrl.ops.value_losses import squared_loss
from jaxrl.types import Action, Key, Metrics, Network, Observation, Params, Replayed

# Parameters of several critics.
Critics: TypeAlias = tuple[Params, ...]


class Networks(NamedTuple):
    """Parameters of an actor and its critics.

    Attributes:
        actor: None among the targets of an algorithm whose actor has none.
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


def init_critics(key: Key, critic: Network, num_critics: int, *spaces: Any) -> Critics:
    """Fresh parameters of several critics, each of its own; the key is consumed.

    Args:
        key: consumed.
        critic: a critic's network.
        num_critics: N.
        spaces: of the critic's inputs.
    """
    return tuple(init_network(critic, k, *spaces) for k in jax.random.split(key, num_critics))


def init_state(
    networks: Networks,
    config: ActorCriticSettings,
    *,
    target_actor: bool,
    actor_metrics: tuple[str, ...] = (),
) -> ActorCriticState:
    """The state before the first update, whose targets are the networks themselves.

    Args:
        networks: fresh parameters.
        config: the settings.
        target_actor: whether the actor has a target network too.
        actor_metrics: the names of the metrics that come with the actor's loss.
    """
    return ActorCriticState(
        networks=networks,
        targets=networks if target_actor else networks._replace(actor=None),
        actor_optimizer=_actor_optimizer(config).init(networks.actor),
        critic_optimizer=_critic_optimizer(config).init(networks.critics),
        updates=jnp.int32(0),
        actor_metrics={name: jnp.float32(0) for name in ("actor_loss", *actor_metrics)},
    )


def _actor_optimizer(config: ActorCriticSettings) -> optax.GradientTransformation:
    return make_optimizer(config, clip=False)


def _critic_optimizer(config: ActorCriticSettings) -> optax.GradientTransformation:
    return make_optimizer(config)


def least_value(
    critic: Network, critics: Critics, observation: Observation, *action: Action
) -> Float[Array, "M ..."]:
    """min_i Q_i(s, a): what several critics agree that an action is worth at least.

    The maximum over actions of a noisy value is too high; the least of two makes up for it.

    Args:
        critic: the critics' network.
        critics: their parameters.
        observation: s, leaves [M, ...].
        action: a, [M, D], of continuous actions; none of discrete ones, whose critics value all.

    Returns:
        The values, [M], or of discrete actions [M, K].

    Source: Fujimoto et al. (2018, arXiv:1802.09477), equation 10.
    """
    values = (apply_to_batch(critic, params, observation, *action) for params in critics)
    return functools.reduce(jnp.minimum, values)


def critic_step(
    state: ActorCriticState,
    critic: Network,
    batch: Replayed,
    target: Float[Array, " M"],
    config: ActorCriticSettings,
) -> tuple[ActorCriticState, Float[Array, " M"], Metrics]:
    """A gradient step of every critic i towards the same target y.

        loss = sum_i mean[w (Q_i(s, a) - y)^2 / 2]

    The weights w are 1, or those of a prioritised replay.

    Args:
        state: before the step.
        critic: the critics' network: maps an observation and an action to Q(s, a).
        batch: M steps of the past.
        target: y; no gradient flows through it.
        config: the settings.

    Returns:
        The state, the mean absolute error of each of the M steps, and metrics.
    """

    def loss_of(critics: Critics) -> tuple[Float[Array, ""], list[Float[Array, " M"]]]:
        values = [apply_to_batch(critic, c, batch.observation, batch.action) for c in critics]
        losses = (squared_loss(value, target, weight=batch.weight) for value in values)
        return sum(losses, jnp.float32(0)), values

    (loss, values), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.networks.critics)
    learning_rate = learning_rate_at(
        config, state.updates, num_updates(config), updates_per_iteration=config.num_updates
    )
    critics, optimizer_state = gradient_step(
        _critic_optimizer(config),
        state.networks.critics,
        state.critic_optimizer,
        gradient,
        learning_rate,
    )
    state = state._replace(
        networks=state.networks._replace(critics=critics),
        critic_optimizer=optimizer_state,
        updates=state.updates + 1,
    )
    # Not stacked: taking a stack apart again costs the gradient some operations.
    error = sum((jnp.abs(value - target) for value in values), jnp.float32(0)) / len(values)
    metrics = {
        "value_loss": loss,
        "q_value": sum(map(jnp.mean, values), jnp.float32(0)) / len(values),
        "gradient_norm": gradient_norm(gradient),
        "learning_rate": as_metric(learning_rate),
    }
    return state, error, metrics


def delayed_actor_step(
    state: ActorCriticState,
    loss: Callable[[Params], tuple[Float[Array, ""], Metrics]],
    config: ActorCriticSettings,
) -> ActorCriticState:
    """After every `policy_delay`-th step of the critics, one of the actor and of the targets.

    Args:
        state: after the critics' step.
        loss: (the actor's parameters) -> (what it goes down, metrics).
        config: the settings.

    Returns:
        The state; the same in between.
    """

    def step(state: ActorCriticState) -> ActorCriticState:
        return _follow(_actor_step(state, loss, config), config)

    if config.policy_delay == 1:
        return step(state)
    due = state.updates % config.policy_delay == 0
    return jax.lax.cond(due, step, lambda state: state, state)


def _actor_step(
    state: ActorCriticState,
    loss: Callable[[Params], tuple[Float[Array, ""], Metrics]],
    config: ActorCriticSettings,
) -> ActorCriticState:
    """A gradient step of the actor, whose gradient is never clipped."""
    actor = state.networks.actor
    (value, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(actor)
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
        _actor_optimizer(config), actor, state.actor_optimizer, gradient, learning_rate
    )
    return state._replace(
        networks=state.networks._replace(actor=actor),
        actor_optimizer=optimizer_state,
        actor_metrics={"actor_loss": value} | metrics,
    )


def _follow(state: ActorCriticState, config: ActorCriticSettings) -> ActorCriticState:
    """A step of the targets: (1 - tau) target + tau network, of those that have a target."""
    has_actor = state.targets.actor is not None
    learnt = state.networks if has_actor else state.networks._replace(actor=None)
    return state._replace(targets=soft_update(learnt, state.targets, tau=config.tau))

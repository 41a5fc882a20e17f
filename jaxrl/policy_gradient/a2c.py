"""Advantage actor-critic, the synchronous form of A3C (Mnih et al. 2016, arXiv:1602.01783).

One gradient of the whole rollout per update. With `gae_lambda` 1 the advantages are the paper's:
returns of up to `num_steps` rewards, bootstrapped with the value, less the value.
"""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxrl.learning.optimizers import (
    OPTIMIZERS,
    LearnerState,
    Optimizer,
    Schedule,
    gradient_norm,
    gradient_step,
    scheduled,
)
from jaxrl.ops.policy_losses import score_function_loss
from jaxrl.ops.returns import gae
from jaxrl.ops.statistics import explained_variance, standardize
from jaxrl.ops.value_losses import squared_loss
from jaxrl.policy_gradient._actor import Actor, ActorCriticNetwork
from jaxrl.policy_gradient._algorithm import on_policy_algorithm, prepare_task
from jaxrl.policy_gradient._experience import (
    Experience,
    as_sequences,
    evaluate_rollout,
    evaluate_steps,
)
from jaxrl.policy_gradient._settings import (
    OnPolicySettings,
    PolicyGradientSettings,
    SharedNetworkSettings,
)
from jaxrl.settings import number, settings, static
from jaxrl.sharding import over_devices
from jaxrl.types import Algorithm, Environment, Key, Metrics, Params, Rollout


@settings
class AdvantageActorCriticSettings(SharedNetworkSettings, PolicyGradientSettings):
    """Settings that A2C, A3C and IMPALA share; the defaults are those of Stable-Baselines3's A2C.

    Mnih et al. 2016 have as many actors and steps, and the same optimiser, discount and decay, but
    draw learning rates at random, anneal them to zero, and weigh the entropy by 0.01.
    """

    num_envs: int = static(16, minimum=1)
    """Environments stepped side by side."""
    num_steps: int = static(5, minimum=1)
    """Steps of each environment between two updates."""
    gae_lambda: float = number(1.0, minimum=0, maximum=1)
    """Trades bias (0) for variance (1) in the advantage; 1: returns of up to num_steps rewards."""
    learning_rate: float = number(7e-4, minimum=0, open_minimum=True)
    """The optimiser's step size at the start."""
    learning_rate_schedule: Schedule = static("constant", choices=("constant", "linear"))
    """constant, linear (to zero over the run), or an optax schedule (a factor per iteration)."""
    optimizer: Optimizer = static("rmsprop", choices=OPTIMIZERS)
    """adam, radam (Liu et al. 2020), rmsprop with decay .99 (Mnih et al. 2016), or one of optax's
    that leaves the step size to the learning rate: optax.scale_by_lion(), or the function
    optax.lion."""
    value_coefficient: float = number(0.5, minimum=0)
    """Weight of the value loss."""
    entropy_coefficient: float = number(0.0, minimum=0)
    """Weight of the entropy bonus."""
    normalize_advantages: bool = static(False)
    """Standardise the advantages of each gradient's batch; a single one stays as it is."""


@settings
class A2CConfig(AdvantageActorCriticSettings, OnPolicySettings):
    """Settings of A2C."""


def _loss(
    params: Params, batch: Experience, *, actor: Actor, config: AdvantageActorCriticSettings
) -> tuple[Float[Array, ""], Metrics]:
    """The score function weighted by advantages, the value loss and the entropy bonus.

    policy loss + value_coefficient * value loss - entropy_coefficient * entropy
    """
    distribution, log_probability, value = evaluate_steps(params, batch, actor)
    policy_loss = score_function_loss(log_probability, batch.advantage)
    value_loss = squared_loss(value, batch.target)
    entropy = jnp.mean(distribution.entropy())
    loss = policy_loss + config.value_coefficient * value_loss
    loss = loss - config.entropy_coefficient * entropy
    return loss, {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}


def advantage_actor_critic_gradient(
    params: Params, batch: Experience, *, actor: Actor, config: AdvantageActorCriticSettings
) -> tuple[Params, Metrics]:
    """The gradient of the loss of steps whose advantages and value targets are known.

    Args:
        params: of the network.
        batch: all steps of a rollout.
        actor: whose network it is.
        config: the settings.

    Returns:
        The gradient, and metrics.
    """
    if config.normalize_advantages:
        batch = batch._replace(advantage=standardize(batch.advantage))
    batch = over_devices(batch, axis=1)
    gradient, metrics = jax.grad(_loss, has_aux=True)(params, batch, actor=actor, config=config)
    metrics["gradient_norm"] = gradient_norm(gradient)
    metrics["explained_variance"] = explained_variance(batch.value, batch.target)
    return gradient, metrics


def a2c_gradient(
    params: Params, rollout: Rollout, *, actor: Actor, config: AdvantageActorCriticSettings
) -> tuple[Params, Metrics]:
    """The gradient of the loss of a rollout, whose advantages are GAE's.

    Args:
        params: of the network.
        rollout: leaves [T, B, ...].
        actor: who acted.
        config: the settings.

    Returns:
        The gradient, and metrics.
    """
    steps, evaluated = rollout.transitions, evaluate_rollout(params, rollout, actor)
    estimate = partial(gae, discount=config.discount, gae_lambda=config.gae_lambda)
    advantage = jax.vmap(estimate, in_axes=1, out_axes=1)(
        steps.reward, evaluated.value, evaluated.next_value, steps.terminated, steps.truncated
    )
    batch = as_sequences(
        rollout,
        evaluated,
        advantage=advantage,
        target=advantage + evaluated.value,
        actor=actor,
        length=config.sequence_length,
    )
    return advantage_actor_critic_gradient(params, batch, actor=actor, config=config)


def apply_gradient(
    state: LearnerState,
    gradient: Params,
    *,
    optimizer: optax.GradientTransformation,
    config: AdvantageActorCriticSettings,
    num_workers: int = 1,
) -> tuple[LearnerState, Metrics]:
    """Takes one step down a gradient, at the learning rate of the schedule.

    Args:
        state: the learner's.
        gradient: of its parameters, or of older ones.
        optimizer: of the settings.
        config: the settings.
        num_workers: whose gradients are each applied in an iteration.

    Returns:
        The new state, and metrics.
    """
    learning_rate = scheduled(
        config.learning_rate,
        config.learning_rate_schedule,
        state.updates,
        config.num_updates,
        updates_per_iteration=num_workers,
    )
    params, optimizer_state = gradient_step(
        optimizer, state.params, state.optimizer, gradient, learning_rate
    )
    state = LearnerState(params, optimizer_state, state.updates + 1)
    return state, {"learning_rate": jnp.float32(learning_rate)}


def a2c(
    env: Environment, config: A2CConfig, *, network: ActorCriticNetwork | None = None
) -> Algorithm:
    """Builds A2C for an environment.

    Args:
        env: with Discrete, MultiDiscrete or Box actions.
        config: the settings; the floats among them may be traced.
        network: maps one observation to (distribution, value), with or without memory; None: the
            default one of `networks`.

    Returns:
        The algorithm, to be trained.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.

    Example:
        >>> import jaxrl
        >>> env = jaxrl.make_env("CartPole-v1")
        >>> config = jaxrl.A2CConfig(num_envs=16, num_steps=5, gae_lambda=0.95)
        >>> algorithm = jaxrl.a2c(env, config)
        >>> algorithm.steps_per_iteration
        80
    """
    env, actor, optimizer = prepare_task(env, config, A2CConfig, network=network)

    def update(key: Key, state: LearnerState, rollout: Rollout) -> tuple[LearnerState, Metrics]:
        del key
        gradient, metrics = a2c_gradient(state.params, rollout, actor=actor, config=config)
        state, applied = apply_gradient(state, gradient, optimizer=optimizer, config=config)
        return state, metrics | applied

    return on_policy_algorithm(env, config, actor, optimizer, update)

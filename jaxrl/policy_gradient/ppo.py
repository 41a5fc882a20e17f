"""Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347).

The details follow "The 37 Implementation Details of Proximal Policy Optimization" (Huang et al.,
ICLR blog track 2022), except where a time limit cuts an episode off: there the value of the final
observation is bootstrapped, which their code does not do.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxrl.learning.minibatches import over_minibatches
from jaxrl.learning.optimizers import (
    LearnerState,
    Schedule,
    gradient_norm,
    gradient_step,
    scheduled,
    takes_schedule,
)
from jaxrl.ops.policy_losses import clipped_surrogate_loss
from jaxrl.ops.returns import gae
from jaxrl.ops.statistics import approximate_kl, clip_fraction, explained_variance, standardize
from jaxrl.ops.value_losses import clipped_value_loss
from jaxrl.policy_gradient._actor import Actor, ActorCriticNetwork
from jaxrl.policy_gradient._algorithm import on_policy_algorithm, prepare_task
from jaxrl.policy_gradient._experience import (
    Experience,
    as_sequences,
    evaluate_rollout,
    evaluate_steps,
)
from jaxrl.policy_gradient._settings import OnPolicySettings, SharedNetworkSettings
from jaxrl.settings import Need, number, settings, static
from jaxrl.types import Algorithm, Environment, Key, Metrics, Params, Rollout

# In the first step after a rollout, the policy is the one that acted and values are what they were.
_SEVERAL_STEPS = Need(
    "more than one gradient step per rollout",
    lambda config, _: config.num_epochs * config.num_minibatches > 1,
    fields=("num_epochs", "num_minibatches"),
)


@settings
class PPOConfig(SharedNetworkSettings, OnPolicySettings):
    """Settings of PPO; the defaults are those of CleanRL's `ppo.py`, but for `value_clip_epsilon`.

    CleanRL clips the value's change by the surrogate's 0.2; here that is off.
    """

    num_epochs: int = static(4, minimum=1)
    """Passes over each rollout."""
    num_minibatches: int = static(4, minimum=1)
    """Gradient steps per pass; must divide num_envs * num_steps, or the sequences of a memory."""
    clip_epsilon: float = number(0.2, minimum=0, open_minimum=True, needs=_SEVERAL_STEPS)
    """Width of the surrogate's clip range at the start."""
    clip_schedule: Schedule = static(
        "constant", choices=("constant", "linear"), takes=takes_schedule, needs=_SEVERAL_STEPS
    )
    """constant, linear (to zero over the run), or an optax schedule (a factor per iteration)."""
    value_clip_epsilon: float | None = number(
        None, minimum=0, open_minimum=True, optional=True, needs=_SEVERAL_STEPS
    )
    """Clips the value's change as well; None (off) is no worse (Andrychowicz et al. 2021)."""
    value_coefficient: float = number(0.5, minimum=0)
    """Weight of the value loss."""
    entropy_coefficient: float = number(0.01, minimum=0)
    """Weight of the entropy bonus."""
    target_kl: float | None = number(
        None, minimum=0, open_minimum=True, optional=True, needs=_SEVERAL_STEPS
    )
    """Ends an iteration's updates when the approximate KL exceeds 1.5 times this; None: never.

    The factor is Stable-Baselines3's; CleanRL has none.
    """
    normalize_advantages: bool = static(True)
    """Standardise the advantages of each minibatch; a single one stays as it is."""


def _loss(
    params: Params,
    batch: Experience,
    clip_epsilon: Array | float,
    *,
    actor: Actor,
    config: PPOConfig,
) -> tuple[Float[Array, ""], Metrics]:
    """The clipped surrogate, the value loss and the entropy bonus (equation 9).

    policy loss + value_coefficient * value loss - entropy_coefficient * entropy
    """
    distribution, log_probability, value = evaluate_steps(params, batch, actor)
    log_ratio = log_probability - batch.log_probability
    advantage = standardize(batch.advantage) if config.normalize_advantages else batch.advantage
    policy_loss = clipped_surrogate_loss(log_ratio, advantage, clip_epsilon=clip_epsilon)
    value_loss = clipped_value_loss(
        value, batch.value, batch.target, clip_epsilon=config.value_clip_epsilon
    )
    entropy = jnp.mean(distribution.entropy())
    loss = policy_loss + config.value_coefficient * value_loss
    loss = loss - config.entropy_coefficient * entropy
    return loss, {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "approximate_kl": approximate_kl(log_ratio),
        "clip_fraction": clip_fraction(log_ratio, clip_epsilon),
    }


def _advantages(params: Params, rollout: Rollout, *, actor: Actor, config: PPOConfig) -> Experience:
    """The rollout with its advantages and value targets, in sequences."""
    steps, evaluated = rollout.transitions, evaluate_rollout(params, rollout, actor)
    estimate = partial(gae, discount=config.discount, gae_lambda=config.gae_lambda)
    advantage = jax.vmap(estimate, in_axes=1, out_axes=1)(
        steps.reward, evaluated.value, evaluated.next_value, steps.terminated, steps.truncated
    )
    return as_sequences(
        rollout,
        evaluated,
        advantage=advantage,
        target=advantage + evaluated.value,
        actor=actor,
        length=config.sequence_length,
    )


def _update(
    key: Key,
    state: LearnerState,
    rollout: Rollout,
    *,
    actor: Actor,
    optimizer: optax.GradientTransformation,
    config: PPOConfig,
) -> tuple[LearnerState, Metrics]:
    """Advantages once, then `num_epochs` passes of `num_minibatches` gradient steps."""
    batch = _advantages(state.params, rollout, actor=actor, config=config)
    updates, total = state.updates, config.num_updates
    learning_rate = scheduled(config.learning_rate, config.learning_rate_schedule, updates, total)
    clip_epsilon = scheduled(config.clip_epsilon, config.clip_schedule, updates, total)
    gradient_of = jax.value_and_grad(partial(_loss, actor=actor, config=config), has_aux=True)

    def learn(carry: Any, index: Array) -> Any:
        params, optimizer_state, stopped = carry
        minibatch = jax.tree.map(lambda x: x[:, index], batch)
        (_, metrics), gradient = gradient_of(params, minibatch, clip_epsilon)
        metrics["gradient_norm"] = gradient_norm(gradient)
        new = gradient_step(optimizer, params, optimizer_state, gradient, learning_rate)
        if config.target_kl is not None:
            stopped = stopped | (metrics["approximate_kl"] > 1.5 * config.target_kl)
            old = (params, optimizer_state)
            new = jax.tree.map(lambda old, new: jnp.where(stopped, old, new), old, new)
        return (*new, stopped), metrics

    (params, optimizer_state, _), metrics = over_minibatches(
        key,
        learn,
        (state.params, state.optimizer, jnp.array(False)),
        size=batch.advantage.shape[1],
        num_epochs=config.num_epochs,
        num_minibatches=config.num_minibatches,
    )
    metrics["explained_variance"] = explained_variance(batch.value, batch.target)
    metrics["learning_rate"] = jnp.float32(learning_rate)
    metrics["clip_epsilon"] = jnp.float32(clip_epsilon)
    return LearnerState(params, optimizer_state, updates + 1), metrics


def ppo(
    env: Environment, config: PPOConfig, *, network: ActorCriticNetwork | None = None
) -> Algorithm:
    """Builds PPO for an environment.

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
        >>> config = jaxrl.PPOConfig(num_envs=8, num_steps=128, total_steps=500_000)
        >>> algorithm = jaxrl.ppo(env, config)
        >>> algorithm.steps_per_iteration
        1024
    """
    env, actor, optimizer = prepare_task(env, config, PPOConfig, network=network)

    def update(key: Key, state: LearnerState, rollout: Rollout) -> tuple[LearnerState, Metrics]:
        return _update(key, state, rollout, actor=actor, optimizer=optimizer, config=config)

    return on_policy_algorithm(
        env, config, actor, optimizer, update, num_minibatches=config.num_minibatches
    )

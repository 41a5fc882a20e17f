"""Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347).

The details follow "The 37 Implementation Details of Proximal Policy Optimization" (Huang et al.,
ICLR blog track 2022), except where a time limit cuts an episode off: there the value of the final
observation is bootstrapped, which their code does not do.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxrl.learning.minibatches import over_minibatches
from jaxrl.learning.normalization import NormalizationSettings
from jaxrl.learning.optimizers import (
    LearnerState,
    OptimizerSettings,
    Schedule,
    as_metric,
    gradient_norm,
    gradient_step,
    learning_rate_at,
    make_optimizer,
    scheduled,
    takes_schedule,
)
from jaxrl.loops.rollouts import join_rollouts, num_rollouts
from jaxrl.ops.policy_losses import clipped_surrogate_loss
from jaxrl.ops.statistics import approximate_kl, clip_fraction, explained_variance
from jaxrl.ops.value_losses import clipped_value_loss, squared_loss
from jaxrl.policy_gradient._actor import Actor, make_actor
from jaxrl.policy_gradient._experience import Experience, gae_estimator, prepare, select
from jaxrl.policy_gradient._learner import learner_agent
from jaxrl.policy_gradient._losses import actor_critic_loss, standardize
from jaxrl.policy_gradient._settings import (
    MemorySettings,
    NetworkSettings,
    OnPolicySettings,
    ValueAndEntropySettings,
)
from jaxrl.policy_gradient._task import check_minibatches, check_task
from jaxrl.settings import Need, number, require_settings, settings, static
from jaxrl.types import (
    Agent,
    Algorithm,
    Environment,
    Key,
    Metrics,
    Network,
    ObservationSpace,
    Params,
    RecurrentNetwork,
    Rollout,
    Space,
)

# In the first step after a rollout, the policy is the one that acted and values are what they were.
_SEVERAL_STEPS = Need(
    "more than one gradient step per rollout",
    lambda config, _: config.num_epochs * config.num_minibatches > 1,
    fields=("num_epochs", "num_minibatches"),
)


@settings
class PPOConfig(
    MemorySettings,
    NetworkSettings,
    NormalizationSettings,
    ValueAndEntropySettings,
    OptimizerSettings,
    OnPolicySettings,
):
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
    target_kl: float | None = number(
        None, minimum=0, open_minimum=True, optional=True, needs=_SEVERAL_STEPS
    )
    """Ends an iteration's updates when the approximate KL exceeds 1.5 times this; None: never.

    The factor is Stable-Baselines3's; CleanRL has none.
    """
    normalize_advantages: bool = static(True)
    """Standardise the advantages of each minibatch; a single one stays as it is."""


def ppo(
    env: Environment, config: PPOConfig, *, network: Network | RecurrentNetwork | None = None
) -> Algorithm:
    """Builds PPO for an environment.

    Args:
        env: with Discrete, MultiDiscrete or Box actions.
        config: the settings; the floats among them may be traced.
        network: maps one observation to (distribution, value), with or without memory; None: the
            default one of `networks`.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    env = check_task(env, config, PPOConfig)
    agent = ppo_agent(env.observation_space, env.action_space, config, network=network)
    return join_rollouts(env, agent, config)


def ppo_agent(
    observation_space: ObservationSpace,
    action_space: Space,
    config: PPOConfig,
    *,
    network: Network | RecurrentNetwork | None = None,
) -> Agent:
    """Builds PPO's learning rule, to be joined to a loop; arguments as for `ppo`."""
    require_settings(config, PPOConfig)
    actor = make_actor(observation_space, action_space, config, network=network)
    check_minibatches(config, actor)
    optimizer = make_optimizer(config)

    def update(key: Key, state: LearnerState, batch: Rollout) -> tuple[LearnerState, Metrics]:
        return _update(key, state, batch, config=config, actor=actor, optimizer=optimizer)

    return learner_agent(actor, optimizer, update)


def _update(
    key: Key,
    state: LearnerState,
    rollout: Rollout,
    *,
    config: PPOConfig,
    actor: Actor,
    optimizer: optax.GradientTransformation,
) -> tuple[LearnerState, Metrics]:
    """Advantages once, then `num_epochs` passes of `num_minibatches` gradient steps."""
    total = num_rollouts(config)
    learning_rate = learning_rate_at(config, state.updates, total)
    clip_epsilon = scheduled(config.clip_epsilon, config.clip_schedule, state.updates, total)
    batch = prepare(state.params, rollout, actor, gae_estimator(config), config.sequence_length)
    gradient_of = jax.value_and_grad(_loss, has_aux=True)

    def learn(carry: Any, index: Array) -> Any:
        params, optimizer_state, stopped = carry
        (_, metrics), gradient = gradient_of(
            params, select(batch, index), clip_epsilon, config=config, actor=actor
        )
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
    metrics["learning_rate"] = as_metric(learning_rate)
    metrics["clip_epsilon"] = as_metric(clip_epsilon)
    return LearnerState(params, optimizer_state, state.updates + 1), metrics


def _loss(
    params: Params,
    batch: Experience,
    clip_epsilon: Array | float,
    *,
    config: PPOConfig,
    actor: Actor,
) -> tuple[Array, Metrics]:
    """The clipped surrogate, the value loss and the entropy bonus (equation 9)."""

    def policy_loss(log_probability: Array, batch: Experience) -> tuple[Array, Metrics]:
        log_ratio = log_probability - batch.log_probability
        advantage = batch.advantage
        if config.normalize_advantages:
            advantage = standardize(advantage)
        return clipped_surrogate_loss(log_ratio, advantage, clip_epsilon=clip_epsilon), {
            "approximate_kl": approximate_kl(log_ratio),
            "clip_fraction": clip_fraction(log_ratio, clip_epsilon),
        }

    def value_loss(value: Array, batch: Experience) -> tuple[Array, Metrics]:
        epsilon = config.value_clip_epsilon
        if epsilon is None:
            return squared_loss(value, batch.target), {}
        return clipped_value_loss(value, batch.value, batch.target, clip_epsilon=epsilon), {}

    return actor_critic_loss(
        params, batch, actor=actor, config=config, of_policy=policy_loss, of_values=value_loss
    )

"""Trust region policy optimisation (Schulman et al. 2015, arXiv:1502.05477).

Each update moves the policy along the natural gradient, as far as a line search on the true
constraint allows, and then fits the value function. The KL divergence is that of the exact
distributions in the states of the rollout.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from jaxrl.learning.minibatches import over_minibatches
from jaxrl.learning.normalization import NormalizationSettings
from jaxrl.learning.optimizers import (
    LearnerState,
    OptimizerSettings,
    as_metric,
    gradient_step,
    learning_rate_at,
    make_optimizer,
)
from jaxrl.loops.rollouts import join_rollouts, num_rollouts
from jaxrl.networks import require_distribution
from jaxrl.ops.policy_losses import surrogate_loss
from jaxrl.ops.statistics import explained_variance
from jaxrl.ops.trust_region import hessian_vector_product, line_search, trust_region_step
from jaxrl.policy_gradient._actor import Actor, make_actor
from jaxrl.policy_gradient._experience import Experience, gae_estimator, prepare, select
from jaxrl.policy_gradient._learner import learner_agent
from jaxrl.policy_gradient._losses import evaluate_steps, standardize, target_loss
from jaxrl.policy_gradient._settings import (
    NetworkSettings,
    OnPolicySettings,
)
from jaxrl.policy_gradient._task import check_minibatches, check_task
from jaxrl.settings import number, settings, static
from jaxrl.types import (
    Algorithm,
    Environment,
    Key,
    Metrics,
    Network,
    Params,
    RecurrentNetwork,
    Rollout,
    sample_element,
)


@settings
class TRPOConfig(NetworkSettings, NormalizationSettings, OptimizerSettings, OnPolicySettings):
    """Settings of TRPO; the optimiser's are those of the value function."""

    num_steps: int = static(512, minimum=1)
    """Steps of each environment between two updates."""
    learning_rate: float = number(1e-3, minimum=0, open_minimum=True)
    """The value function's step size at the start."""
    max_kl: float = number(0.01, minimum=0, open_minimum=True)
    """Bound on the mean KL divergence from the old policy to the new one, in nats."""
    conjugate_gradient_steps: int = static(15, minimum=1)
    """Iterations of the linear solver for the natural gradient."""
    damping: float = number(0.1, minimum=0)
    """Added to the Fisher matrix's diagonal."""
    line_search_steps: int = static(10, minimum=1)
    """How often a step that fails is shortened before the policy stays as it was."""
    line_search_shrinkage: float = number(0.8, minimum=0, maximum=1, open_minimum=True)
    """Factor by which it is shortened."""
    num_value_epochs: int = static(10, minimum=1)
    """Passes of the value function over each rollout."""
    num_minibatches: int = static(4, minimum=1)
    """The value function's gradient steps per pass; must divide num_envs * num_steps."""
    normalize_advantages: bool = static(True)
    """Standardise the advantages of each rollout; a single one stays as it is."""


def trpo(
    env: Environment, config: TRPOConfig, *, network: Network | RecurrentNetwork | None = None
) -> Algorithm:
    """Builds TRPO for an environment.

    Args:
        env: with Discrete, MultiDiscrete or Box actions.
        config: the settings; the floats among them may be traced.
        network: maps one observation to (distribution, value), which must not share parameters:
            fitting the value would move the policy, unbounded. None: `networks.actor_critic`.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.
    """
    env = check_task(env, config, TRPOConfig)
    actor = make_actor(env.observation_space, env.action_space, config, network=network)
    check_minibatches(config, actor)
    _require_divergence(env, actor)
    optimizer = make_optimizer(config)

    def update(key: Key, state: LearnerState, batch: Rollout) -> tuple[LearnerState, Metrics]:
        experience = prepare(state.params, batch, actor, gae_estimator(config))
        if config.normalize_advantages:
            experience = experience._replace(advantage=standardize(experience.advantage))
        params, metrics = improve_policy(state.params, experience, actor=actor, config=config)
        state = state._replace(params=params)
        state, value_metrics = _fit_value(
            key, state, experience, actor=actor, optimizer=optimizer, config=config
        )
        metrics["explained_variance"] = explained_variance(experience.value, experience.target)
        return state, metrics | value_metrics

    return join_rollouts(env, learner_agent(actor, optimizer, update), config)


def _require_divergence(env: Environment, actor: Actor) -> None:
    """Refuses a network whose distributions have no KL divergence, which is what is bounded."""

    def examine(key: Key) -> Array:
        key_observation, key_init = jax.random.split(key)
        observation = sample_element(env.observation_space, key_observation)
        params = actor.network.init(key_init, observation)
        distribution = actor.network.apply(params, actor.network.start(), observation)[1][0]
        require_distribution(distribution, "kl_divergence")
        return distribution.kl_divergence(distribution)

    jax.eval_shape(examine, jax.random.key(0))


def improve_policy(
    params: Params, batch: Experience, *, actor: Actor, config: TRPOConfig
) -> tuple[Params, Metrics]:
    """One constrained step: maximise the surrogate where KL(old || new) <= max_kl (equation 14).

    Args:
        params: of the policy that acted.
        batch: what it did.
        actor: whose network is changed.
        config: the settings.

    Returns:
        The new parameters, or exactly the old ones where no step was found.
    """
    flat, unravel = ravel_pytree(params)
    old, old_log_probability, _ = evaluate_steps(params, batch, actor)

    def surrogate(flat: Array) -> Array:
        _, log_probability, _ = evaluate_steps(unravel(flat), batch, actor)
        return surrogate_loss(log_probability - old_log_probability, batch.advantage)

    def kl_divergence(flat: Array) -> Array:
        return jnp.mean(old.kl_divergence(evaluate_steps(unravel(flat), batch, actor)[0]))

    def damped_fisher_product(vector: Array) -> Array:
        return hessian_vector_product(kl_divergence, flat, vector) + config.damping * vector

    loss, gradient = jax.value_and_grad(surrogate)(flat)
    step = trust_region_step(
        gradient,
        damped_fisher_product,
        radius=config.max_kl,
        num_iterations=config.conjugate_gradient_steps,
    )
    found = line_search(
        surrogate,
        kl_divergence,
        flat,
        step,
        start_loss=loss,
        max_distance=config.max_kl,
        shrinkage=config.line_search_shrinkage,
        max_trials=config.line_search_steps,
    )
    return unravel(found.x), {
        "policy_loss": found.loss,
        "kl_divergence": found.distance,
        "entropy": jnp.mean(old.entropy()),
        "gradient_norm": jnp.linalg.norm(gradient),
        "step_accepted": found.accepted.astype(jnp.float32),
        "line_search_trials": found.trials.astype(jnp.float32),
    }


def _fit_value(
    key: Key,
    state: LearnerState,
    batch: Experience,
    *,
    actor: Actor,
    optimizer: optax.GradientTransformation,
    config: TRPOConfig,
) -> tuple[LearnerState, Metrics]:
    """`num_value_epochs` passes of gradient steps towards the value targets."""
    learning_rate = learning_rate_at(config, state.updates, num_rollouts(config))

    def loss_of(params: Params, minibatch: Experience) -> Array:
        return target_loss(evaluate_steps(params, minibatch, actor)[2], minibatch)[0]

    def learn(carry: Any, index: Array) -> Any:
        params, optimizer_state = carry
        loss, gradient = jax.value_and_grad(loss_of)(params, select(batch, index))
        step = gradient_step(optimizer, params, optimizer_state, gradient, learning_rate)
        return step, {"value_loss": loss}

    (params, optimizer_state), metrics = over_minibatches(
        key,
        learn,
        (state.params, state.optimizer),
        size=batch.advantage.shape[1],
        num_epochs=config.num_value_epochs,
        num_minibatches=config.num_minibatches,
    )
    metrics["learning_rate"] = as_metric(learning_rate)
    return LearnerState(params, optimizer_state, state.updates + 1), metrics

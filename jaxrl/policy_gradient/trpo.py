"""Trust region policy optimisation (Schulman et al. 2015, arXiv:1502.05477).

Each update moves the policy along the natural gradient, as far as a line search on the true
constraint allows, and then fits the value function. The KL divergence is that of the exact
distributions in the states of the rollout.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from jaxrl.learning.minibatches import over_minibatches
from jaxrl.learning.optimizers import LearnerState, gradient_step, scheduled
from jaxrl.networks import require_distribution
from jaxrl.ops.policy_losses import surrogate_loss
from jaxrl.ops.returns import gae
from jaxrl.ops.statistics import explained_variance, standardize
from jaxrl.ops.trust_region import hessian_vector_product, line_search, trust_region_step
from jaxrl.ops.value_losses import squared_loss
from jaxrl.policy_gradient._actor import Actor, ActorCriticNetwork
from jaxrl.policy_gradient._algorithm import on_policy_algorithm, prepare_task
from jaxrl.policy_gradient._experience import (
    Experience,
    as_sequences,
    evaluate_rollout,
    evaluate_steps,
)
from jaxrl.policy_gradient._settings import OnPolicySettings
from jaxrl.settings import number, settings, static, unless
from jaxrl.sharding import over_devices
from jaxrl.types import Algorithm, Environment, Key, Metrics, Params, Rollout, sample_element


@settings
class TRPOConfig(OnPolicySettings):
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
    line_search_shrinkage: float = number(
        0.8, minimum=0, maximum=1, open_minimum=True, needs=unless("line_search_steps", 1)
    )
    """Factor by which it is shortened."""
    num_value_epochs: int = static(10, minimum=1)
    """Passes of the value function over each rollout."""
    num_minibatches: int = static(4, minimum=1)
    """The value function's gradient steps per pass; must divide num_envs * num_steps."""
    normalize_advantages: bool = static(True)
    """Standardise the advantages of each rollout; a single one stays as it is."""


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
    learning_rate = scheduled(
        config.learning_rate, config.learning_rate_schedule, state.updates, config.num_updates
    )

    def loss_of(params: Params, minibatch: Experience) -> Array:
        _, _, value = evaluate_steps(params, minibatch, actor)
        return squared_loss(value, minibatch.target)

    def learn(carry: Any, index: Array) -> Any:
        params, optimizer_state = carry
        minibatch = jax.tree.map(lambda x: x[:, index], batch)
        loss, gradient = jax.value_and_grad(loss_of)(params, minibatch)
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
    metrics["learning_rate"] = jnp.float32(learning_rate)
    return LearnerState(params, optimizer_state, state.updates + 1), metrics


def _update(
    key: Key,
    state: LearnerState,
    rollout: Rollout,
    *,
    actor: Actor,
    optimizer: optax.GradientTransformation,
    config: TRPOConfig,
) -> tuple[LearnerState, Metrics]:
    """Advantages, one constrained step of the policy, then the regression of the value."""
    steps, evaluated = rollout.transitions, evaluate_rollout(state.params, rollout, actor)
    estimate = partial(gae, discount=config.discount, gae_lambda=config.gae_lambda)
    advantage = jax.vmap(estimate, in_axes=1, out_axes=1)(
        steps.reward, evaluated.value, evaluated.next_value, steps.terminated, steps.truncated
    )
    target = advantage + evaluated.value
    batch = as_sequences(rollout, evaluated, advantage=advantage, target=target, actor=actor)
    if config.normalize_advantages:
        batch = batch._replace(advantage=standardize(batch.advantage))
    whole = over_devices(batch, axis=1)
    params, metrics = improve_policy(state.params, whole, actor=actor, config=config)
    state, value_metrics = _fit_value(
        key, state._replace(params=params), batch, actor=actor, optimizer=optimizer, config=config
    )
    metrics["explained_variance"] = explained_variance(batch.value, batch.target)
    return state, metrics | value_metrics


def trpo(
    env: Environment, config: TRPOConfig, *, network: ActorCriticNetwork | None = None
) -> Algorithm:
    """Builds TRPO for an environment.

    Args:
        env: with Discrete, MultiDiscrete or Box actions.
        config: the settings; the floats among them may be traced.
        network: maps one observation to (distribution, value), which must not share parameters:
            fitting the value would move the policy, unbounded. None: the default one of `networks`.

    Returns:
        The algorithm, to be trained.

    Raises:
        ValueError: a setting is wrong or does not suit the environment.

    Example:
        >>> import jaxrl
        >>> env = jaxrl.make_env("Pendulum-v1")
        >>> config = jaxrl.TRPOConfig(num_envs=4, num_steps=256, max_kl=0.02)
        >>> algorithm = jaxrl.trpo(env, config)
        >>> algorithm.steps_per_iteration
        1024
    """
    env, actor, optimizer = prepare_task(env, config, TRPOConfig, network=network)
    _require_divergence(env, actor)

    def update(key: Key, state: LearnerState, rollout: Rollout) -> tuple[LearnerState, Metrics]:
        return _update(key, state, rollout, actor=actor, optimizer=optimizer, config=config)

    return on_policy_algorithm(
        env, config, actor, optimizer, update, num_minibatches=config.num_minibatches
    )


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

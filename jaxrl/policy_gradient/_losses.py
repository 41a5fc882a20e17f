"""The actor-critic's loss: a policy loss, a value loss and an entropy bonus."""

from collections.abc import Callable
from typing import Any, TypeAlias

import chex
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.ops.policy_losses import score_function_loss
from jaxrl.ops.value_losses import squared_loss
from jaxrl.policy_gradient._actor import Actor
from jaxrl.policy_gradient._experience import Experience
from jaxrl.policy_gradient._settings import ValueAndEntropySettings
from jaxrl.types import Metrics, Params

Loss: TypeAlias = Callable[[Array, Experience], tuple[Array, Metrics]]
"""(log-probabilities or values of the steps [L, N], the steps) -> (loss, further metrics)."""


def evaluate_steps(
    params: Params, batch: Experience, actor: Actor
) -> tuple[Any, Float[Array, "L N"], Float[Array, "L N"]]:
    """Distributions, log-probabilities of the actions taken, and values, under `params`."""
    _, (distribution, value) = actor.network.unroll(
        params, batch.memory, batch.observation, batch.ended
    )
    log_probability = distribution.log_probability(batch.action)
    chex.assert_equal_shape([log_probability, value, batch.advantage])
    return distribution, log_probability, value


def score_loss(log_probability: Array, batch: Experience) -> tuple[Array, Metrics]:
    """The score function weighted by the advantages."""
    return score_function_loss(log_probability, batch.advantage), {}


def target_loss(value: Array, batch: Experience) -> tuple[Array, Metrics]:
    """The squared distance to the targets."""
    return squared_loss(value, batch.target), {}


def actor_critic_loss(
    params: Params,
    batch: Experience,
    *,
    actor: Actor,
    config: ValueAndEntropySettings,
    of_policy: Loss = score_loss,
    of_values: Loss = target_loss,
) -> tuple[Float[Array, ""], Metrics]:
    """Policy loss + value_coefficient * value loss - entropy_coefficient * entropy.

    Args:
        params: what is differentiated.
        batch: the steps.
        actor: whose network is evaluated.
        config: the coefficients.
        of_policy: the loss of the log-probabilities.
        of_values: the loss of the values.

    Returns:
        The loss, and its parts as metrics.
    """
    distribution, log_probability, value = evaluate_steps(params, batch, actor)
    policy_loss, policy_metrics = of_policy(log_probability, batch)
    value_loss, value_metrics = of_values(value, batch)
    entropy = jnp.mean(distribution.entropy())
    metrics = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
    loss = policy_loss + config.value_coefficient * value_loss
    loss = loss - config.entropy_coefficient * entropy
    return loss, metrics | policy_metrics | value_metrics


def standardize(advantage: Array) -> Array:
    """Mean 0 and standard deviation 1; equal advantages become 0.

    A single advantage stays as it is: less its mean it would be 0, and nothing would be learnt.
    """
    if advantage.size == 1:
        return advantage
    return (advantage - jnp.mean(advantage)) / (jnp.std(advantage) + 1e-8)

"""Mathematics on arrays: no networks, no environments, no settings objects."""

from jaxrl.ops.action_values import (
    double_q_value,
    q_target,
    smoothed_action,
    soft_value,
    temperature_loss,
    value_of,
)
from jaxrl.ops.baselines import batch_mean_baseline, leave_one_out_baseline, standardize_counted
from jaxrl.ops.fitness import centered_ranks, elite_weights, failures_last, finite_fitness
from jaxrl.ops.policy_losses import clipped_surrogate_loss, score_function_loss, surrogate_loss
from jaxrl.ops.returns import (
    VTrace,
    discounted_returns,
    gae,
    lambda_returns,
    n_step_returns,
    vtrace,
)
from jaxrl.ops.shuffling import random_permutation
from jaxrl.ops.statistics import approximate_kl, clip_fraction, explained_variance, standardize
from jaxrl.ops.successors import successor_values
from jaxrl.ops.target_updates import periodic_update, soft_update
from jaxrl.ops.trust_region import hessian_vector_product, line_search, trust_region_step
from jaxrl.ops.value_losses import clipped_value_loss, huber_loss, squared_loss, td_error
from jaxrl.ops.weighting import probability_ratio, weighted

__all__ = [
    "VTrace",
    "approximate_kl",
    "batch_mean_baseline",
    "centered_ranks",
    "clip_fraction",
    "clipped_surrogate_loss",
    "clipped_value_loss",
    "discounted_returns",
    "double_q_value",
    "elite_weights",
    "explained_variance",
    "failures_last",
    "finite_fitness",
    "gae",
    "hessian_vector_product",
    "huber_loss",
    "lambda_returns",
    "leave_one_out_baseline",
    "line_search",
    "n_step_returns",
    "periodic_update",
    "probability_ratio",
    "q_target",
    "random_permutation",
    "score_function_loss",
    "smoothed_action",
    "soft_update",
    "soft_value",
    "squared_loss",
    "standardize",
    "standardize_counted",
    "successor_values",
    "surrogate_loss",
    "td_error",
    "temperature_loss",
    "trust_region_step",
    "value_of",
    "vtrace",
    "weighted",
]

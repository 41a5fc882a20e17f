"""The means of all learners: optimisers, schedules, minibatches, normalisation."""

from jaxrl.learning.minibatches import over_minibatches
from jaxrl.learning.normalization import (
    NormalizationSettings,
    ObservationNormalizationSettings,
    check_normalization,
    normalize_observations,
    normalize_replayed_observations,
    normalize_rewards,
)
from jaxrl.learning.optimizers import (
    OPTIMIZERS,
    ConstantOptimizerSettings,
    LearnerState,
    Optimizer,
    OptimizerSettings,
    Schedule,
    as_metric,
    direction_of,
    gradient_norm,
    gradient_step,
    learning_rate_at,
    make_optimizer,
    scheduled,
)

__all__ = [
    "OPTIMIZERS",
    "ConstantOptimizerSettings",
    "LearnerState",
    "NormalizationSettings",
    "ObservationNormalizationSettings",
    "Optimizer",
    "OptimizerSettings",
    "Schedule",
    "as_metric",
    "check_normalization",
    "direction_of",
    "gradient_norm",
    "gradient_step",
    "learning_rate_at",
    "make_optimizer",
    "normalize_observations",
    "normalize_replayed_observations",
    "normalize_rewards",
    "over_minibatches",
    "scheduled",
]

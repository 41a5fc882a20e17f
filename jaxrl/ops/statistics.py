"""Running moments for normalisation, and the diagnostics of a policy update."""

import math
from typing import NamedTuple

import chex
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from jaxrl.ops.missing import missing_value

# float32 counts exactly to here. It is also about where one more sample would no longer move a
# float32 mean: from here on the moments forget, with a window of this many samples.
_MAX_COUNT = 2.0**24


class RunningStatistics(NamedTuple):
    """Moments of everything seen so far; before anything was seen they change nothing.

    Attributes:
        mean: float32, shape [*shape]; 0 at first.
        variance: float32, shape [*shape], of the population (divided by n); 1 at first.
        count: float32, shape (); samples seen, at most 2^24.
    """

    mean: Float[Array, "*shape"]
    variance: Float[Array, "*shape"]
    count: Float[Array, ""]  # pyright: ignore[reportIncompatibleMethodOverride]


def init_statistics(shape: tuple[int, ...]) -> RunningStatistics:
    """Statistics of nothing yet: mean 0, variance 1, count 0.

    Args:
        shape: of one sample.

    Returns:
        The statistics.
    """
    zeros = jnp.zeros(shape, jnp.float32)
    ones = jnp.ones(shape, jnp.float32)
    return RunningStatistics(mean=zeros, variance=ones, count=jnp.zeros((), jnp.float32))


def update_statistics(
    statistics: RunningStatistics, batch: Shaped[Array, "..."]
) -> RunningStatistics:
    """Merges a batch into the moments.

    With the batch's share w = m / (count + m) and d = mean_batch - mean,

        mean <- mean + w d
        variance <- (1 - w) variance + w variance_batch + w (1 - w) d^2

    As a weighted mean it stays accurate and positive however many samples came before. After 2^24
    samples the count stays there, so that old samples fade instead of new ones being lost to
    rounding.

    Args:
        statistics: so far.
        batch: [*batch, *shape], of any real dtype; every axis before those of one sample is batch.

    Returns:
        The new statistics.

    Source: Chan, Golub and LeVeque (1983), "Algorithms for Computing the Sample Variance",
    equation 2.1; the cap on the count is ours.
    """
    shape = statistics.mean.shape
    num_batch_axes = batch.ndim - len(shape)
    chex.assert_shape(batch, (..., *shape))
    axes = tuple(range(num_batch_axes))
    samples = batch.astype(jnp.float32)
    num_samples = math.prod(batch.shape[:num_batch_axes])
    return merge_statistics(
        statistics,
        RunningStatistics(
            mean=jnp.mean(samples, axis=axes),
            variance=jnp.var(samples, axis=axes),
            count=jnp.float32(num_samples),
        ),
    )


def merge_statistics(statistics: RunningStatistics, others: RunningStatistics) -> RunningStatistics:
    """Merges the moments of other samples, as `update_statistics` does those of a batch.

    Args:
        statistics: so far.
        others: of the other samples; of the same shape.

    Returns:
        The new statistics.
    """
    chex.assert_equal_shape([statistics.mean, others.mean])
    count = statistics.count + others.count
    # Nothing merged with nothing changes nothing.
    share = others.count / jnp.maximum(count, 1.0)
    difference = others.mean - statistics.mean
    spread = (1 - share) * jnp.square(difference)
    return RunningStatistics(
        mean=statistics.mean + share * difference,
        variance=statistics.variance + share * (others.variance - statistics.variance + spread),
        count=jnp.minimum(count, _MAX_COUNT),
    )


def normalize(
    statistics: RunningStatistics,
    x: Shaped[Array, "..."],
    *,
    clip: Float[Array, ""] | float = 10.0,
) -> Float[Array, "..."]:
    """Standardises and clips: clip((x - mean) / sqrt(variance + 1e-8), -clip, clip).

    Args:
        statistics: of samples like `x`; with count 0 only the clip has an effect.
        x: [*batch, *shape], of any real dtype; one sample or a batch of them.
        clip: in standard deviations, positive.

    Returns:
        The standardised samples, float32, of the same shape.
    """
    chex.assert_shape(x, (..., *statistics.mean.shape))
    mean = jnp.broadcast_to(statistics.mean, x.shape)
    variance = jnp.broadcast_to(statistics.variance, x.shape)
    scaled = (x - mean) / jnp.sqrt(variance + 1e-8)
    return jnp.clip(scaled, -clip, clip)


def explained_variance(
    prediction: Float[Array, "..."],
    target: Float[Array, "..."],
    *,
    counted: Bool[Array, "..."] | None = None,
) -> Float[Array, ""]:
    """How much of the target's variance the prediction accounts for.

        1 - Var[target - prediction] / Var[target]

    Args:
        prediction: of any shape.
        target: of the same shape.
        counted: which elements count, of the same shape; None: all.

    Returns:
        1: all of it; 0: none; negative: worse than a constant; NaN where the target is constant.
    """
    chex.assert_equal_shape([prediction, target])
    # The variance of equal numbers need not round to 0.
    highest = jnp.max(target, where=counted, initial=-jnp.inf)
    varies = highest > jnp.min(target, where=counted, initial=jnp.inf)
    unexplained = jnp.var(target - prediction, where=counted)
    variance = jnp.where(varies, jnp.var(target, where=counted), 1.0)
    return jnp.where(varies, 1 - unexplained / variance, missing_value())


def approximate_kl(log_ratio: Float[Array, "..."]) -> Float[Array, ""]:
    """Estimates KL(pi_old || pi) from actions that pi_old drew; never negative.

        mean[ratio - 1 - log ratio]

    Args:
        log_ratio: log pi - log pi_old, of any shape.

    Returns:
        The estimate, in nats.

    Source: Schulman (2020), "Approximating KL Divergence", estimator k3.
    """
    # Both terms nearly cancel where the policies are close, and rounding could dip below 0.
    return jnp.mean(jnp.maximum(jnp.expm1(log_ratio) - log_ratio, 0.0))


def clip_fraction(
    log_ratio: Float[Array, "..."], clip_epsilon: Float[Array, ""] | float
) -> Float[Array, ""]:
    """The share of ratios outside [1 - epsilon, 1 + epsilon].

    Args:
        log_ratio: log pi - log pi_old, of any shape.
        clip_epsilon: half the width of the range.

    Returns:
        In [0, 1].
    """
    return jnp.mean((jnp.abs(jnp.expm1(log_ratio)) > clip_epsilon).astype(jnp.float32))

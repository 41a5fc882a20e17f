"""Running moments for normalisation, and the diagnostics of a policy update."""

from typing import NamedTuple, TypeAlias

import chex
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from jaxrl.ops.missing import missing_value
from jaxrl.ops.weighting import LARGEST_LOG_RATIO

# float32 counts exactly to here. It is also about where one more sample would no longer move a
# float32 mean: from here on the moments forget, with a window of this many samples.
_MAX_COUNT = 2.0**24
# What is larger has no square in float32, and is no measurement of anything.
_LARGEST = 1e18
# Squares are added up in this unit, so that the sum of billions of the largest is finite.
_UNIT = 2.0**32

Number: TypeAlias = Float[Array, ""] | float


class RunningStatistics(NamedTuple):
    """Moments of everything seen so far; before anything was seen they change nothing.

    The mean is the sum of two numbers: float32 keeps seven digits, and of samples around a million
    with a deviation of 1 the last one alone would be seen.

    Attributes:
        mean: float32, shape [*shape]; 0 at first.
        variance: float32, shape [*shape], of the population (divided by n); 1 at first.
        count: float32, shape [*shape]; samples seen of each entry, at most 2^24.
        remainder: float32, shape [*shape]; the mean less `mean`, smaller than its last digit.
    """

    mean: Float[Array, "*shape"]
    variance: Float[Array, "*shape"]
    count: Float[Array, "*shape"]  # pyright: ignore[reportIncompatibleMethodOverride]
    remainder: Float[Array, "*shape"]


class Sums(NamedTuple):
    """Sums of differences from a pivot, from which moments are made.

    Attributes:
        pivot: float32, shape [*shape]; of squares far from it, float32 would keep too few digits.
        differences: float32, shape [*shape].
        squares: float32, shape [*shape], of the differences, in units of 2^64.
        count: float32, shape [*shape].
    """

    pivot: Float[Array, "*shape"]
    differences: Float[Array, "*shape"]
    squares: Float[Array, "*shape"]
    count: Float[Array, "*shape"]  # pyright: ignore[reportIncompatibleMethodOverride]


def init_statistics(shape: tuple[int, ...]) -> RunningStatistics:
    """Statistics of nothing yet: mean 0, variance 1, count 0.

    Args:
        shape: of one sample.

    Returns:
        The statistics.
    """
    zeros = jnp.zeros(shape, jnp.float32)
    ones = jnp.ones(shape, jnp.float32)
    return RunningStatistics(mean=zeros, variance=ones, count=zeros, remainder=zeros)


def is_usable(x: Shaped[Array, "..."]) -> Bool[Array, "..."]:
    """Whether each number can go into moments: it is finite, and of a size below 1e18."""
    # Not-a-number fails the comparison.
    return jnp.abs(x) <= _LARGEST


def update_statistics(
    statistics: RunningStatistics, batch: Shaped[Array, "..."]
) -> RunningStatistics:
    """Merges a batch into the moments.

    With the batch's share w = m / (count + m) and d = mean_batch - mean,

        mean <- mean + w d
        variance <- (1 - w) variance + w variance_batch + w (1 - w) d^2

    As a weighted mean it stays accurate and positive however many samples came before. After 2^24
    samples the count stays there, so that old samples fade instead of new ones being lost to
    rounding. Entries of a sample that are not finite, or beyond 1e18, are left out, each alone:
    one of them would spoil the moments for ever.

    Args:
        statistics: so far.
        batch: [*batch, *shape], of any real dtype; every axis before those of one sample is batch.

    Returns:
        The new statistics.

    Source: Chan, Golub and LeVeque (1983), "Algorithms for Computing the Sample Variance",
    equation 2.1; the cap on the count, the mean of two numbers and what is left out are ours.
    """
    chex.assert_shape(batch, (..., *statistics.mean.shape))
    axes = tuple(range(batch.ndim - statistics.mean.ndim))
    samples = batch.astype(jnp.float32)
    usable = is_usable(samples)
    pivot = _pivot(statistics, samples)
    differences = jnp.where(usable, samples - jnp.broadcast_to(pivot, samples.shape), 0.0)
    count = jnp.sum(usable, axis=axes, dtype=jnp.float32)
    offset = jnp.sum(differences, axis=axes) / jnp.maximum(count, 1.0)
    # About the batch's own mean: a second pass costs less than the digits that one would lose.
    centred = jnp.where(usable, differences - jnp.broadcast_to(offset, samples.shape), 0.0)
    squares = jnp.sum(jnp.square(centred / _UNIT), axis=axes)
    return _merge(statistics, pivot, offset, _mean_square(squares, count), count)


def init_sums(statistics: RunningStatistics, samples: Shaped[Array, "..."]) -> Sums:
    """Sums of nothing yet, for samples that come one after another.

    Args:
        statistics: of what was seen so far; their mean is the pivot of each entry seen.
        samples: [*batch, *shape], the first ones; one of them is the pivot where nothing was seen.

    Returns:
        The sums.
    """
    zeros = jnp.zeros_like(statistics.mean)
    pivot = _pivot(statistics, samples.astype(jnp.float32))
    return Sums(pivot=pivot, differences=zeros, squares=zeros, count=zeros)


def add_to_sums(sums: Sums, samples: Shaped[Array, "..."], *, counted: Bool[Array, "..."]) -> Sums:
    """Adds samples to sums, but for entries that are not usable.

    Args:
        sums: so far.
        samples: [*batch, *shape].
        counted: bool [*batch], which samples count.

    Returns:
        The new sums.
    """
    batch_axes = tuple(range(counted.ndim))
    sample_axes = tuple(range(counted.ndim, samples.ndim))
    samples = samples.astype(jnp.float32)
    usable = is_usable(samples) & jnp.expand_dims(counted, sample_axes)
    pivot = jnp.broadcast_to(sums.pivot, samples.shape)
    differences = jnp.where(usable, samples - pivot, 0.0)
    return Sums(
        pivot=sums.pivot,
        differences=sums.differences + jnp.sum(differences, axis=batch_axes),
        squares=sums.squares + jnp.sum(jnp.square(differences / _UNIT), axis=batch_axes),
        count=sums.count + jnp.sum(usable, axis=batch_axes, dtype=jnp.float32),
    )


def merge_sums(statistics: RunningStatistics, sums: Sums) -> RunningStatistics:
    """Merges samples that were added up, as `update_statistics` does those of a batch.

    Args:
        statistics: so far.
        sums: of the samples.

    Returns:
        The new statistics.
    """
    offset = sums.differences / jnp.maximum(sums.count, 1.0)
    squares = _mean_square(sums.squares, sums.count)
    variance = jnp.maximum(squares - jnp.square(offset), 0.0)
    return _merge(statistics, sums.pivot, offset, variance, sums.count)


def normalize(
    statistics: RunningStatistics,
    x: Shaped[Array, "..."],
    *,
    clip: Number = 10.0,
) -> Float[Array, "..."]:
    """Standardises and clips: clip((x - mean) / sqrt(variance + 1e-8), -clip, clip).

    Args:
        statistics: of samples like `x`; with count 0 only the clip has an effect.
        x: [*batch, *shape], of any real dtype; one sample or a batch of them.
        clip: in standard deviations, positive.

    Returns:
        The standardised samples, float32, of the same shape; 0, the mean, where x is nan.
    """
    chex.assert_shape(x, (..., *statistics.mean.shape))
    mean, variance, _, remainder = (jnp.broadcast_to(s, x.shape) for s in statistics)
    scaled = ((x - mean) - remainder) / jnp.sqrt(variance + 1e-8)
    return jnp.where(jnp.isnan(scaled), 0.0, jnp.clip(scaled, -clip, clip))


def scale(
    statistics: RunningStatistics, x: Shaped[Array, "..."], *, clip: Number = 10.0
) -> Float[Array, "..."]:
    """Divides by the standard deviation and clips: clip(x / sqrt(variance + 1e-8), -clip, clip).

    Args:
        statistics: of numbers; with count 0 only the clip has an effect.
        x: of any shape.
        clip: in standard deviations, positive.

    Returns:
        The scaled numbers, float32, of the same shape; 0 where x is nan.
    """
    scaled = x / jnp.sqrt(statistics.variance + 1e-8)
    return jnp.where(jnp.isnan(scaled), 0.0, jnp.clip(scaled, -clip, clip))


def _pivot(statistics: RunningStatistics, samples: Float[Array, "..."]) -> Float[Array, "*shape"]:
    """A number near the samples: the mean so far; at first one of them, or 0 if none is usable."""
    axes = tuple(range(samples.ndim - statistics.mean.ndim))
    largest = jnp.max(samples, axis=axes, where=is_usable(samples), initial=-jnp.inf)
    first = jnp.where(is_usable(largest), largest, 0.0)
    return jnp.where(statistics.count == 0, first, statistics.mean)


def _mean_square(squares: Float[Array, "*shape"], count: Float[Array, "*shape"]) -> Array:
    """The mean from a sum of squares in units of 2^64."""
    return squares / jnp.maximum(count, 1.0) * _UNIT * _UNIT


def _merge(
    statistics: RunningStatistics,
    pivot: Float[Array, "*shape"],
    offset: Float[Array, "*shape"],
    variance: Float[Array, "*shape"],
    count: Float[Array, "*shape"],
) -> RunningStatistics:
    """Merges `count` samples whose mean is pivot + offset."""
    total = statistics.count + count
    # Nothing merged with nothing changes nothing.
    share = count / jnp.maximum(total, 1.0)
    coarse = pivot - statistics.mean
    fine = offset - statistics.remainder
    spread = (1 - share) * jnp.square(coarse + fine)
    mean, first_rest = _two_sum(statistics.mean, share * coarse)
    mean, second_rest = _two_sum(mean, statistics.remainder + share * fine)
    return RunningStatistics(
        mean=mean,
        variance=statistics.variance + share * (variance - statistics.variance + spread),
        count=jnp.minimum(total, _MAX_COUNT),
        remainder=first_rest + second_rest,
    )


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded sum, and exactly what the rounding took (Knuth 1969, section 4.2.2)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def standardize(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Mean 0 and standard deviation 1; equal numbers become 0.

    A single number stays as it is: less its mean it would be 0, and nothing would be learnt.

    Args:
        x: such as the advantages of a batch, of any shape.

    Returns:
        The standardised numbers.
    """
    if x.size == 1:
        return x
    return (x - jnp.mean(x)) / (jnp.std(x) + 1e-8)


def explained_variance(
    prediction: Float[Array, "..."],
    target: Float[Array, "..."],
    *,
    counted: Bool[Array, "..."] | None = None,
) -> Float[Array, ""]:
    """Share of the target's variance that the prediction accounts for.

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
        log_ratio: log pi - log pi_old, of any shape; ratios beyond e^20 count as that.

    Returns:
        The estimate, in nats.

    Source: Schulman (2020), "Approximating KL Divergence", estimator k3.
    """
    # Both terms nearly cancel where the policies are close, and rounding could dip below 0.
    bounded = jnp.minimum(log_ratio, LARGEST_LOG_RATIO)
    return jnp.mean(jnp.maximum(jnp.expm1(bounded) - bounded, 0.0))


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

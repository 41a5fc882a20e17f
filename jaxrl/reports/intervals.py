"""Statistics over seeds, with 95 % confidence intervals."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

CONFIDENCE = 0.95
NUM_RESAMPLES = 2000
STATISTICS = ("mean", "iqm")
# Numbers drawn at a time, which bounds the memory of a bootstrap.
_BATCH = 2_000_000


class Interval(NamedTuple):
    """A statistic over seeds and its 95 % confidence interval, each [...]."""

    centre: Float[np.ndarray, "..."]
    low: Float[np.ndarray, "..."]
    high: Float[np.ndarray, "..."]


def seed_interval(values: Float[np.ndarray, "seeds ..."], *, statistic: str = "mean") -> Interval:
    """The mean or interquartile mean over the first axis, with its 95 % interval.

    The mean has Student's t interval, whose coverage is 95 % for normal values however few there
    are; the interquartile mean has the percentile bootstrap's, whose coverage is lower for few
    values. One seed has no interval: both ends are nan.

    Args:
        values: one entry per independent run (or episode) on the first axis.
        statistic: `mean`, or `iqm`, the mean of the middle half.

    Returns:
        The statistic and both ends, each of the remaining shape.

    Raises:
        ValueError: another statistic.

    Source: Agarwal et al., 2021, "Deep RL at the edge of the statistical precipice", section 4.

    Example:
        >>> import numpy as np
        >>> from jaxrl.reports import seed_interval
        >>> mean, low, high = seed_interval(np.array([1.0, 2.0, 3.0]))
        >>> print(f"{mean:.2f} ({low:.2f} to {high:.2f})")
        2.00 (-0.48 to 4.48)
    """
    from scipy import stats

    if statistic not in STATISTICS:
        raise ValueError(f"statistic={statistic!r} is not one of {', '.join(STATISTICS)}")
    samples = [np.moveaxis(np.asarray(values, dtype=float), 0, -1)]
    if statistic == "mean":
        return mean_interval(samples)
    return bootstrap_interval(samples, lambda drawn: stats.trim_mean(drawn[0], 0.25, axis=-1))


def mean_interval(samples: Sequence[Shaped[np.ndarray, "... _"]]) -> Interval:
    """The mean over tasks of the means over seeds, with Student's t interval.

    The variance of the mean of T tasks is sum_t s_t^2 / n_t / T^2, where s_t^2 is the unbiased
    variance of the n_t seeds of task t; its degrees of freedom are Welch and Satterthwaite's. For
    one task that is Student's interval of a mean.

    Args:
        samples: the seeds of each task on the last axis.

    Returns:
        The mean and both ends, each of the leading shape; the ends are nan where a task has one
        seed.

    Raises:
        ValueError: no task.

    Example:
        >>> import numpy as np
        >>> from jaxrl.reports import mean_interval
        >>> mean, low, high = mean_interval([np.array([1.0, 2.0, 3.0]), np.array([5.0, 5.0])])
        >>> print(f"{mean:.2f} ({low:.2f} to {high:.2f})")
        3.50 (2.26 to 4.74)

    Source: Welch, 1947, "The generalization of Student's problem when several different population
    variances are involved".
    """
    from scipy import stats

    if not len(samples):
        raise ValueError("samples is empty: a mean needs at least one task")
    samples = [np.asarray(sample, dtype=float) for sample in samples]
    num_tasks = len(samples)
    # An infinite return has no variance: nan, and no warning.
    with np.errstate(invalid="ignore", over="ignore"):
        centre = np.mean([np.mean(sample, axis=-1) for sample in samples], axis=0)
        if min(sample.shape[-1] for sample in samples) < 2:
            return _without_ends(centre)
        parts = np.array([np.var(x, axis=-1, ddof=1) / x.shape[-1] for x in samples])
    variance = np.sum(parts, axis=0)
    shares = np.divide(parts, variance, out=np.ones_like(parts), where=variance > 0)
    freedoms = np.array([sample.shape[-1] - 1 for sample in samples])
    freedom = 1 / np.tensordot(1 / freedoms, shares**2, axes=1)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(variance) / num_tasks
    return Interval(np.asarray(centre), np.asarray(centre - half), np.asarray(centre + half))


def bootstrap_interval(
    samples: Sequence[Shaped[np.ndarray, "... _"]],
    statistic: Callable[[Sequence[Any]], Any],
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """A statistic of several samples with its stratified percentile bootstrap interval.

    Each resample draws, within each sample by itself, as many seeds as it has, with replacement.

    Args:
        samples: the seeds of each task on the last axis; numbers of seeds may differ.
        statistic: of the samples, each with further resamples in front of its last axis, [...].
        num_resamples: how many resamples.
        seed: of the resamples.

    Returns:
        The statistic and both ends; the ends are nan where a sample has one seed.

    Source: Agarwal et al., 2021, section 4 and appendix A.4.
    """
    from scipy import stats

    centre = np.asarray(statistic(samples))
    if min(sample.shape[-1] for sample in samples) < 2:
        return _without_ends(centre)
    result = stats.bootstrap(
        samples,
        lambda *drawn, axis: statistic(drawn),
        vectorized=True,
        axis=-1,
        n_resamples=num_resamples,
        batch=max(1, _BATCH // sum(sample.size for sample in samples)),
        confidence_level=CONFIDENCE,
        # It needs no acceleration term, which is undefined for equal seeds.
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    interval = result.confidence_interval
    return Interval(centre, np.asarray(interval.low), np.asarray(interval.high))


def _without_ends(centre: Any) -> Interval:
    return Interval(np.asarray(centre), np.full_like(centre, np.nan), np.full_like(centre, np.nan))

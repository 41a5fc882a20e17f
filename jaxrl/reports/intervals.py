"""Statistics over seeds, with bootstrap confidence intervals."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

NUM_RESAMPLES = 2000
STATISTICS = ("mean", "iqm")


class Interval(NamedTuple):
    """A statistic over seeds and its 95 % bootstrap confidence interval, each [...]."""

    centre: Float[np.ndarray, "..."]
    low: Float[np.ndarray, "..."]
    high: Float[np.ndarray, "..."]


def seed_interval(values: Float[np.ndarray, "seeds ..."], *, statistic: str = "mean") -> Interval:
    """The mean or interquartile mean over the first axis, with its 95 % percentile bootstrap.

    One seed has no interval: both ends are nan.

    Args:
        values: one entry per independent run (or episode) on the first axis.
        statistic: `mean`, or `iqm`, the mean of the middle half.

    Raises:
        ValueError: another statistic.

    Source: Agarwal et al., 2021, "Deep RL at the edge of the statistical precipice", section 4.
    """
    from scipy import stats

    if statistic not in STATISTICS:
        raise ValueError(f"statistic={statistic!r} is not one of {', '.join(STATISTICS)}")

    def centre_of(sample: Any, axis: int = 0) -> Any:
        if statistic == "mean":
            return np.mean(sample, axis=axis)
        return stats.trim_mean(sample, 0.25, axis=axis)

    values = np.asarray(values, dtype=float)
    centre = np.asarray(centre_of(values))
    if values.shape[0] < 2:
        return Interval(centre, np.full_like(centre, np.nan), np.full_like(centre, np.nan))
    # The percentile method needs no acceleration term, which is undefined for equal seeds.
    result = stats.bootstrap(
        (values,),
        centre_of,
        axis=0,
        vectorized=True,
        n_resamples=NUM_RESAMPLES,
        batch=100,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    interval = result.confidence_interval
    return Interval(centre, np.asarray(interval.low), np.asarray(interval.high))

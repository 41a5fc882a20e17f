"""Means over seeds with their intervals."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy import stats


def interval(values: Iterable[Any], *, logarithmic: bool = False) -> dict[str, Any]:
    """The mean over seeds with Student's 95 % interval; of the logarithms if so asked."""
    seeds = [float(x) for x in values]
    sample = np.log(seeds) if logarithmic else np.asarray(seeds)
    mean, error = sample.mean(), sample.std(ddof=1) / np.sqrt(len(sample))
    half = stats.t.ppf(0.975, len(sample) - 1) * error
    numbers = np.array([mean, mean - half, mean + half])
    mean, low, high = np.exp(numbers) if logarithmic else numbers
    return {"mean": float(mean), "ci95": [float(low), float(high)], "seeds": seeds}


def errors_of(rows: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Means [N], and what matplotlib takes for error bars [2, N]."""
    means = np.array([row["mean"] for row in rows])
    limits = np.array([row["ci95"] for row in rows])
    return means, np.abs(limits.T - means)

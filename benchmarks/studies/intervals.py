"""Means over seeds with their intervals."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from jaxrl.reports import seed_interval


def interval(values: Iterable[Any], *, logarithmic: bool = False) -> dict[str, Any]:
    """The mean over seeds with Student's 95 % interval; of the logarithms if so asked."""
    seeds = [float(x) for x in values]
    sample = np.log(seeds) if logarithmic else np.asarray(seeds)
    numbers = np.array(seed_interval(sample))
    mean, low, high = np.exp(numbers) if logarithmic else numbers
    return {"mean": float(mean), "ci95": [float(low), float(high)], "seeds": seeds}


def errors_of(rows: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Means [N], and what matplotlib takes for error bars [2, N]."""
    means = np.array([row["mean"] for row in rows])
    limits = np.array([row["ci95"] for row in rows])
    return means, np.abs(limits.T - means)

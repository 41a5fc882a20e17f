"""Means over seeds or repetitions with their intervals, as numbers for JSON."""

import numpy as np

from jaxrl.reports import seed_interval


def interval_of(values: np.ndarray) -> dict[str, float]:
    """The mean with Student's 95 % interval."""
    return {name: float(x) for name, x in seed_interval(values)._asdict().items()}

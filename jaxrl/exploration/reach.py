"""Whether the first actions that a policy draws lie anywhere near the bounds of a Box."""

import math
import warnings
from typing import Any

import numpy as np
from jax.core import Tracer

from jaxrl.types import Box, Space

# Of the first actions, so few within the bounds leave nothing to compare but the two bounds.
_LEAST_SHARE = 0.05

# Of the way from the middle of the bounds to one of them, in deviations of the first actions.
_MOST_DEVIATIONS = 20.0


class ActionScaleWarning(UserWarning):
    """The first actions of a policy are far from the bounds, or far smaller than they are wide."""


def warn_of_scale(space: Space, deviation: Any, advice: str) -> None:
    """Warns where actions drawn from N(0, deviation) do not suit the bounds of a Box.

    That is the case where in some dimension fewer than 5 % of them lie within the bounds, so that
    nearly all are clipped, or where it is more than 20 deviations from the middle of finite bounds
    to one of them, so that hardly any of what could be done is tried. Bounds or deviations that are
    traced are not known yet, and dimensions whose bounds are equal have no choice.

    Args:
        space: of the actions; others than a Box pass.
        deviation: of the first actions, in every dimension.
        advice: what to do about it.
    """
    if not isinstance(space, Box) or _is_traced(space.low, space.high, deviation):
        return
    scale = float(np.asarray(deviation))
    bounds = (np.broadcast_to(np.asarray(x, float), space.shape) for x in (space.low, space.high))
    for dimension, (low, high) in enumerate(zip(*(bound.reshape(-1) for bound in bounds))):
        share = _share_within(low / scale, high / scale)
        is_wide = math.isfinite(high - low) and high - low > 2 * _MOST_DEVIATIONS * scale
        if low < high and (share < _LEAST_SHARE or is_wide):
            message = (
                f"the policy's first actions have mean 0 and a deviation of {scale:.3g}, but the "
                f"bounds of dimension {dimension} are {low:.6g} and {high:.6g}: {advice}"
            )
            warnings.warn(message, ActionScaleWarning, stacklevel=2)
            return


def _share_within(low: float, high: float) -> float:
    """The probability that a standard normal number lies between two bounds."""
    return 0.5 * (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2)))


def _is_traced(*values: Any) -> bool:
    return any(isinstance(value, Tracer) for value in values)

"""How often a random action is taken: the settings, and the probability at a time."""

from typing import Any

import numpy as np
from jaxtyping import Array, Float

from jaxrl.exploration import linear_epsilon
from jaxrl.settings import Need, number, settings


def _falls(config: Any, _: Any) -> bool:
    return bool(np.any(np.not_equal(config.epsilon_start, config.epsilon_end)))


_FALL = Need(
    "an epsilon_end other than epsilon_start", _falls, fields=("epsilon_start", "epsilon_end")
)


@settings
class EpsilonSettings:
    """How often a random action is taken instead of the best one."""

    epsilon_start: float = number(1.0, minimum=0, maximum=1)
    """Probability of a random action at first."""
    epsilon_end: float = number(0.05, minimum=0, maximum=1)
    """Probability of a random action at last."""
    epsilon_fraction: float = number(0.5, minimum=0, maximum=1, open_minimum=True, needs=_FALL)
    """Share of the budget over which that probability falls, in a straight line."""


def epsilon_at(steps: Any, config: EpsilonSettings, *, total_steps: int) -> Float[Array, ""]:
    """The probability of a random action.

    Args:
        steps: environment steps taken.
        config: the schedule.
        total_steps: the budget.
    """
    return linear_epsilon(
        steps,
        start=config.epsilon_start,
        end=config.epsilon_end,
        duration=config.epsilon_fraction * total_steps,
    )

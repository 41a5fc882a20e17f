"""Exploration: how actions are drawn, and the noise that lives in the `Carry`."""

from jaxrl.exploration.action_noise import gaussian_noise, ornstein_uhlenbeck_noise
from jaxrl.exploration.epsilon_greedy import epsilon_greedy, linear_epsilon
from jaxrl.exploration.protocol import Exploration, independent_sampling
from jaxrl.exploration.reach import ActionScaleWarning, warn_of_scale
from jaxrl.exploration.state_dependent import (
    NoiseMatrix,
    SquashedStateDependentGaussian,
    StateDependentGaussian,
    state_dependent_noise,
)

__all__ = [
    "ActionScaleWarning",
    "Exploration",
    "NoiseMatrix",
    "SquashedStateDependentGaussian",
    "StateDependentGaussian",
    "epsilon_greedy",
    "gaussian_noise",
    "independent_sampling",
    "linear_epsilon",
    "ornstein_uhlenbeck_noise",
    "state_dependent_noise",
    "warn_of_scale",
]

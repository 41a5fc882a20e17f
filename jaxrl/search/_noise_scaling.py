"""Adaptive noise scaling: a search radius that shrinks on success and grows on failure."""

import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from jaxrl.settings import number, settings, static

_ADAPTIVE = ("adaptive_noise", True)


@settings
class NoiseScalingConfig:
    """The search radius of a method that moves to better neighbours."""

    noise_scale: float = number(0.01, minimum=0, open_minimum=True)
    """Standard deviation of the perturbations, at the start."""
    adaptive_noise: bool = static(True)
    """Shrink the noise scale on success and let it grow on failure; otherwise it stays."""
    noise_shrink: float = number(0.5, minimum=0, maximum=1, open_minimum=True, needs=_ADAPTIVE)
    """Factor of the noise scale when a better candidate was found."""
    noise_growth: float = number(2.0, minimum=1, needs=_ADAPTIVE)
    """Factor of the noise scale when none was."""
    min_noise_scale: float = number(1e-3, minimum=0, open_minimum=True, needs=_ADAPTIVE)
    """The noise scale does not shrink below this."""
    max_noise_scale: float = number(2.0, minimum=0, open_minimum=True, needs=_ADAPTIVE)
    """The noise scale does not grow above this."""


def next_noise_scale(
    noise_scale: Float[Array, ""], success: Bool[Array, ""], config: NoiseScalingConfig
) -> Float[Array, ""]:
    """The radius of the next iteration.

        success: max(shrink * radius, minimum);  failure: min(growth * radius, maximum)

    Args:
        noise_scale: the present radius.
        success: whether a better candidate was found.
        config: the rule's factors and limits.
    """
    if not config.adaptive_noise:
        return noise_scale
    smaller = jnp.maximum(config.noise_shrink * noise_scale, config.min_noise_scale)
    larger = jnp.minimum(config.noise_growth * noise_scale, config.max_noise_scale)
    return jnp.where(success, smaller, larger)


def check_noise_limits(config: NoiseScalingConfig) -> None:
    """Checks that the smallest noise scale is not above the largest; traced values pass.

    Raises:
        ValueError: naming both.
    """
    smallest, largest = config.min_noise_scale, config.max_noise_scale
    if isinstance(smallest, Tracer) or isinstance(largest, Tracer):
        return
    if smallest > largest:
        raise ValueError(f"min_noise_scale={smallest} must be at most max_noise_scale={largest}")

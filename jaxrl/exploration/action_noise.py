"""Noise that is added to the actions of a deterministic policy."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.exploration.protocol import Exploration
from jaxrl.types import Box, Carry, Key


def gaussian_noise(action_space: Box, *, scale: Any) -> Exploration:
    """Independent noise at every step, as in TD3 (Fujimoto et al. 2018, section 6.1).

    Args:
        action_space: of vectors, with finite bounds, to which actions are clipped.
        scale: standard deviation, in half the width of the bounds.
    """

    def start(key: Key) -> Carry:
        del key
        return ()

    def sample(key: Key, carry: Carry, action: Array) -> tuple[Carry, Array]:
        noise = scale * jax.random.normal(key, action_space.shape, jnp.float32)
        return carry, _displaced(action, noise, action_space)

    return Exploration(start=start, sample=sample)


def ornstein_uhlenbeck_noise(
    action_space: Box, *, scale: Any, reversion: Any = 0.15, time_step: Any = 0.01
) -> Exploration:
    """Noise with inertia, as in DDPG (Lillicrap et al. 2016, section 7).

        x_t = x_{t-1} - theta x_{t-1} dt + sigma sqrt(dt) Normal(0, 1),  x_0 = 0

    It forgets over 1 / (theta dt) steps, and its deviation comes to sigma / sqrt(2 theta). The
    state is one environment's, and starts again with each episode.

    Args:
        action_space: of vectors, with finite bounds, to which actions are clipped.
        scale: sigma, in half the width of the bounds.
        reversion: theta.
        time_step: dt. The paper does not say; 0.01 is Stable-Baselines3's.
    """

    def start(key: Key) -> Float[Array, " D"]:
        del key
        return jnp.zeros(action_space.shape, jnp.float32)

    def sample(key: Key, carry: Array, action: Array) -> tuple[Array, Array]:
        draw = jax.random.normal(key, action_space.shape, jnp.float32)
        noise = carry - reversion * time_step * carry + scale * jnp.sqrt(time_step) * draw
        return noise, _displaced(action, noise, action_space)

    return Exploration(start=start, sample=sample)


def _displaced(action: Array, noise: Array, space: Box) -> Array:
    low, high = space.bounds()
    return jnp.clip(action + 0.5 * (high - low) * noise, low, high)

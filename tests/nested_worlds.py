"""Worlds whose observations are nested, beside the same worlds with all of it in one vector."""

import jax.numpy as jnp

from jaxrl.types import Box, Discrete

FLAT = Box(-jnp.inf, jnp.inf, (4,))
# In the order of the tree: arm before legs, and within the legs the first before the second.
NESTED = {
    "legs": (Box(-jnp.inf, jnp.inf, ()), Box(-jnp.inf, jnp.inf, (2, 1))),
    "arm": Box(-jnp.inf, jnp.inf, (1,)),
}
MIXED = {
    "image": Box(0, 255, (2, 2, 1), jnp.uint8),
    "kind": Discrete(3),
    "speed": Box(-jnp.inf, jnp.inf, (2,)),
    "lamps": Box(0, 1, (3,), jnp.bool_),
}


def nest(vector):
    """A vector [4] as an element of `NESTED`."""
    return {"arm": vector[:1], "legs": (vector[1], vector[2:].reshape(2, 1))}


def mix(vector):
    """A vector of any length as an element of `MIXED`, by its first entry."""
    value = vector[0]
    byte = jnp.clip(100 * value + 128, 0, 255).astype(jnp.uint8)
    return {
        "image": jnp.full((2, 2, 1), byte),
        "kind": (byte % 3).astype(jnp.int32),
        "speed": jnp.stack([value, -value]),
        "lamps": jnp.arange(3) < 2 * value,
    }


def showing(environment, change, space):
    """The environment with other observations of the same things."""

    def reset(key):
        state, observation = environment.reset(key)
        return state, change(observation)

    def step(key, state, action):
        state, time_step = environment.step(key, state, action)
        return state, time_step._replace(observation=change(time_step.observation))

    return environment._replace(observation_space=space, reset=reset, step=step)

"""A user's environments, as `--import` sees them: one of their own and a suite of two."""

import jax
import jax.numpy as jnp

import jaxrl
from jaxrl.environments import register_suite, signature_parameters, time_limit
from jaxrl.types import Box, Discrete, Environment, TimeStep


def walk(length: int = 6, wind: float = 0.0, direction: str = "right", icy: bool = False):
    """Steps of one to either side; the reward is 1 where the way is the right one."""

    def reset(key):
        position = jax.random.uniform(key, minval=-0.1, maxval=0.1)
        return position, position[None]

    def step(key, position, action):
        way = jnp.where(action == 1, 1.0, -1.0) * (0.5 if icy else 1.0) + wind
        position = position + way
        right = way > 0 if direction == "right" else way < 0
        reward = right.astype(jnp.float32)
        no = jnp.array(False)
        return position, TimeStep(position[None], reward, no, no, {})

    space = Box(-jnp.inf, jnp.inf, (1,))
    endless = Environment("walk", space, Discrete(2), reset, step)
    return time_limit(endless, max_steps=length)


def two_walks(name, **parameters):
    return walk(**{"direction": "left" if name == "left" else "right"} | parameters)


jaxrl.register_environment("walk", walk)
register_suite(
    "toy",
    names=lambda: ["left", "right"],
    make=two_walks,
    parameters_of=lambda name: {
        key: value for key, value in signature_parameters(walk).items() if key != "direction"
    },
)

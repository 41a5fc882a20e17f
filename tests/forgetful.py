"""An algorithm with two settings that it forgets: what the tests of settings must notice."""

import jax
import jax.numpy as jnp

from jaxrl.registry import Entry
from jaxrl.settings import number, settings, static
from jaxrl.types import Algorithm, Policy


@settings
class ForgetfulConfig:
    """Two settings of each kind, of which one has no effect."""

    total_steps: int = static(10, minimum=1)
    size: int = static(3, minimum=1)
    unused_size: int = static(3, minimum=1)
    rate: float = number(0.5)
    unused_rate: float = number(0.5)


def build(env, config):
    """Adds up its rate."""
    action = jnp.zeros(env.action_space.shape, env.action_space.dtype)

    def step(key, state):
        del key
        state = state + config.rate
        return state, {"steps": jnp.int32(state.shape[0])}

    return Algorithm(
        init=lambda key: jax.random.uniform(key, (config.size,)),
        step=step,
        policy=lambda state: Policy(lambda key: (), lambda key, carry, x: (carry, action)),
        environment=env,
        total_steps=config.total_steps,
        steps_per_iteration=1,
        max_iterations=config.total_steps,
    )


ENTRY = Entry("forgetful", ForgetfulConfig, build, "")

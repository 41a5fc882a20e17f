"""What a wrapper does with one key: a step and a repetition draw apart."""

import jax
import jax.numpy as jnp
from probe_environments import constant_reward

from jaxrl.environments import sticky_actions

KEY = jax.random.key(1)


def test_whether_an_action_is_repeated_is_drawn_apart_from_the_step():
    """With the step's key drawn from as the repetition is, how often they agree: by chance."""
    inner = constant_reward(5)

    def step(key, state, action):
        state, timestep = inner.step(key, state, action)
        drawn = jax.random.bernoulli(key, 0.5)
        return state, timestep._replace(info={"drawn": drawn, "taken": action})

    env = sticky_actions(inner._replace(step=step), probability=0.5)
    state, _ = env.reset(KEY)
    # The second action of an episode is 1 where it is not the first one again.
    state, _ = env.step(KEY, state, jnp.int32(0))
    over_keys = jax.jit(jax.vmap(env.step, (0, None, None)))
    _, timestep = over_keys(jax.random.split(KEY, 200), state, jnp.int32(1))
    agree = jnp.mean((timestep.info["taken"] == 0) == timestep.info["drawn"])
    assert 0.3 < agree < 0.7

"""What an environment does with one key: a step, a reset and a repetition draw apart."""

import jax
import jax.numpy as jnp
from probe_environments import constant_reward
from recorded_keys import Keys, environment

from jaxrl.environments import sticky_actions, time_limit
from jaxrl.environments.resets import auto_reset
from jaxrl.types import TimeStep

KEY = jax.random.key(1)


def ending(keys):
    """A step that ends the episode and knows nothing of the next."""

    def step(key, state, action):
        keys.note("step", key)
        end, observation = jnp.array(True), jnp.zeros(1)
        return state, TimeStep(observation, jnp.float32(0), end, end, observation, {})

    return step


def test_a_reset_draws_apart_from_the_step_before_it():
    keys = Keys()
    env = environment(keys)
    state, _ = env.reset(jax.random.key(0))
    auto_reset(env.reset, ending(keys))(KEY, state, jnp.int32(0))
    assert keys.counts() == {"reset": 2, "step": 1}
    keys.require_fresh()


def test_a_step_that_draws_nothing_leaves_the_key_to_the_reset():
    keys = Keys()
    env = environment(keys)
    state, _ = env.reset(jax.random.key(0))
    auto_reset(env.reset, ending(Keys()), step_uses_key=False)(KEY, state, jnp.int32(0))
    assert keys.seen["reset"][1] == tuple(jax.random.key_data(KEY).tolist())


def test_a_limit_resets_with_a_key_of_its_own():
    """Around steps that reset by themselves, and around those that leave it to the library."""
    for inner in (environment, with_resets_left_out):
        keys = Keys()
        env = time_limit(inner(keys), max_steps=1)
        state, _ = env.reset(jax.random.key(0))
        _, timestep = env.step(KEY, state, jnp.int32(0))
        assert bool(timestep.truncated)
        assert keys.counts() == {"reset": 2, "step": 1}
        keys.require_fresh()


def with_resets_left_out(keys):
    env = environment(keys)
    return env._replace(step=auto_reset(env.reset, env.step))


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

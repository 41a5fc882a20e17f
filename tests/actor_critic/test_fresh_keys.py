"""What an update of an actor-critic draws: targets, actions and perturbations, each afresh."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from recorded_keys import Keys

import jaxrl
from jaxrl.actor_critic import sac_agent
from jaxrl.actor_critic._parameter_noise import perturb_policy
from jaxrl.types import Box, Environment, Network, Policy, ReplayAgent, Replayed, StepsBetween

KEY = jax.random.key(0)
BATCH = Replayed(
    observation=jnp.ones((2, 1)),
    action=jnp.zeros((2, 1)),
    reward=jnp.zeros(2),
    discount=jnp.ones(2),
    next_observation=jnp.ones((2, 1)),
    weight=jnp.ones(2),
    index=jnp.arange(2),
    between=StepsBetween(observation=jnp.ones((2, 1, 1)), discount=jnp.ones((2, 1))),
)


def noting_environment():
    """Never stepped: the learning rule reads its spaces only."""
    return Environment("nothing", Box(-1.0, 1.0, (1,)), Box(-1.0, 1.0, (1,)), None, None)


def noting_network(keys, use, output):
    """A network of one number, which notes the key that it starts from."""

    def init(key, *inputs):
        keys.note(use, key)
        return jnp.zeros(())

    return Network(init=init, apply=output)


def noting_distribution(keys):
    """Actions of 0, drawn with keys that are noted."""

    class Noting(NamedTuple):
        like: Array

        def mode(self):
            return self.like

        def sample_and_log_probability(self, key):
            keys.note("draw", key)
            return self.like, jnp.sum(self.like, axis=-1)

    return Noting


def test_sac_draws_for_the_target_its_entropies_and_the_actor_apart():
    """Three draws of each update, and critics that start apart."""
    keys = Keys()
    own = {"num_critics": 3, "learn_temperature": False}
    config = jaxrl.SACConfig(total_steps=10, random_steps=0, **own)
    distribution = noting_distribution(keys)
    agent = sac_agent(
        noting_environment(),
        config,
        policy=noting_network(keys, "init actor", lambda params, x: distribution(params + 0 * x)),
        critic=noting_network(keys, "init critic", lambda params, x, action: params),
    )
    keys.seen.clear()  # What the constructor's checks saw.
    state = agent.init(KEY)
    update = jax.jit(agent.update)
    for seed in range(1, 4):
        state, _, _ = update(jax.random.key(seed), state, BATCH)
    assert keys.counts() == {"init actor": 1, "init critic": 3, "draw": 3 * 3}
    keys.require_fresh()


def perturbed(keys):
    """A policy of one parameter, at 0, whose action is that parameter."""

    def noted(use, result):
        def function(key, *inputs):
            keys.note(use, key)
            return result(*inputs)

        return function

    inner = ReplayAgent(
        init=noted("init", lambda: jnp.zeros(1)),
        start=noted("start", lambda: ()),
        act=noted("act", lambda state, carry, observation: (carry, state)),
        observe=noted("observe", lambda state, transitions: state),
        update=noted("update", lambda state, batch: (state, jnp.zeros(2), {})),
        policy=lambda state: Policy(lambda key: (), lambda key, carry, x: (carry, state)),
    )
    return perturb_policy(
        inner,
        Box(-1.0, 1.0, (1,)),
        params_of=lambda state: state,
        with_params=lambda state, params: params,
        deviation=1.0,
    )


def normal(words):
    """What a standard normal number would be, were it drawn from a key of these words."""
    return jax.random.normal(jax.random.wrap_key_data(jnp.array(words, jnp.uint32)), (1,))


def drawn_from(keys, use):
    return [np.abs(normal(words)[0]) for words in keys.seen[use]]


def none_is_close(numbers, others):
    return not np.isclose(np.sort(numbers), np.sort(others), rtol=1e-4).any()


def test_each_environment_has_noise_of_its_own():
    keys = Keys()
    starts = jax.vmap(perturbed(keys).start)(jax.random.split(KEY, 8))
    assert np.unique(starts.noise).size == 8
    keys.require_fresh()
    assert none_is_close(drawn_from(keys, "start"), np.abs(starts.noise.ravel()))


def test_each_update_has_noise_of_its_own():
    """With a scale of 1 the action is displaced by the noise itself."""
    keys = Keys()
    agent = perturbed(keys)
    state, update = agent.init(KEY), jax.jit(agent.update)
    distances = [
        update(jax.random.key(seed), state, BATCH)[2]["action_deviation"] for seed in range(4)
    ]
    assert np.unique(distances).size == 4
    assert keys.counts()["update"] == 4
    assert none_is_close(drawn_from(keys, "update"), distances)

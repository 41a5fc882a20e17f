"""What an update of an actor-critic draws: targets, actions and perturbations, each afresh."""

import jax
import jax.numpy as jnp
import numpy as np
from recorded_keys import Keys

import jaxrl
from jaxrl.actor_critic._learner import Rule, actor_critic_agent
from jaxrl.actor_critic._parameter_noise import perturb_policy
from jaxrl.types import Box, Policy, ReplayAgent, Replayed, StepsBetween

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


def noting_rule(keys, num_critics):
    """Networks of one number each, which say 0."""

    def init(use):
        def noted(key):
            keys.note(use, key)
            return jnp.zeros(())

        return noted

    def next_value(key, actor, critics, observation):
        keys.note("target", key)
        return jnp.zeros(2)

    def entropy_bonus(key, actor, observation):
        keys.note("bonus", key)
        return jnp.zeros(len(observation))

    def actor_loss(key, actor, critics, observation):
        keys.note("actor", key)
        return 0.0 * actor, {}

    return Rule(
        init_actor=init("init actor"),
        init_critic=init("init critic"),
        predict=lambda params, observation, action: jnp.broadcast_to(params, 2),
        next_value=next_value,
        entropy_bonus=entropy_bonus,
        actor_loss=actor_loss,
        start=lambda key: (),
        act=lambda key, actor, carry, observation: (carry, jnp.zeros(1)),
        policy=lambda actor: None,
        actor_metrics=(),
        num_critics=num_critics,
        target_actor=False,
    )


def test_targets_and_the_actor_draw_apart_and_critics_start_apart():
    keys = Keys()
    config = jaxrl.SACConfig(total_steps=10, random_steps=0)
    agent = actor_critic_agent(noting_rule(keys, num_critics=3), config)
    state = agent.init(KEY)
    update = jax.jit(agent.update)
    for seed in range(1, 4):
        state, _, _ = update(jax.random.key(seed), state, BATCH)
    assert keys.counts() == {
        "init actor": 1,
        "init critic": 3,
        "target": 3,
        "bonus": 3,
        "actor": 3,
    }
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

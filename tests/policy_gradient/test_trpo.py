import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from probe_environments import action_matches_observation, constant_reward, continuous_target
from tiers import leading

import jaxrl
from jaxrl.networks import actor_critic
from jaxrl.ops.trust_region import hessian_vector_product
from jaxrl.policy_gradient import Experience, evaluate_steps, make_actor
from jaxrl.policy_gradient.trpo import improve_policy
from jaxrl.types import Box, Discrete

SPACE = Box(-1.0, 1.0, (3,))


def batch_of(action_space, *, advantage=None, size=64, **changes):
    """An actor, its parameters and made-up experience."""
    config = jaxrl.TRPOConfig(**({"hidden_sizes": (5,), "damping": 0.0} | changes))
    actor = make_actor(SPACE, action_space, config)
    params = actor.init(jax.random.key(0))
    # Away from the nearly uniform start, so that the Fisher matrix has something to it.
    params = jax.tree.map(lambda x: x + 0.3 * jax.random.normal(jax.random.key(1), x.shape), params)
    keys = jax.random.split(jax.random.key(2), 3)
    observation = jax.random.normal(keys[0], (1, size, 3))
    _, (distribution, value) = actor.network.unroll(
        params, (), observation, jnp.zeros((1, size), bool)
    )
    action = distribution.sample(keys[1])
    if advantage is None:
        advantage = jax.random.normal(keys[2], (1, size))
    batch = Experience(
        observation=observation,
        action=action,
        log_probability=distribution.log_probability(action),
        ended=jnp.zeros((1, size), bool),
        value=value,
        advantage=advantage,
        target=value,
        memory=(),
    )
    return config, actor, params, batch


def improve(config, actor, params, batch):
    return jax.jit(lambda p, b: improve_policy(p, b, actor=actor, config=config))(params, batch)


def mean_kl(params, new_params, actor, batch):
    old, new = (evaluate_steps(p, batch, actor)[0] for p in (params, new_params))
    return float(jnp.mean(old.kl_divergence(new)))


@pytest.mark.parametrize(
    ("action_space", "changes"),
    leading(
        [
            (Discrete(4), {}),
            (Box(-1.0, 1.0, (2,)), {}),
            (Box(-1.0, 1.0, (2,)), {"state_dependent_exploration": True}),
        ],
        2,
    ),
)
def test_fisher_vector_product_is_that_of_the_explicit_matrix(action_space, changes):
    """The explicit matrix is made of score functions: E[grad log pi grad log pi^T], enumerated or
    by many samples; and of the KL's own Hessian."""
    _, actor, params, batch = batch_of(action_space, size=8, **changes)
    flat, unravel = ravel_pytree(params)
    old = evaluate_steps(params, batch, actor)[0]

    def kl(flat):
        return jnp.mean(old.kl_divergence(evaluate_steps(unravel(flat), batch, actor)[0]))

    product = jax.jit(functools.partial(hessian_vector_product, kl, flat))
    if isinstance(action_space, Discrete):

        def log_probabilities(flat):
            distribution = evaluate_steps(unravel(flat), batch, actor)[0]
            return jax.nn.log_softmax(distribution.logits)

        scores = jax.jit(jax.jacrev(log_probabilities))(flat)
        probabilities = jnp.exp(log_probabilities(flat)) / batch.advantage.size
        explicit = jnp.einsum("lna,lnax,lnay->xy", probabilities, scores, scores)
    else:
        explicit = jax.jit(jax.jacrev(jax.grad(kl)))(flat)
        np.testing.assert_allclose(explicit, explicit.T, atol=1e-5)
    vectors = jax.random.normal(jax.random.key(3), (4, flat.size))
    for vector in vectors:
        np.testing.assert_allclose(product(vector), explicit @ vector, atol=2e-5, rtol=1e-4)
    assert np.linalg.eigvalsh(np.asarray(explicit)).min() > -1e-5


@pytest.mark.parametrize(
    ("action_space", "max_kl"), leading([(Discrete(4), 1e-3), (Box(-1.0, 1.0, (2,)), 0.1)])
)
def test_step_improves_within_the_bound(action_space, max_kl):
    config, actor, params, batch = batch_of(action_space, max_kl=max_kl, damping=1e-3)
    new, metrics = improve(config, actor, params, batch)
    assert float(metrics["step_accepted"]) == 1
    distance = mean_kl(params, new, actor, batch)
    assert distance <= max_kl * 1.001
    assert distance == pytest.approx(float(metrics["kl_divergence"]), rel=1e-3)
    # The line search shortens a step rather than wasting the region.
    assert distance > 0.3 * max_kl
    before = -float(jnp.mean(batch.advantage))
    assert float(metrics["policy_loss"]) < before


def test_value_is_untouched_by_the_policy_step():
    config, actor, params, batch = batch_of(Discrete(4))
    new, _ = improve(config, actor, params, batch)
    before, after = (evaluate_steps(p, batch, actor)[2] for p in (params, new))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("advantage", leading([0.0, float("nan")]))
def test_rejected_step_leaves_the_parameters_as_they_were(advantage):
    config, actor, params, batch = batch_of(Discrete(4), advantage=jnp.full((1, 64), advantage))
    new, metrics = improve(config, actor, params, batch)
    assert float(metrics["step_accepted"]) == 0
    jax.tree.map(np.testing.assert_array_equal, new, params)


@pytest.mark.full
def test_every_iteration_keeps_the_bound():
    env = jaxrl.make_env("Pendulum-v1")
    config = jaxrl.TRPOConfig(
        total_steps=4_096, num_envs=4, num_steps=64, hidden_sizes=(8,), max_kl=0.02,
        normalize_observations=True,
    )  # fmt: skip
    metrics = jax.jit(lambda key: jaxrl.train(key, jaxrl.trpo(env, config)).metrics)(
        jax.random.key(0)
    )
    assert (metrics["kl_divergence"] <= 0.02).all()
    assert metrics["step_accepted"].mean() > 0.8
    assert (metrics["line_search_trials"] >= 1).all()


PROBE = {"total_steps": 16_384, "num_envs": 16, "num_steps": 32, "hidden_sizes": (16,)}


def test_time_limit_is_no_termination():
    env = constant_reward(5)
    network = actor_critic(env.observation_space, env.action_space, hidden_sizes=(16,))
    config = jaxrl.TRPOConfig(**PROBE, discount=0.9, learning_rate=1e-2)
    algorithm = jaxrl.trpo(env, config)
    state = jax.jit(lambda key: jaxrl.train(key, algorithm).state)(jax.random.key(0))
    value = network.apply(state.agent.params, jnp.zeros(1))[1]
    assert float(value) == pytest.approx(10.0, rel=0.03)


@pytest.mark.parametrize(
    ("make", "changes", "least"),
    leading(
        [
            (action_matches_observation, {}, 1.0),
            (continuous_target, {}, -0.02),
            (continuous_target, {"state_dependent_exploration": True}, -0.02),
        ],
        2,
    ),
)
def test_learns(make, changes, least):
    env = make()
    algorithm = jaxrl.trpo(env, jaxrl.TRPOConfig(**PROBE, max_kl=0.05, **changes))
    state = jax.jit(lambda key: jaxrl.train(key, algorithm).state)(jax.random.key(0))
    returns = jaxrl.evaluate(
        jax.random.key(1), algorithm.environment, algorithm.policy(state), num_episodes=64
    )
    assert float(returns.returns.mean()) >= least


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_kl": 0.0}, "max_kl=0.0 must be greater than 0"),
        ({"num_minibatches": 5}, "num_minibatches=5 does not divide"),
        ({"line_search_shrinkage": 1.5}, "line_search_shrinkage=1.5 must be at most 1"),
    ],
)
def test_wrong_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.trpo(jaxrl.make_env("CartPole-v1"), jaxrl.TRPOConfig(**changes))

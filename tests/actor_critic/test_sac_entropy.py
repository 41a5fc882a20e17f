"""What SAC's entropy is worth with masks of actions, and over several steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_environments import constant_reward, continuous_target
from tiers import leading

import jaxrl
from jaxrl.actor_critic import sac_agent
from jaxrl.actor_critic.sac import target_entropy
from jaxrl.distributions import Categorical
from jaxrl.environments import mask_actions
from jaxrl.types import (
    Box,
    Discrete,
    Environment,
    MaskedObservation,
    Network,
    Replayed,
    StepsBetween,
    TimeStep,
)

KEY = jax.random.key(0)
SMALL = {"random_steps": 100, "hidden_sizes": (16,), "batch_size": 32, "learning_rate": 3e-3}


def second_of_six():
    """One step, six actions, reward 1 for the second: of the six the first two are allowed."""

    def reset(key):
        del key
        return jnp.int32(0), jnp.zeros(1)

    def step(key, state, action):
        del key
        ends = jnp.array(True), jnp.array(False)
        reward = (action == 1).astype(jnp.float32)
        return state, TimeStep(jnp.zeros(1), reward, *ends, {})

    space = Box(-1.0, 1.0, (1,))
    env = Environment("second-of-six", space, Discrete(6), reset, step, max_episode_steps=1)
    return mask_actions(env, lambda observation: jnp.arange(6) < 2)


@pytest.mark.parametrize("wanted", leading([None, 1.2]))
def test_a_mask_leaves_a_target_that_can_be_reached(wanted):
    """1.2 nats are more than two actions can have, as is .98 log 6."""
    env = second_of_six()
    config = jaxrl.SACConfig(total_steps=3_000, target_entropy=wanted, **SMALL)
    algorithm = jaxrl.sac(env, config)
    result = jax.jit(lambda: jaxrl.train(KEY, algorithm, num_evaluations=1))()
    temperature = np.asarray(result.metrics["temperature"])
    assert temperature.max() < 4
    np.testing.assert_allclose(temperature[-100:], temperature[-1], rtol=0.02)
    np.testing.assert_allclose(result.metrics["entropy"][-1], 0.98 * np.log(2), atol=0.01)
    np.testing.assert_array_equal(result.evaluations.returns, 1.0)


def test_the_target_is_that_of_each_states_allowed_actions():
    env = second_of_six()
    masks = jnp.array([[1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 0, 0], [0, 0, 0, 1, 0, 0], [0] * 6], bool)
    seen = MaskedObservation(jnp.zeros((4, 1)), masks)

    def targets(wanted):
        config = jaxrl.SACConfig(target_entropy=wanted, **SMALL)
        return target_entropy(seen, env.action_space, config)

    # Where nothing is allowed, the policy draws from all six.
    most = 0.98 * np.log([6, 3, 1, 6])
    np.testing.assert_allclose(targets(None), most, rtol=1e-6)
    np.testing.assert_allclose(targets(1.2), np.minimum(1.2, most), rtol=1e-6)


@pytest.mark.parametrize(
    ("env", "target", "most"),
    [(constant_reward(5), 0.7, "0.6931"), (continuous_target((2,)), 1.4, "1.386")],
)
def test_a_target_that_no_policy_reaches_is_refused(env, target, most):
    with pytest.raises(ValueError, match=f"target_entropy={target} cannot be reached.*{most} nats"):
        jaxrl.sac(env, jaxrl.SACConfig(target_entropy=target, **SMALL))
    # Nothing seeks it then, which is another mistake.
    with pytest.raises(ValueError, match=r"target_entropy=.* needs learn_temperature=True"):
        jaxrl.sac(env, jaxrl.SACConfig(target_entropy=target, learn_temperature=False, **SMALL))
    jaxrl.sac(env, jaxrl.SACConfig(target_entropy=0.9 * target, **SMALL))


@pytest.mark.parametrize("n_step", leading([1, 3]))
@pytest.mark.parametrize("kind", leading(["discrete", "continuous"]))
def test_the_entropy_of_every_step_is_paid(kind, n_step):
    """No rewards, alpha 1, discount 1/2: all actions are alike, and Q is 1/2 / (1 - 1/2) H.

    H is log 2: of two actions, or of a density on [-1, 1]. Episodes are cut off, not ended.
    """
    env = constant_reward(20)
    plain = env.step

    def step(key, state, action):
        state, time_step = plain(key, state, jnp.int32(0))
        del action
        return state, time_step._replace(reward=jnp.float32(0))

    space = Discrete(2) if kind == "discrete" else Box(-1.0, 1.0, (1,))
    config = jaxrl.SACConfig(
        total_steps=2_000,
        discount=0.5,
        n_step=n_step,
        tau=0.05,
        learn_temperature=False,
        prioritized=n_step == 3,
        normalize_observations=n_step == 3,
        **(SMALL | {"learning_rate": 1e-2}),
    )
    algorithm = jaxrl.sac(env._replace(action_space=space, step=step), config)
    metrics = jax.jit(lambda: jaxrl.train(KEY, algorithm))().metrics
    # The squashed Gaussian comes near the uniform density, and no nearer.
    tolerance = 0.002 if kind == "discrete" else 0.04
    np.testing.assert_allclose(metrics["q_value"][-1], np.log(2), atol=tolerance)


def test_the_target_over_several_steps_by_hand():
    """r = 1, then states 1 and 2 with entropies log 2 and log 3, the second after the end.

    At alpha 2 and discount 1/2 the first row is worth 1 + 1/2 * 2 log 2 + 1/8 V with V = 4 + 2 H;
    the second row's episode ended with its first step, and what stands behind it is nan.
    """
    env = constant_reward(5)._replace(action_space=Discrete(4))
    own = SMALL | {"hidden_sizes": jaxrl.SACConfig().hidden_sizes}
    config = jaxrl.SACConfig(initial_temperature=2.0, num_critics=1, **own)

    def logits(params, x):
        allowed = jnp.where(x[0] > 1.5, 3, 2)
        return Categorical(params + jnp.where(jnp.arange(4) < allowed, 0.0, -jnp.inf) + 0 * x[0])

    policy = Network(init=lambda key, x: jnp.zeros(4), apply=logits)
    critic = Network(init=lambda key, x: jnp.zeros(4), apply=lambda params, x: params + 0 * x[0])
    agent = sac_agent(env, config, policy=policy, critic=critic)
    state = agent.init(KEY)
    state = state._replace(targets=state.targets._replace(critics=(jnp.full(4, 4.0),)))
    nothing = jnp.full(1, jnp.nan)
    batch = Replayed(
        observation=jnp.zeros((2, 1)),
        action=jnp.zeros(2, jnp.int32),
        reward=jnp.array([1.0, 1.0]),
        discount=jnp.array([0.125, 0.0]),
        next_observation=jnp.array([[1.0], [jnp.nan]]),
        weight=jnp.ones(2),
        index=jnp.arange(2),
        between=StepsBetween(
            observation=jnp.array([[[1.0], [2.0]], [nothing, nothing]]),
            discount=jnp.array([[0.5, 0.25], [0.0, 0.0]]),
        ),
    )
    # The critics say 0, so that the error is the target.
    _, error, _ = agent.update(KEY, state, batch)
    between = 0.5 * 2 * np.log(2) + 0.25 * 2 * np.log(3)
    value = 4 + 2 * np.log(2)
    np.testing.assert_allclose(error, [1 + between + 0.125 * value, 1.0], rtol=1e-6)
    alone, error, _ = agent.update(KEY, state, batch._replace(between=None))
    np.testing.assert_allclose(error[0], 1 + 0.125 * value, rtol=1e-6)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(alone.networks.critics))

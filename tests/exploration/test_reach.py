"""When a policy's first actions do not suit the bounds, a warning says so."""

import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_environments import continuous_target

import jaxrl
from jaxrl.exploration import ActionScaleWarning, warn_of_scale
from jaxrl.types import Box, Discrete, MultiDiscrete

INFINITE = math.inf


@pytest.mark.parametrize(
    ("low", "high", "deviation"),
    [
        (100.0, 200.0, 1.0),
        (-200.0, -100.0, 1.0),
        (2.0, 3.0, 1.0),
        (-0.01, 0.01, 1.0),
        (-30.0, 30.0, 1.0),
        (-1.0, 1.0, 0.01),
        (5.0, INFINITE, 1.0),
        (np.array([-1.0, 100.0]), np.array([1.0, 200.0]), 1.0),
    ],
)
def test_far_bounds_are_named(low, high, deviation):
    space = Box(low, high, np.shape(low) or (2,))
    with pytest.warns(ActionScaleWarning, match=r"bounds of dimension . are .*: do this"):
        warn_of_scale(space, deviation, "do this")


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (-1.0, 1.0),
        (-2.0, 2.0),
        (0.0, 1.0),
        (1.0, 2.0),
        (-0.1, 0.1),
        (-15.0, 15.0),
        (-INFINITE, INFINITE),
        (0.0, INFINITE),
        # No choice, and so nothing to reach.
        (7.0, 7.0),
    ],
)
def test_bounds_within_reach_pass(low, high):
    warn_of_scale(Box(low, high, (3,)), 1.0, "do this")


def test_what_is_not_known_or_no_box_passes():
    warn_of_scale(Discrete(5), 1.0, "do this")
    warn_of_scale(MultiDiscrete((2, 3)), 1.0, "do this")

    def traced(bound, deviation):
        warn_of_scale(Box(bound, 200.0, (1,)), 1.0, "do this")
        warn_of_scale(Box(100.0, 200.0, (1,)), deviation, "do this")
        return bound

    jax.jit(traced)(100.0, 1.0)


GRADIENT_AGENTS = {
    "ppo": (jaxrl.ppo, jaxrl.PPOConfig),
    "a2c": (jaxrl.a2c, jaxrl.A2CConfig),
    "a3c": (jaxrl.a3c, jaxrl.A3CConfig),
    "impala": (jaxrl.impala, jaxrl.IMPALAConfig),
    "trpo": (jaxrl.trpo, jaxrl.TRPOConfig),
    "reinforce": (jaxrl.reinforce, jaxrl.ReinforceConfig),
}
FAR = {"low": 100.0, "high": 200.0}


@pytest.mark.parametrize("name", GRADIENT_AGENTS)
def test_every_agent_with_a_gaussian_warns_and_names_the_setting(name):
    build, config = GRADIENT_AGENTS[name]
    far = continuous_target(**FAR)
    with pytest.warns(ActionScaleWarning, match="100 and 200.*rescale_actions=True"):
        build(far, config())
    assert build(far, config(rescale_actions=True)).environment.action_space.low == -1.0
    build(continuous_target(low=-2.0, high=2.0), config())


@pytest.mark.parametrize("shape", [(), (2, 2)])
def test_actions_of_any_shape_are_scaled(shape):
    far = continuous_target(shape=shape, **FAR)
    algorithm = jaxrl.ppo(far, jaxrl.PPOConfig(rescale_actions=True))
    key = jax.random.key(0)
    state, _ = algorithm.environment.reset(key)
    action = jnp.full(algorithm.environment.action_space.shape, 0.5)
    step = algorithm.environment.step(key, state, action)[1]
    np.testing.assert_allclose(step.reward, -((175.0 - 0.7) ** 2), rtol=1e-5)


@pytest.mark.parametrize("name", GRADIENT_AGENTS)
@pytest.mark.parametrize(("low", "high"), [(-INFINITE, INFINITE), (0.0, INFINITE)])
def test_scaling_to_infinite_bounds_is_refused(name, low, high):
    build, config = GRADIENT_AGENTS[name]
    endless = continuous_target(low=low, high=high)
    with pytest.raises(ValueError, match="rescale_actions=True needs Box actions with finite"):
        build(endless, config(rescale_actions=True))


@pytest.mark.parametrize("name", GRADIENT_AGENTS)
def test_scaling_discrete_actions_is_refused(name):
    from probe_environments import constant_reward

    build, config = GRADIENT_AGENTS[name]
    with pytest.raises(ValueError, match=r"rescale_actions=True needs Box.*Discrete"):
        build(constant_reward(), config(rescale_actions=True))


def test_a_memory_warns_too_and_a_network_of_ones_own_is_trusted():
    far = continuous_target(**FAR)
    with pytest.warns(ActionScaleWarning):
        jaxrl.ppo(far, jaxrl.PPOConfig(core="gru", num_minibatches=2))
    own = jaxrl.networks.actor_critic(far.observation_space, far.action_space)
    jaxrl.ppo(far, jaxrl.PPOConfig(), network=own)


def test_it_is_said_within_jit_as_well():
    def build(rate):
        jaxrl.ppo(continuous_target(**FAR), jaxrl.PPOConfig(learning_rate=rate))
        return rate

    with pytest.warns(ActionScaleWarning):
        jax.jit(build)(1e-3)


def test_policy_search_names_its_own_setting():
    far = continuous_target(**FAR)
    with pytest.warns(ActionScaleWarning, match="squash_actions=True"):
        jaxrl.cem(far, jaxrl.CEMConfig())
    jaxrl.cem(far, jaxrl.CEMConfig(squash_actions=True))


@pytest.mark.parametrize("name", ["Pendulum-v1", "MountainCarContinuous-v0"])
def test_the_classic_tasks_pass(name):
    jaxrl.ppo(jaxrl.make_env(name), jaxrl.PPOConfig())


def test_ppo_learns_far_from_zero_with_scaled_actions():
    """Without the scaling every action is cut to 100: the return is -(0.6)^2 for ever."""
    inner = continuous_target(**FAR, target=160.0)
    environment = jaxrl.environments.scale_reward(inner, scale=1 / 50**2)

    def final_return(rescale):
        config = jaxrl.PPOConfig(
            total_steps=30_000,
            num_envs=16,
            num_steps=32,
            learning_rate=3e-3,
            hidden_sizes=(16,),
            entropy_coefficient=0.0,
            rescale_actions=rescale,
        )
        algorithm = jaxrl.ppo(environment, config)
        run = jax.jit(lambda key: jaxrl.train(key, algorithm, num_evaluations=1).evaluations)
        return float(run(jax.random.key(0)).returns.mean())

    assert final_return(True) > -1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ActionScaleWarning)
        assert final_return(False) == -(60.0**2)

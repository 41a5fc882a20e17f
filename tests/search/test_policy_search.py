"""What the searches share: policies of every kind of action, and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_environments import (
    action_matches_observation,
    constant_reward,
    continuous_target,
    vector_of_actions,
)
from tiers import leading

import jaxrl
from jaxrl import CEMConfig, HillClimbingConfig, OpenESConfig
from jaxrl.distributions import TanhGaussian
from jaxrl.loops.population import vector_policy
from jaxrl.networks import policy_network
from jaxrl.types import Box, Discrete


def final_return(environment, config, build=jaxrl.cem):
    algorithm = build(environment, config)

    def run(key):
        return jaxrl.train(key, algorithm, num_evaluations=1).evaluations.returns.mean()

    return float(jax.jit(run)(jax.random.key(0)))


@pytest.mark.parametrize(
    ("environment", "changes", "worst"),
    leading(
        [
            (action_matches_observation(), {}, 1.0),
            (continuous_target(), {"squash_actions": True}, -0.01),
            (action_matches_observation(), {"hidden_sizes": (4,), "stochastic_policy": True}, 1.0),
            (vector_of_actions(), {}, 3.0),
            (continuous_target(), {}, -0.01),
            (continuous_target(), {"stochastic_policy": True, "initial_log_std": -1.0}, -0.05),
            (continuous_target(shape=(2, 2)), {"normalize_observations": True}, -0.03),
        ],
        2,
    ),
)
def test_every_kind_of_policy_is_found(environment, changes, worst):
    config = CEMConfig(total_steps=6_000, episodes_per_candidate=4, **changes)
    assert final_return(environment, config) >= worst


def test_a_network_of_ones_own():
    network = policy_network(Box(-1.0, 1.0, (1,)), Discrete(2), hidden_sizes=(3,))
    algorithm = jaxrl.hill_climbing(
        action_matches_observation(), HillClimbingConfig(), network=network
    )
    state = algorithm.init(jax.random.key(0))
    assert state.search.best.shape == (3 + 3 + 3 * 2 + 2,)


def test_parameters_of_the_network():
    space = Box(-1.0, 1.0, (3,))
    sizes = [
        sum(x.size for x in jax.tree.leaves(network.init(jax.random.key(0), jnp.zeros(3))))
        for network in (
            policy_network(space, Discrete(2), use_bias=False),
            policy_network(space, Discrete(2)),
            policy_network(space, Box(-1.0, 1.0, (2,))),
            policy_network(space, Box(-1.0, 1.0, (2,)), is_stochastic=True),
        )
    ]
    assert sizes == [6, 8, 8, 10]
    squashed = policy_network(space, Box(-3.0, 1.0, (2,)), squash_actions=True)
    params = jax.tree.map(lambda x: 1e3 + x, squashed.init(jax.random.key(0), jnp.zeros(3)))
    distribution = squashed.apply(params, jnp.zeros(3))
    assert isinstance(distribution, TanhGaussian)
    np.testing.assert_allclose(distribution.mode(), [1.0, 1.0])


def test_a_deviation_starts_where_it_is_told_to_whatever_scales_the_parameters():
    """A search that starts from zeros, as augmented random search does."""
    space = Box(-1.0, 1.0, (3,))
    network = policy_network(space, space, is_stochastic=True, initial_log_std=-1.0)
    for scale in (0.0, 0.5, 1.0):
        policy = vector_policy(network, space, is_stochastic=True, scale=scale)
        params = policy.unravel(policy.init(jax.random.key(0)))
        distribution = network.apply(params, jnp.zeros(3))
        np.testing.assert_array_equal(distribution.log_std, -1.0)


def endless():
    return constant_reward(5)._replace(max_episode_steps=None)


def seeing_categories():
    inner = constant_reward(5)

    def step(key, state, action):
        state, step = inner.step(key, state, action)
        return state, step._replace(observation=jnp.int32(0))

    return inner._replace(
        observation_space=Discrete(3),
        reset=lambda key: (inner.reset(key)[0], jnp.int32(0)),
        step=step,
    )


@pytest.mark.parametrize(
    ("environment", "changes", "message"),
    [
        (endless(), {}, "no time limit.*wrap it, as in time_limit"),
        (constant_reward(5), {"episodes_per_candidate": 0}, "episodes_per_candidate=0 must be"),
        (constant_reward(5), {"noise_scale": -1.0}, "noise_scale=-1.0 must be greater than 0"),
        (constant_reward(5), {"squash_actions": True}, "squash_actions=True needs Box actions"),
        (constant_reward(5), {"activation": "sin"}, "activation='sin' is not one of tanh"),
        (constant_reward(5), {"noise_scale": np.ones(2)}, "vmap a function that builds"),
        (constant_reward(2**29), {"total_steps": 2**30}, "an iteration's .* are too many"),
        (
            seeing_categories(),
            {"normalize_observations": True},
            "normalize_observations=True needs Box observations",
        ),
    ],
)
def test_what_does_not_fit_is_named(environment, changes, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.openes(environment, OpenESConfig(**changes))


def test_settings_of_all_searches_come_first_and_have_a_meaning():
    from jaxrl import registry
    from jaxrl.cli.settings_flags import field_meanings

    for name in ("ars", "cem", "evosax", "hill_climbing", "openes", "simulated_annealing"):
        settings = registry.get(name).settings
        fields = list(settings.__dataclass_fields__)
        assert fields[0] == "total_steps"
        assert set(field_meanings(settings)) == set(fields)

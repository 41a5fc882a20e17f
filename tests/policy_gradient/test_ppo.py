import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from probe_environments import (
    action_matches_observation,
    constant_reward,
    continuous_target,
    delayed_reward,
    reward_is_observation,
    vector_of_actions,
)
from tiers import leading

import jaxrl
from jaxrl.distributions import Categorical
from jaxrl.networks import actor_critic
from jaxrl.types import Box, Network

PROBE = {
    "total_steps": 16_384,
    "num_envs": 16,
    "num_steps": 32,
    "learning_rate": 3e-3,
    "entropy_coefficient": 0.0,
    "hidden_sizes": (16,),
}


def train_probe(env, **changes):
    """Trains on a probe; returns the algorithm, its state and the critic as a function."""
    config = jaxrl.PPOConfig(**(PROBE | changes))
    network = actor_critic(
        env.observation_space,
        env.action_space,
        hidden_sizes=config.hidden_sizes,
        shared_torso=config.shared_torso,
    )
    algorithm = jaxrl.ppo(env, config)
    state = jax.jit(lambda key: jaxrl.train(key, algorithm).state)(jax.random.key(0))

    def value(observation):
        return float(network.apply(state.agent.params, jnp.asarray(observation))[1])

    return algorithm, state, value


def mean_return(algorithm, state, episodes=64):
    run = jax.jit(
        lambda key, state: jaxrl.evaluate(
            key, algorithm.environment, algorithm.policy(state), num_episodes=episodes
        )
    )
    return float(run(jax.random.key(1), state).returns.mean())


class TestProbes:
    def test_value_of_a_one_step_task(self):
        _, _, value = train_probe(reward_is_observation())
        assert value([1.0]) == pytest.approx(1.0, abs=0.05)
        assert value([-1.0]) == pytest.approx(-1.0, abs=0.05)

    def test_value_is_discounted(self):
        _, _, value = train_probe(delayed_reward(), discount=0.5)
        assert value([-1.0]) == pytest.approx(0.5, abs=0.05)
        assert value([1.0]) == pytest.approx(1.0, abs=0.05)

    @pytest.mark.parametrize("gae_lambda", [0.0, 0.95])
    def test_time_limit_is_no_termination(self, gae_lambda):
        """Reward 1 for ever, cut off every 5 steps: 1 / (1 - 0.9) = 10, not the 4.1 of 5 steps."""
        _, _, value = train_probe(
            constant_reward(5), discount=0.9, gae_lambda=gae_lambda, learning_rate=2e-2
        )
        assert value([0.0]) == pytest.approx(10.0, rel=0.03)

    def test_termination_is_the_end(self):
        _, _, value = train_probe(constant_reward(5, terminates=True), discount=0.9)
        assert value([0.0]) == pytest.approx((1 - 0.9**5) / (1 - 0.9), abs=0.2)
        assert value([0.8]) == pytest.approx(1.0, abs=0.2)

    @pytest.mark.parametrize("shared_torso", leading([True, False]))
    def test_policy_looks_at_the_observation(self, shared_torso):
        algorithm, state, _ = train_probe(action_matches_observation(), shared_torso=shared_torso)
        assert mean_return(algorithm, state) == pytest.approx(1.0)

    def test_every_factor_of_a_multi_discrete_action_is_learnt(self):
        algorithm, state, _ = train_probe(vector_of_actions(), learning_rate=1e-2)
        assert mean_return(algorithm, state) == pytest.approx(3.0)

    @pytest.mark.parametrize("shape", [(2, 2), pytest.param((), marks=pytest.mark.full)])
    def test_continuous_actions_of_any_shape(self, shape):
        env = continuous_target(shape)
        config = jaxrl.PPOConfig(**(PROBE | {"total_steps": 32_768}))
        algorithm = jaxrl.ppo(env, config)
        state = jax.jit(lambda key: jaxrl.train(key, algorithm).state)(jax.random.key(0))
        assert mean_return(algorithm, state) > -0.01
        # The environment as the user made it, too.
        result = jaxrl.evaluate(jax.random.key(1), env, algorithm.policy(state), num_episodes=4)
        assert float(result.returns.mean()) > -0.05

    def test_gsde_learns(self):
        env = continuous_target()
        config = jaxrl.PPOConfig(**PROBE, state_dependent_exploration=True, noise_interval=4)
        algorithm = jaxrl.ppo(env, config)
        state = jax.jit(lambda key: jaxrl.train(key, algorithm).state)(jax.random.key(0))
        assert mean_return(algorithm, state) > -0.02


@pytest.mark.parametrize(
    ("name", "settings"),
    leading(
        [
            ("CartPole-v1", {"normalize_observations": True, "normalize_rewards": True}),
            ("Pendulum-v1", {"normalize_observations": True, "normalize_rewards": True}),
            ("Pendulum-v1", {"normalize_observations": True, "state_dependent_exploration": True}),
            ("Catch-bsuite", {"normalize_observations": True, "shared_torso": True}),
        ],
        2,
    ),
)
def test_first_minibatch_has_ratio_one(name, settings):
    """In every iteration, not only in the first, where the statistics are still empty."""
    config = jaxrl.PPOConfig(
        total_steps=1024, num_envs=8, num_steps=16, num_epochs=1, num_minibatches=1, **settings
    )
    metrics = jax.jit(
        lambda key: jaxrl.train(key, jaxrl.ppo(jaxrl.make_env(name), config)).metrics
    )(jax.random.key(0))
    assert metrics["approximate_kl"].shape == (8,)
    # Some processors round a fused product in another digit than a plain one: 1e-8 of a logarithm.
    np.testing.assert_allclose(metrics["approximate_kl"], 0.0, atol=1e-14)
    np.testing.assert_array_equal(metrics["clip_fraction"], 0.0)
    # With a ratio of 1 the loss is the mean of the standardised advantages.
    np.testing.assert_allclose(metrics["policy_loss"], 0.0, atol=1e-6)


SMALL = {"total_steps": 512, "num_envs": 4, "num_steps": 16, "hidden_sizes": (8,)}
# With a network of one's own.
OWN = {name: value for name, value in SMALL.items() if name != "hidden_sizes"}


def counting_network(env, counter):
    inner = actor_critic(env.observation_space, env.action_space, hidden_sizes=(8,))

    def apply(params, observation):
        counter.append(1)
        return inner.apply(params, observation)

    return Network(init=inner.init, apply=apply)


def test_one_trace_for_any_number_of_float_settings():
    env = jaxrl.make_env("CartPole-v1")
    counter = []
    network = counting_network(env, counter)

    @jax.jit
    def run(key, learning_rate, discount, clip_epsilon):
        config = jaxrl.PPOConfig(
            learning_rate=learning_rate, discount=discount, clip_epsilon=clip_epsilon, **OWN
        )
        return jaxrl.train(key, jaxrl.ppo(env, config, network=network)).metrics

    first = run(jax.random.key(0), 1e-3, 0.99, 0.2)
    traces = len(counter)
    others = [run(jax.random.key(0), 1e-3 * i, 0.9, 0.1 * i) for i in range(2, 6)]
    assert len(counter) == traces
    assert not np.allclose(first["policy_loss"], others[0]["policy_loss"])


@pytest.mark.full
def test_every_number_can_be_traced_and_batched():
    env = jaxrl.make_env("Pendulum-v1")
    config = jaxrl.PPOConfig(**SMALL, value_clip_epsilon=0.2, target_kl=0.01)
    configs = jax.tree.map(lambda x: jnp.stack([x, 0.9 * x]), config)
    assert len(jax.tree.leaves(configs)) == 11
    run = jax.jit(jax.vmap(lambda c: jaxrl.train(jax.random.key(0), jaxrl.ppo(env, c)).metrics))
    metrics = run(configs)
    assert metrics["policy_loss"].shape == (2, 8)
    assert np.isfinite(metrics["policy_loss"]).all()


@pytest.mark.full
def test_vmapped_seeds_equal_their_solo_runs():
    env = jaxrl.make_env("CartPole-v1")
    config = jaxrl.PPOConfig(**SMALL | {"total_steps": 256})

    def run(key):
        result = jaxrl.train(key, jaxrl.ppo(env, config), num_evaluations=1, evaluation_episodes=4)
        return result.state.agent.params, result.metrics, result.evaluations

    keys = jax.random.split(jax.random.key(0), 64)
    together = jax.jit(jax.vmap(run))(keys)
    alone = jax.jit(run)
    for i in range(64):
        *member, played = jax.tree.map(lambda x: x[i], together)  # noqa: B023
        *own, own_played = alone(keys[i])
        close = functools.partial(np.testing.assert_allclose, rtol=2e-4, atol=1e-5)
        jax.tree.map(close, member, own)
        # Rounding may turn one of the hundreds of actions of an episode.
        np.testing.assert_allclose(played.returns, own_played.returns, rtol=0.02)


def test_same_key_same_bits():
    env = jaxrl.make_env("CartPole-v1")
    run = jax.jit(lambda key: jaxrl.train(key, jaxrl.ppo(env, jaxrl.PPOConfig(**SMALL))))
    jax.tree.map(np.testing.assert_array_equal, run(jax.random.key(3)), run(jax.random.key(3)))


@jax.jit
def train_cartpole(config, key):
    """Settings are an argument, so that those that differ in floats alone compile once."""
    return jaxrl.train(key, jaxrl.ppo(jaxrl.make_env("CartPole-v1"), config)).metrics


def metrics_of(**changes):
    return train_cartpole(jaxrl.PPOConfig(**(SMALL | changes)), jax.random.key(0))


class TestSettings:
    def test_linear_schedules_go_to_zero(self):
        metrics = metrics_of(learning_rate=1.0, clip_epsilon=0.4, clip_schedule="linear")
        left = 1 - np.arange(8) / 8
        np.testing.assert_allclose(metrics["learning_rate"], left, rtol=1e-6)
        np.testing.assert_allclose(metrics["clip_epsilon"], 0.4 * left, rtol=1e-6)

    def test_optax_schedules_are_factors_of_the_iteration(self):
        schedule = optax.exponential_decay(1.0, transition_steps=1, decay_rate=0.5)
        metrics = metrics_of(learning_rate=0.1, learning_rate_schedule=schedule)
        np.testing.assert_allclose(metrics["learning_rate"], 0.1 * 0.5 ** np.arange(8), rtol=1e-6)

    @pytest.mark.full
    def test_kl_stop_keeps_the_policy_near(self):
        free = metrics_of(learning_rate=0.05, num_epochs=8)
        held = metrics_of(learning_rate=0.05, num_epochs=8, target_kl=1e-4)
        assert held["approximate_kl"].max() < free["approximate_kl"].max() / 3

    def test_kl_stop_at_one_and_a_half_times_the_target(self):
        """Two steps' KL stops the next step where it is above the bound, and not just below it."""

        def apply(params, observation):
            return Categorical(params * observation), jnp.zeros(())

        network = Network(init=lambda key, observation: jnp.zeros(2), apply=apply)

        @jax.jit
        def learn(target_kl):
            config = jaxrl.PPOConfig(
                **OWN | {"total_steps": 64},
                num_minibatches=1,
                num_epochs=2,
                learning_rate=0.2,
                target_kl=target_kl,
            )
            algorithm = jaxrl.ppo(action_matches_observation(), config, network=network)
            state, metrics = jaxrl.train(jax.random.key(0), algorithm)[:2]
            return state.agent.params, metrics["approximate_kl"][0]

        one, _ = learn(1e-12)
        two, mean = learn(1e6)
        assert not np.allclose(one, two)
        kl = 2 * mean  # Of the first pass it is 0.
        np.testing.assert_array_equal(learn(kl / 1.6)[0], one)
        np.testing.assert_array_equal(learn(kl / 1.4)[0], two)

    @pytest.mark.parametrize(("epsilon", "loss"), [(None, 0.3125), (0.1, 0.4525)])
    def test_value_clip_by_hand(self, epsilon, loss):
        """A value of 0 whose target is 1; Adam's first step takes it to 0.5.

        The losses of the two passes are 1/2 and (1 - 0.5)^2 / 2; where no more than 0.1 of the way
        counts, the second is (1 - 0.1)^2 / 2.
        """

        def init(key, observation):
            return {"value": jnp.zeros(()), "logits": jnp.zeros(2)}

        def apply(params, observation):
            return Categorical(params["logits"]), params["value"]

        config = jaxrl.PPOConfig(
            total_steps=8,
            num_envs=2,
            num_steps=4,
            num_epochs=2,
            num_minibatches=1,
            learning_rate=0.5,
            discount=0.0,
            max_gradient_norm=None,
            optimizer_epsilon=1e-8,
            value_clip_epsilon=epsilon,
        )
        algorithm = jaxrl.ppo(constant_reward(5), config, network=Network(init, apply))
        metrics = jaxrl.train(jax.random.key(0), algorithm).metrics
        np.testing.assert_allclose(metrics["value_loss"], [loss], rtol=1e-5)

    def test_gradient_norm_is_clipped_as_a_whole(self):
        """Adam forgets a constant factor, so a tiny norm shows where epsilon no longer does."""
        free = metrics_of(optimizer_epsilon=1.0, max_gradient_norm=1e6)
        held = metrics_of(optimizer_epsilon=1.0, max_gradient_norm=1e-9)
        assert free["approximate_kl"][0] > 0
        assert held["approximate_kl"][0] < 1e-3 * free["approximate_kl"][0]

    @pytest.mark.parametrize(
        "changes",
        leading(
            [
                {
                    "compute_dtype": "bfloat16",
                    "value_clip_epsilon": 0.2,
                    "normalize_advantages": False,
                },
                {"max_gradient_norm": None, "activation": "relu"},
                {"total_steps": 500, "num_steps": 13, "num_minibatches": 1, "hidden_sizes": ()},
            ]
        ),
    )
    def test_options_train(self, changes):
        metrics = metrics_of(**changes)
        assert np.isfinite(metrics["policy_loss"]).all()
        assert metrics["steps"][-1] >= changes.get("total_steps", SMALL["total_steps"])

    def test_bfloat16_changes_the_computation_only(self):
        env = jaxrl.make_env("CartPole-v1")
        algorithm = jaxrl.ppo(env, jaxrl.PPOConfig(**SMALL, compute_dtype="bfloat16"))
        state = jax.eval_shape(algorithm.init, jax.random.key(0))
        assert {x.dtype for x in jax.tree.leaves(state.agent.params)} == {jnp.dtype("float32")}
        jaxpr = str(jax.make_jaxpr(algorithm.step)(jax.random.key(0), state))
        assert "bf16" in jaxpr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_minibatches": 5}, r"num_minibatches=5 does not divide num_envs \* num_steps = 512"),
        ({"num_envs": 0}, "num_envs=0 must be at least 1"),
        ({"num_envs": 2.5}, "num_envs=2.5 is not a whole number"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0 must be greater than 0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan is not a number"),
        ({"learning_rate": "fast"}, "learning_rate='fast' is not a number"),
        ({"discount": 1.5}, "discount=1.5 must be at most 1"),
        ({"activation": "sine"}, "activation='sine' is not one of tanh, relu"),
        ({"hidden_sizes": (64, 0)}, r"hidden_sizes=\(64, 0\) must be at least 1"),
        ({"hidden_sizes": (64, 0.5)}, "hidden_sizes=.* is not a tuple of whole numbers"),
        ({"normalize_advantages": 1}, "normalize_advantages=1 is not True or False"),
        ({"total_steps": 2**53 + 1}, "total_steps=9007199254740993 must be at most"),
        ({"torso": "cnn"}, "torso='cnn' needs observations of shape"),
        ({"state_dependent_exploration": True}, "needs Box actions"),
        (
            {"num_envs": 2**20, "num_steps": 2**20},
            "num_envs . num_steps = 1099511627776 are too many",
        ),
        ({"total_steps": 2**53}, "are 17592186044416 iterations, and at most 2147483647 can be"),
        ({"learning_rate": jnp.array([1e-3, 1e-4])}, r"learning_rate has shape \(2,\).*vmap"),
    ],
)
def test_wrong_settings_fail_before_tracing(changes, message):
    env = jaxrl.make_env("CartPole-v1")
    with pytest.raises(ValueError, match=message):
        jaxrl.ppo(env, jaxrl.PPOConfig(**changes))


def test_categories_are_not_normalised():
    env = jaxrl.make_env("FrozenLake-misc")
    with pytest.raises(ValueError, match="normalize_observations=True needs Box observations"):
        jaxrl.ppo(env, jaxrl.PPOConfig(normalize_observations=True))


def test_network_of_another_task_is_refused():
    env = jaxrl.make_env("Pendulum-v1")
    wide = Box(-1.0, 1.0, (3,))
    network = actor_critic(env.observation_space, wide)
    with pytest.raises(ValueError, match=r"actions of shape \(3,\).*have shape \(1,\)"):
        jaxrl.ppo(env, jaxrl.PPOConfig(), network=network)
    with pytest.raises(ValueError, match="StateDependentGaussian, not a DiagonalGaussian"):
        jaxrl.ppo(env, jaxrl.PPOConfig(state_dependent_exploration=True), network=network)


def test_network_of_the_wrong_form_is_refused():
    env = jaxrl.make_env("CartPole-v1")
    network = Network(init=lambda key, x: {}, apply=lambda params, x: x)
    with pytest.raises(ValueError, match="maps one observation to"):
        jaxrl.ppo(env, jaxrl.PPOConfig(), network=network)

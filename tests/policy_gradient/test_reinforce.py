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
    vector_of_actions,
)

import jaxrl
from jaxrl.distributions import Categorical
from jaxrl.environments import time_limit
from jaxrl.networks import actor_critic, step_by_step
from jaxrl.types import Network

PROBE = {
    "total_steps": 8192,
    "num_episodes": 64,
    "learning_rate": 1e-2,
    "hidden_sizes": (16,),
    "num_value_steps": 5,
}


def settings_of(base, **changes):
    """Settings of REINFORCE, without those of the value baseline where there is none."""
    settings = base | changes
    if settings.get("baseline", "value") != "value":
        del settings["num_value_steps"]
    return jaxrl.ReinforceConfig(**settings)


def train_probe(env, **changes):
    """Trains on a probe; returns the algorithm, its state and the critic as a function."""
    config = settings_of(PROBE, **changes)
    network = actor_critic(
        env.observation_space, env.action_space, hidden_sizes=config.hidden_sizes
    )
    algorithm = jaxrl.reinforce(env, config)
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
    @pytest.mark.parametrize(
        "changes",
        [
            {"baseline": "none", "credit": "total"},
            {"baseline": "leave_one_out", "normalize_returns": True},
            {"baseline": "value", "optimizer": "rmsprop"},
        ],
    )
    def test_policy_looks_at_the_observation(self, changes):
        algorithm, state, _ = train_probe(action_matches_observation(), **changes)
        assert mean_return(algorithm, state) == pytest.approx(1.0)

    @pytest.mark.full
    def test_every_factor_of_a_multi_discrete_action_is_learnt(self):
        algorithm, state, _ = train_probe(vector_of_actions())
        assert mean_return(algorithm, state) == pytest.approx(3.0)

    @pytest.mark.full
    def test_continuous_actions_of_any_shape(self):
        env = continuous_target((2, 2))
        algorithm = jaxrl.reinforce(env, jaxrl.ReinforceConfig(**PROBE | {"total_steps": 16_384}))
        state = jax.jit(lambda key: jaxrl.train(key, algorithm).state)(jax.random.key(0))
        assert mean_return(algorithm, state) > -0.02

    def test_value_is_discounted(self):
        _, _, value = train_probe(delayed_reward(), discount=0.5, num_value_steps=20)
        assert value([-1.0]) == pytest.approx(0.5, abs=0.05)
        assert value([1.0]) == pytest.approx(1.0, abs=0.05)

    def test_value_of_a_task_cut_off_is_what_it_gave(self):
        """The mean reward to go of 5 steps, discounted by 0.5, and not 1 / (1 - 0.5)."""
        _, _, value = train_probe(constant_reward(5), discount=0.5, num_value_steps=20)
        to_go = [2 * (1 - 0.5**n) for n in range(1, 6)]
        assert value([0.0]) == pytest.approx(np.mean(to_go), abs=0.05)


SMALL = {"total_steps": 512, "num_episodes": 4, "hidden_sizes": (8,), "num_value_steps": 2}


@jax.jit
def train_cartpole(config, key):
    """Settings are an argument, so that those that differ in floats alone compile once."""
    env = jaxrl.make_env("CartPole-v1", max_steps_in_episode=50)
    return jaxrl.train(key, jaxrl.reinforce(env, config)).metrics


def metrics_of(**changes):
    metrics = train_cartpole(settings_of(SMALL, **changes), jax.random.key(0))
    used = int(np.sum(metrics["steps"] >= 0))
    return {name: np.asarray(column)[:used] for name, column in metrics.items()}


class TestSettings:
    def test_linear_schedule_follows_the_steps(self):
        metrics = metrics_of(learning_rate=1.0)
        before = np.concatenate([[0], metrics["steps"][:-1]])
        np.testing.assert_allclose(metrics["learning_rate"], 1 - before / 512, rtol=1e-6)

    def test_optax_schedules_are_factors_of_the_iteration(self):
        schedule = optax.exponential_decay(1.0, transition_steps=1, decay_rate=0.5)
        metrics = metrics_of(learning_rate=0.1, learning_rate_schedule=schedule)
        expected = 0.1 * 0.5 ** np.arange(len(metrics["steps"]))
        np.testing.assert_allclose(metrics["learning_rate"], expected, rtol=1e-6)

    def test_only_a_learned_baseline_has_metrics(self):
        learned, plain = metrics_of(), metrics_of(baseline="batch_mean")
        assert set(learned) - set(plain) == {"value_loss", "explained_variance"}
        assert np.isfinite(learned["value_loss"]).all()
        assert learned["value_loss"][-1] < learned["value_loss"][0]

    def test_entropy_bonus_keeps_the_policy_wide(self):
        """So large that it rules: where the answer is clear, the policy still takes either."""
        free, wide = (
            train_probe(action_matches_observation(), entropy_coefficient=c, baseline="none")[1]
            for c in (0.0, 100.0)
        )
        env = action_matches_observation()
        network = actor_critic(env.observation_space, env.action_space, hidden_sizes=(16,))

        def entropy(state):
            return float(network.apply(state.agent.params, jnp.ones(1))[0].entropy())

        assert entropy(wide) == pytest.approx(np.log(2), abs=1e-3)
        assert entropy(free) < 0.1

    def test_gradient_norm_is_clipped_as_a_whole(self):
        """Adam forgets a constant factor, so a tiny norm shows where epsilon no longer does."""
        settings = {"optimizer_epsilon": 1.0, "baseline": "none", "learning_rate": 1.0}
        free = metrics_of(**settings)
        held = metrics_of(**settings, max_gradient_norm=1e-9)
        assert np.log(2) - held["entropy"][-1] < 1e-3 * (np.log(2) - free["entropy"][-1])

    def test_one_episode_per_update(self):
        metrics = metrics_of(num_episodes=1, normalize_returns=True)
        assert np.isfinite(metrics["policy_loss"]).all()
        assert metrics["episodes"].tolist() == [1] * len(metrics["steps"])


def test_equal_returns_of_every_update_leave_the_policy_as_it_was():
    """Reward 1 at each of 5 steps whatever is done: zero spread among whole returns, never NaN."""
    config = settings_of(
        SMALL, credit="total", baseline="none", normalize_returns=True, discount=0.9
    )
    algorithm = jaxrl.reinforce(constant_reward(5), config)
    before = jax.jit(algorithm.init)(jax.random.key(0))
    after, metrics = jax.jit(algorithm.step)(jax.random.key(1), before)
    jax.tree.map(np.testing.assert_array_equal, before.agent.params, after.agent.params)
    assert float(metrics["gradient_norm"]) == 0.0


def test_a_network_with_memory_plays_and_learns():
    """It counts its own steps: only with a memory can the right action alternate."""

    def apply(params, memory, observation):
        odd = memory % 2
        logits = params["logits"][odd]
        return memory + 1, (Categorical(logits=logits), 0.0 * observation[0])

    network = step_by_step(
        init=lambda key, observation: {"logits": jnp.zeros((2, 2))},
        start=lambda: jnp.int32(0),
        apply=apply,
    )
    inner = constant_reward(4, terminates=True)

    def step(key, state, action):
        wanted = state.time.astype(jnp.int32) % 2
        state, timestep = inner.step(key, state, action)
        return state, timestep._replace(reward=(action == wanted).astype(jnp.float32))

    config = jaxrl.ReinforceConfig(
        total_steps=4096, num_episodes=32, learning_rate=0.1, baseline="leave_one_out"
    )
    algorithm = jaxrl.reinforce(inner._replace(step=step), config, network=network)
    state = jax.jit(lambda key: jaxrl.train(key, algorithm).state)(jax.random.key(0))
    assert mean_return(algorithm, state) == 4.0


@pytest.mark.full
def test_one_trace_for_any_number_of_float_settings():
    env = jaxrl.make_env("CartPole-v1", max_steps_in_episode=20)
    inner = actor_critic(env.observation_space, env.action_space, hidden_sizes=(8,))
    counter = []

    def apply(params, observation):
        counter.append(1)
        return inner.apply(params, observation)

    network = Network(init=inner.init, apply=apply)
    own = {name: value for name, value in SMALL.items() if name != "hidden_sizes"}

    @jax.jit
    def run(learning_rate, discount):
        config = jaxrl.ReinforceConfig(
            learning_rate=learning_rate, discount=discount, discount_time=True, **own
        )
        algorithm = jaxrl.reinforce(env, config, network=network)
        return jaxrl.train(jax.random.key(0), algorithm).metrics["policy_loss"]

    first = run(1e-3, 0.99)
    traces = len(counter)
    others = [run(1e-3 * i, 0.9) for i in range(2, 5)]
    assert len(counter) == traces
    assert not np.allclose(first[0], others[0][0])


@pytest.mark.full
def test_every_number_can_be_traced_and_batched():
    env = time_limit(continuous_target(), max_steps=1)
    config = jaxrl.ReinforceConfig(**SMALL | {"total_steps": 16}, max_gradient_norm=1.0)
    configs = jax.tree.map(lambda x: jnp.stack([x, 0.9 * x]), config)
    assert len(jax.tree.leaves(configs)) == 7
    run = jax.jit(
        jax.vmap(lambda c: jaxrl.train(jax.random.key(0), jaxrl.reinforce(env, c)).metrics)
    )
    assert np.isfinite(run(configs)["policy_loss"]).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_episodes": 0}, "num_episodes=0 must be at least 1"),
        ({"credit": "all"}, "credit='all' is not one of total, reward_to_go"),
        ({"baseline": "mean"}, "baseline='mean' is not one of none, batch_mean, leave_one_out"),
        ({"discount": 1.5}, "discount=1.5 must be at most 1"),
        ({"credit": "total", "discount_time": True}, "needs credit='reward_to_go'"),
        ({"baseline": "batch_mean", "num_episodes": 1}, "num_episodes=1 must be at least 2"),
        ({"baseline": "leave_one_out", "num_episodes": 1}, "num_episodes=1 must be at least 2"),
        (
            {
                "baseline": "none",
                "credit": "total",
                "normalize_returns": True,
                "num_episodes": 1,
            },
            "normalize_returns=True compares .* num_episodes=1 must be at least 2",
        ),
        ({"num_value_steps": 0}, "num_value_steps=0 must be at least 1"),
        ({"state_dependent_exploration": True}, "needs Box actions"),
        ({"num_episodes": 2**23}, r"num_episodes \* the time limit = 4194304000 are too many"),
        ({"learning_rate": jnp.array([1e-3, 1e-4])}, r"learning_rate has shape \(2,\).*vmap"),
    ],
)
def test_wrong_settings_fail_before_tracing(changes, message):
    env = jaxrl.make_env("CartPole-v1")
    with pytest.raises(ValueError, match=message):
        jaxrl.reinforce(env, jaxrl.ReinforceConfig(**changes))


def test_an_environment_without_a_limit_is_refused():
    env = constant_reward(5)._replace(max_episode_steps=None)
    with pytest.raises(ValueError, match=r"wrap it, as in time_limit\(env, max_steps=1000\)"):
        jaxrl.reinforce(env, jaxrl.ReinforceConfig())
    jaxrl.reinforce(time_limit(env, max_steps=9), jaxrl.ReinforceConfig())

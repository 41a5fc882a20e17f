from typing import NamedTuple

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from probe_environments import constant_reward

import jaxrl
from jaxrl.environments import clip_reward, scale_reward
from jaxrl.training import Progress, advance, evaluate, train
from jaxrl.types import Algorithm, Policy

POLICY = Policy(start=lambda key: (), act=lambda key, carry, observation: (carry, jnp.int32(0)))


class Count(NamedTuple):
    steps: jax.Array
    total: jax.Array


def toy(total_steps=10, *, cost=lambda key: jnp.int32(1), per_iteration=1, max_iterations=None):
    """Adds up random numbers; an iteration takes `cost(key)` steps."""

    def step(key, state):
        steps = state.steps + cost(key)
        value = jax.random.uniform(key)
        return Count(steps, state.total + value), {"steps": steps, "value": value}

    return Algorithm(
        init=lambda key: Count(jnp.int32(0), jax.random.uniform(key)),
        step=step,
        policy=lambda state: POLICY,
        environment=constant_reward(5),
        total_steps=total_steps,
        steps_per_iteration=per_iteration,
        max_iterations=total_steps if max_iterations is None else max_iterations,
    )


def fixed(total_steps, per_iteration):
    return toy(
        total_steps,
        cost=lambda key: jnp.int32(per_iteration),
        per_iteration=per_iteration,
        max_iterations=-(-total_steps // per_iteration),
    )


class TestTrain:
    @pytest.mark.parametrize(("total", "per", "iterations"), [(10, 3, 4), (9, 3, 3), (1, 8, 1)])
    def test_fewest_iterations_that_reach_the_budget(self, total, per, iterations):
        metrics = train(jax.random.key(0), fixed(total, per)).metrics
        np.testing.assert_array_equal(metrics["steps"], per * np.arange(1, iterations + 1))

    def test_varying_cost_stops_at_the_budget_and_leaves_nan_rows(self):
        algorithm = toy(
            20,
            cost=lambda key: jax.random.randint(key, (), 3, 9),
            per_iteration=None,
            max_iterations=10,
        )
        result = train(jax.random.key(0), algorithm)
        steps = np.asarray(result.metrics["steps"])
        used = int((steps >= 0).sum())
        assert steps.shape == (10,)
        assert steps[used - 2] < 20 <= steps[used - 1] == result.state.steps
        assert (steps[used:] == -1).all()
        assert np.isnan(result.metrics["value"][used:]).all()
        assert np.isfinite(result.metrics["value"][:used]).all()

    @pytest.mark.parametrize("per_iteration", [3, None])
    @pytest.mark.parametrize("evaluations", [1, 2, 3, 7])
    def test_evaluating_changes_nothing(self, per_iteration, evaluations):
        algorithm = toy(25, cost=lambda key: jnp.int32(3), per_iteration=per_iteration)
        algorithm = algorithm._replace(max_iterations=9)
        plain = train(jax.random.key(0), algorithm)
        result = train(
            jax.random.key(0), algorithm, num_evaluations=evaluations, evaluation_episodes=2
        )
        jax.tree.map(np.testing.assert_array_equal, plain.metrics, result.metrics)
        jax.tree.map(np.testing.assert_array_equal, plain.state, result.state)
        np.testing.assert_array_equal(result.evaluations.returns, np.full((evaluations, 2), 5.0))

    def test_more_evaluations_than_iterations(self):
        result = train(jax.random.key(0), fixed(10, 5), num_evaluations=5, evaluation_episodes=1)
        np.testing.assert_array_equal(result.metrics["steps"], [5, 10])
        assert result.evaluations.returns.shape == (5, 1)

    def test_negative_count_is_refused(self):
        with pytest.raises(ValueError, match="num_evaluations=-1"):
            train(jax.random.key(0), fixed(10, 5), num_evaluations=-1)

    def test_a_budget_beyond_int32_is_refused(self):
        with pytest.raises(ValueError, match="total_steps=2147483646 cannot be counted"):
            train(jax.random.key(0), fixed(2**31 - 2, 2**30))


class TestAdvance:
    @pytest.mark.parametrize("rows", [1, 2, 5, 10, 16])
    def test_cutting_a_run_into_chunks_keeps_the_bits(self, rows):
        algorithm = fixed(30, 3)
        key_init, key_steps, _ = jax.random.split(jax.random.key(0), 3)
        state, progress = algorithm.init(key_init), Progress(jnp.int32(0), jnp.int32(0))
        values = []
        while int(progress.steps) < 30:
            before = int(progress.iteration)
            state, progress, metrics = advance(
                key_steps, algorithm, state, progress, num_rows=rows, until_steps=30
            )
            used = int(progress.iteration) - before
            assert np.isnan(metrics["value"][used:]).all()
            values.extend(np.asarray(metrics["value"][:used]))
        whole = train(jax.random.key(0), algorithm)
        np.testing.assert_array_equal(values, whole.metrics["value"])
        np.testing.assert_array_equal(state.total, whole.state.total)

    def test_it_stops_where_it_is_told_to(self):
        """Two iterations of 3 steps reach 6, and 7 take another."""
        algorithm = fixed(30, 3)
        start = Progress(jnp.int32(0), jnp.int32(0))
        for until_steps, iterations in ((6, 2), (7, 3)):
            _, progress, _ = advance(
                jax.random.key(0),
                algorithm,
                algorithm.init(jax.random.key(1)),
                start,
                num_rows=10,
                until_steps=until_steps,
            )
            assert (int(progress.iteration), int(progress.steps)) == (iterations, 3 * iterations)

    def test_progress_stays_unbatched_where_the_cost_is_fixed(self):
        algorithm = fixed(30, 3)
        keys = jax.random.split(jax.random.key(0), 4)
        states = jax.vmap(algorithm.init)(keys)
        start = Progress(jnp.int32(0), jnp.int32(0))

        def run(key, state, progress):
            return advance(key, algorithm, state, progress, num_rows=2, until_steps=30)

        _, progress, metrics = jax.vmap(run, in_axes=(0, 0, None), out_axes=(0, None, 0))(
            keys, states, start
        )
        assert (int(progress.iteration), int(progress.steps)) == (2, 6)
        assert metrics["value"].shape == (4, 2)


class TestEvaluate:
    def test_every_episode_is_whole(self):
        result = evaluate(jax.random.key(0), constant_reward(7), POLICY, num_episodes=3)
        np.testing.assert_array_equal(result.returns, [7.0, 7.0, 7.0])
        np.testing.assert_array_equal(result.lengths, [7, 7, 7])

    def test_episodes_of_different_length_each_count_once(self):
        env = jaxrl.make_env("CartPole-v1")
        result = jax.jit(lambda key: evaluate(key, env, POLICY, num_episodes=64))(jax.random.key(0))
        # A constant push to the left ends an episode after 8 to 11 steps, with reward 1 at each.
        lengths = set(np.asarray(result.lengths).tolist())
        assert {8, 9, 10} <= lengths <= {8, 9, 10, 11}
        np.testing.assert_array_equal(result.returns, result.lengths)

    def test_actions_of_another_environment_are_named(self):
        env, key = jaxrl.make_env("Pendulum-v1"), jax.random.key(0)
        policy = POLICY._replace(act=lambda key, carry, observation: (carry, jnp.zeros(3)))
        message = r"policy's actions have shape \(3,\), but those of Pendulum-v1 have shape \(1,\)"
        with pytest.raises(ValueError, match=message):
            evaluate(key, env, policy, num_episodes=2)

    @pytest.mark.parametrize("limit", [4, 6])
    def test_part_of_an_episode_is_nothing(self, limit):
        """The task ends after 7 steps, whatever it declares."""
        env = constant_reward(7)._replace(max_episode_steps=limit)
        result = evaluate(jax.random.key(0), env, POLICY, num_episodes=3)
        assert np.isnan(result.returns).all()
        np.testing.assert_array_equal(result.lengths, [0, 0, 0])

    def test_whole_episodes_count_beside_those_that_are_cut(self):
        env = jaxrl.make_env("CartPole-v1")
        whole = evaluate(jax.random.key(0), env, POLICY, num_episodes=64)
        overrun = env._replace(max_episode_steps=9)
        result = evaluate(jax.random.key(0), overrun, POLICY, num_episodes=64)
        cut = np.asarray(whole.lengths) > 9
        assert 0 < cut.sum() < 64
        np.testing.assert_array_equal(result.returns, np.where(cut, np.nan, whole.returns))
        np.testing.assert_array_equal(result.lengths, np.where(cut, 0, whole.lengths))

    def test_scaled_and_clipped_rewards_are_not_reported(self):
        env = clip_reward(scale_reward(constant_reward(4), scale=0.1), low=-0.05, high=0.05)
        result = evaluate(jax.random.key(0), env, POLICY, num_episodes=1)
        np.testing.assert_allclose(result.returns, [4.0])

    def test_a_task_without_limit_is_refused(self):
        env = constant_reward(4)._replace(max_episode_steps=None)
        with pytest.raises(ValueError, match=r"no time limit.*time_limit\(env"):
            evaluate(jax.random.key(0), env, POLICY, num_episodes=1)

    def test_no_episodes_are_refused(self):
        with pytest.raises(ValueError, match="num_episodes=0"):
            evaluate(jax.random.key(0), constant_reward(4), POLICY, num_episodes=0)

    def test_memory_starts_at_the_episode_and_is_carried(self):
        """A policy that counts its steps and pushes left only at first."""
        policy = Policy(
            start=lambda key: jnp.int32(0),
            act=lambda key, count, observation: (count + 1, jnp.int32(count % 2)),
        )
        env = jaxrl.make_env("CartPole-v1")
        result = evaluate(jax.random.key(0), env, policy, num_episodes=8)
        assert (np.asarray(result.lengths) > 12).all()


def test_a_callback_gets_every_third_row():
    algorithm = fixed(20, 2)
    rows = []
    result = jax.jit(lambda key: train(key, algorithm, callback=rows.append, callback_interval=3))(
        jax.random.key(0)
    )
    jax.effects_barrier()
    assert sorted(int(row["steps"]) for row in rows) == [6, 12, 18]
    assert all(isinstance(row["steps"], np.ndarray) for row in rows)
    np.testing.assert_array_equal(result.metrics["steps"], np.arange(2, 21, 2))


VARYING = toy(
    20, cost=lambda key: jax.random.randint(key, (), 3, 9), per_iteration=None, max_iterations=10
)


@pytest.mark.parametrize("varies", [False, True])
def test_a_callback_under_vmap_and_where_runs_end_at_different_times(varies):
    """Every run reports each of its own iterations once, and none that it did not take."""
    algorithm = VARYING if varies else fixed(20, 2)
    rows = []
    keys = jax.random.split(jax.random.key(0), 3)
    result = jax.jit(jax.vmap(lambda key: train(key, algorithm, callback=rows.append)))(keys)
    jax.effects_barrier()
    taken = np.asarray(result.metrics["steps"])
    assert sorted(int(row["steps"]) for row in rows) == sorted(taken[taken >= 0].tolist())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"callback": 3}, "callback=3 must be a function"),
        ({"callback_interval": 2}, "callback_interval=2 needs a callback"),
        ({"callback": print, "callback_interval": 0}, "callback_interval=0 must be at least 1"),
    ],
)
def test_bad_callbacks(given, message, monkeypatch):
    # Users have no checks of annotations.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=message):
        train(jax.random.key(0), fixed(20, 2), **given)


def test_nothing_is_left_of_a_callback_that_is_not_given():
    algorithm = fixed(20, 2)
    with_one = str(
        jax.make_jaxpr(lambda key: train(key, algorithm, callback=print))(jax.random.key(0))
    )
    without = str(jax.make_jaxpr(lambda key: train(key, algorithm))(jax.random.key(0)))
    assert "callback" in with_one
    assert "callback" not in without

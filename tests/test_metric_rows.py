"""Fewer rows of metrics than iterations, each over several of them."""

import jax
import numpy as np
import pytest
from runs.toy import ToyConfig, toy, toy_environment

from jaxrl import train

KEY = jax.random.key(3)


def condensed(metrics, per_row):
    """The rows by hand."""
    used = metrics["steps"] >= 0
    rows = {name: [] for name in metrics}
    for first in range(0, len(used), per_row):
        place = slice(first, first + per_row)
        is_used = used[place]
        episodes = np.where(is_used, metrics["episodes"][place], 0)
        rows["steps"].append(metrics["steps"][place].max())
        rows["episodes"].append(episodes.sum() if is_used.any() else -1)
        for name in set(metrics) - {"steps", "episodes"}:
            values = metrics[name][place]
            weights = (episodes if name.startswith("episode_") else 1.0) * is_used
            weights = np.where(np.isnan(values), 0.0, weights)
            total = np.sum(np.where(weights > 0, values, 0.0) * weights)
            rows[name].append(total / weights.sum() if weights.sum() else np.nan)
    return {name: np.array(values) for name, values in rows.items()}


@pytest.mark.parametrize("varies", [False, True])
@pytest.mark.parametrize(("num_rows", "per_row"), [(3, 34), (1, 101), (50, 3)])
def test_rows_are_means_over_iterations(varies, num_rows, per_row):
    algorithm = toy(toy_environment(), ToyConfig(total_steps=808, varies=varies))
    if varies:
        algorithm = algorithm._replace(max_iterations=101 * 3)
        per_row = -(-303 // num_rows)
    whole = jax.jit(lambda key: train(key, algorithm))(KEY)
    few = jax.jit(lambda key: train(key, algorithm, metric_rows=num_rows))(KEY)
    expected = condensed({name: np.asarray(x) for name, x in whole.metrics.items()}, per_row)
    assert few.metrics.keys() == expected.keys()
    for name, values in few.metrics.items():
        assert values.shape == expected[name].shape
        np.testing.assert_allclose(values, expected[name], rtol=1e-5)
    np.testing.assert_array_equal(few.state.parameters["w"], whole.state.parameters["w"])


def test_with_evaluations_between():
    algorithm = toy(toy_environment(), ToyConfig(total_steps=160))
    arguments = {"num_evaluations": 3, "evaluation_episodes": 2}
    whole = jax.jit(lambda key: train(key, algorithm, **arguments))(KEY)
    few = jax.jit(lambda key: train(key, algorithm, metric_rows=4, **arguments))(KEY)
    expected = condensed({name: np.asarray(x) for name, x in whole.metrics.items()}, 5)
    np.testing.assert_allclose(few.metrics["policy_loss"], expected["policy_loss"], rtol=1e-5)
    np.testing.assert_array_equal(few.evaluations.returns, whole.evaluations.returns)


def test_room_does_not_grow_with_the_run():
    """A row per iteration of ten million would take 200 MB."""
    algorithm = toy(toy_environment(), ToyConfig(total_steps=80_000_000))
    result = jax.eval_shape(lambda key: train(key, algorithm, metric_rows=100), KEY)
    assert {x.shape for x in result.metrics.values()} == {(100,)}
    program = jax.jit(lambda key: train(key, algorithm, metric_rows=100)).lower(KEY).as_text()
    assert "10000000x" not in program


def test_no_rows_are_refused():
    algorithm = toy(toy_environment(), ToyConfig())
    with pytest.raises(ValueError, match="metric_rows=0 must be at least 1"):
        train(KEY, algorithm, metric_rows=0)

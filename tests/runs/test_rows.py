import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.runs import ExperimentError, read_evaluations, read_metrics
from jaxrl.runs.rows import aggregate, to_rows

NAN = float("nan")


def test_aggregate_by_hand():
    metrics = {
        "steps": jnp.array([8, 16, 24, -1]),
        "episodes": jnp.array([1, 0, 3, -1]),
        "episode_return": jnp.array([10.0, NAN, 2.0, NAN]),
        "episode_length": jnp.array([4.0, NAN, 8.0, NAN]),
        "entropy": jnp.array([3.0, NAN, 5.0, NAN]),
        "updates": jnp.array([2, 4, 6, -1]),
    }
    row = jax.jit(aggregate)(metrics, jnp.int32(3))
    expected = {"steps": 24, "episodes": 4, "entropy": 4.0, "updates": 4.0}
    # One episode of 10 and three of 2; lengths of 4 and 8.
    expected |= {"episode_return": 4.0, "episode_length": 7.0}
    assert {name: float(value) for name, value in row.items()} == expected
    assert row["steps"].dtype == row["episodes"].dtype == jnp.int32


def test_aggregate_of_nothing_is_nan_and_of_infinity_infinite():
    metrics = {
        "steps": jnp.array([8, 16]),
        "episodes": jnp.array([0, 0]),
        "episode_return": jnp.array([NAN, NAN]),
        "value_loss": jnp.array([1.0, jnp.inf]),
    }
    row = aggregate(metrics, jnp.int32(2))
    assert np.isnan(row["episode_return"])
    assert np.isposinf(row["value_loss"])
    assert float(aggregate(metrics, jnp.int32(1))["value_loss"]) == 1.0
    assert np.isnan(aggregate(metrics, jnp.int32(0))["value_loss"])


def test_aggregate_without_episode_counts_weighs_iterations():
    metrics = {"steps": jnp.array([1, 2]), "episode_return": jnp.array([1.0, 3.0])}
    assert float(aggregate(metrics, jnp.int32(2))["episode_return"]) == 2.0


def test_rows_are_valid_short_json():
    values = {
        "zeta": np.array([0.1, NAN], np.float32),
        "episodes": np.array([1, 0], np.int32),
        "steps": np.array([8, 9], np.int32),
        "returns": np.array([[1.5, np.inf], [0.3, 2.0]], np.float32),
    }
    rows = to_rows(values, [{"member": 0, "seed": 3}, {"member": 1, "seed": 4}])
    assert [json.dumps(row, allow_nan=False) for row in rows] == [
        '{"member": 0, "seed": 3, "steps": 8, "episodes": 1, "returns": [1.5, null], "zeta": 0.1}',
        '{"member": 1, "seed": 4, "steps": 9, "episodes": 0, "returns": [0.3, 2.0], "zeta": null}',
    ]


def write(path, rows, tail=""):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)


def test_read_metrics_pads_and_ignores_half_a_line(tmp_path):
    rows = [
        {"seed": 4, "steps": 8, "loss": 1.0},
        {"seed": 3, "steps": 9, "loss": None},
        {"seed": 4, "steps": 16, "loss": 2.0, "kl": 0.5},
    ]
    write(tmp_path / "metrics.jsonl", rows, tail='{"seed": 3, "st')
    metrics = read_metrics(tmp_path)
    np.testing.assert_array_equal(metrics["steps"], [[9, NAN], [8, 16]])
    np.testing.assert_array_equal(metrics["loss"], [[NAN, NAN], [1, 2]])
    np.testing.assert_array_equal(metrics["kl"], [[NAN, NAN], [NAN, 0.5]])


def test_read_evaluations(tmp_path):
    rows = [
        {"seed": 0, "steps": 8, "returns": [1.0, 2.0], "lengths": [3, 4]},
        {"seed": 1, "steps": 8, "returns": [5.0, None], "lengths": [3, 4]},
        {"seed": 0, "steps": 16, "returns": [6.0, 7.0], "lengths": [3, 5]},
    ]
    write(tmp_path / "evaluations.jsonl", rows)
    evaluations = read_evaluations(tmp_path)
    np.testing.assert_array_equal(evaluations.steps, [[8, 16], [8, NAN]])
    np.testing.assert_array_equal(evaluations.returns, [[[1, 2], [6, 7]], [[5, NAN], [NAN, NAN]]])
    assert evaluations.lengths.shape == (2, 2, 2)


def test_no_rows_yet(tmp_path):
    (tmp_path / "metrics.jsonl").touch()
    (tmp_path / "evaluations.jsonl").touch()
    assert read_metrics(tmp_path) == {}
    assert read_evaluations(tmp_path).returns.shape == (0, 0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "not json\n",
        '{"steps": 1}\n',
        "3\n",
        '{"seed": 0, "steps": 1, "returns": [[1], 2]}\n',
        '{"seed": 0, "steps": 1, "returns": 3, "lengths": 3}\n',
    ],
)
def test_damaged_rows_are_one_clear_line(tmp_path, text):
    (tmp_path / "evaluations.jsonl").write_text(text)
    with pytest.raises(ExperimentError, match=r"evaluations.jsonl cannot be used") as error:
        read_evaluations(tmp_path)
    assert "\n" not in str(error.value)


def test_missing_rows(tmp_path):
    with pytest.raises(ExperimentError, match=r"has no metrics.jsonl"):
        read_metrics(tmp_path)

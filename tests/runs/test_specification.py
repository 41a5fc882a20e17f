import dataclasses
import json
import math

import jax.numpy as jnp
import numpy as np
import pytest
from runs.toy import ToyConfig, specification, toy_environment

from jaxrl.runs import ExperimentError, Member, build, read_specification
from jaxrl.runs.construction import constructor
from jaxrl.runs.grouping import Differences
from jaxrl.runs.specification import from_json, require_whole, to_json


def round_trip(run):
    return from_json(json.loads(json.dumps(to_json(run), allow_nan=False)))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"learning_rate": 0.1 + 0.2, "sizes": (1, (2, 3)), "total_steps": 7, "varies": True},
        {"learning_rate": math.inf, "bound": -math.inf},
        {"environment_parameters": {"limit": 4, "wind": 0.5, "noisy": True}, "preset": "toy/toy"},
        {"log_interval": None, "checkpoint_minutes": None, "wandb_project": "p", "seed": 2**32 - 2},
    ],
)
def test_survives_json(changes):
    run = specification(**changes)
    assert round_trip(run) == run
    assert isinstance(round_trip(run).settings, ToyConfig)


def test_numbers_of_numpy_and_jax_become_plain():
    run = specification(
        learning_rate=jnp.float32(0.5),
        total_steps=np.int64(9),
        environment_parameters={"limit": np.int32(4)},
    )
    data = to_json(run)
    assert data["settings"]["learning_rate"] == 0.5
    assert data["settings"]["total_steps"] == 9
    assert data["environment_parameters"] == {"limit": 4}
    json.dumps(data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": math.sqrt}, "settings.sizes=<built-in function sqrt> cannot be written"),
        ({"learning_rate": jnp.ones(3)}, "must be one number"),
        ({"environment_parameters": {"wind": math.inf}}, "parameter wind=inf must be finite"),
        ({"environment_parameters": {"wind": jnp.ones(3)}}, "environment parameter wind"),
    ],
)
def test_what_is_not_data_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        to_json(specification(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": []}, "members is empty: a run has at least one"),
        ({"members": [Member(seed=-1)]}, r"members\[0\]: seed=-1 must be at least 0"),
        ({"seed": 2**32 - 1, "seeds": 2}, r"members\[1\]: .* must stay at most 4294967295"),
        ({"log_interval": 0}, "log_interval=0 must be at least 1"),
        ({"evaluation_interval": -3}, "evaluation_interval=-3"),
        ({"evaluation_episodes": -1}, "evaluation_episodes=-1"),
        ({"checkpoint_interval": True}, "checkpoint_interval=True is not a whole number"),
        ({"checkpoint_minutes": 0}, "checkpoint_minutes=0 must be a number greater than 0"),
        ({"checkpoint_minutes": math.inf}, "checkpoint_minutes=inf must be a number"),
        ({"keep_checkpoints": 0}, "keep_checkpoints=0 must be at least 1"),
    ],
)
def test_wrong_values_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        specification(**changes)


@pytest.mark.parametrize("value", [1.5, "2", True, None])
def test_counts_are_whole_numbers(value):
    # Not through the class, whose annotations the test suite itself enforces.
    with pytest.raises(ValueError, match=f"seeds={value!r} is not a whole number"):
        require_whole("seeds", value, minimum=1)


def damaged_configs():
    good = to_json(specification())
    yield "", "cannot be used"
    yield "[]", "does not hold a JSON object"
    yield json.dumps({k: v for k, v in good.items() if k != "settings"}), "settings is missing"
    yield json.dumps(good | {"algorithm": "ppoo"}), "unknown algorithm 'ppoo'"
    yield json.dumps(good | {"settings": {"speed": 1}}), "toy has no setting 'speed'"
    yield json.dumps(good | {"settings": {"learning_rate": "fast"}}), "is not a number"
    old = {name: value for name, value in good.items() if name != "members"}
    yield json.dumps(old | {"seeds": 0}), "seeds=0 must be at least 1"
    yield json.dumps(good | {"members": []}), "members is empty"
    yield json.dumps(good | {"members": {}}), "members is not a list"
    yield json.dumps(good | {"members": [3]}), r"members\[0\] is not as a run writes it"
    yield json.dumps(good | {"members": [{"seed": 0, "weight": 1}]}), r"members\[0\] is not as"
    yield json.dumps(good | {"members": [{"seed": "a"}]}), "seed='a' is not a whole number"
    wrong = {"seed": 0, "settings": {"learning_rate": [1]}}
    yield json.dumps(good | {"members": [wrong]}), r"learning_rate=\[1\] is not a number"
    yield json.dumps(good | {"environment_parameters": [1]}), "environment_parameters"


def test_damaged_config_is_one_clear_line(tmp_path):
    for text, message in damaged_configs():
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ExperimentError, match=message) as error:
            read_specification(tmp_path)
        assert "\n" not in str(error.value)
        assert "config.json" in str(error.value)


def test_folder_without_a_run(tmp_path):
    with pytest.raises(ExperimentError, match=r"is not a run: it has no config\.json"):
        read_specification(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ExperimentError, match="is not a run"):
        read_specification(tmp_path / "file")


def test_build_passes_parameters_and_settings():
    run = specification(environment_parameters={"limit": 7}, total_steps=33)
    settings = dataclasses.replace(run.settings, total_steps=44)
    algorithm = constructor(run)(settings, Differences({}, {}))
    assert algorithm.environment.max_episode_steps == 7
    assert algorithm.total_steps == 44
    assert build(run).total_steps == 33
    assert toy_environment().max_episode_steps == 3

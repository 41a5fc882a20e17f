"""Going on with more steps: the States of a run that had them from the beginning."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from runs import toy

from jaxrl import PBTConfig, cli, runs
from jaxrl.runs import ExperimentError, programs


def specification(total_steps, **changes):
    """Rows of fixed length, so that they are those of the longer run too."""
    return toy.specification(total_steps=total_steps, log_interval=16, **changes)


def states_of(folder):
    leaves = jax.tree.leaves(runs.load(folder).states)
    keys = [jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) for x in leaves]
    return [np.asarray(jax.random.key_data(x) if k else x) for x, k in zip(leaves, keys)]


@pytest.mark.parametrize("varies", [False, True])
def test_the_states_are_those_of_a_longer_run(tmp_path, varies):
    runs.start(specification(104, varies=varies), tmp_path / "short")
    outcome = runs.resume(tmp_path / "short", total_steps=208)
    assert outcome.finished
    runs.start(specification(208, varies=varies), tmp_path / "long")
    for one, other in zip(states_of(tmp_path / "short"), states_of(tmp_path / "long"), strict=True):
        np.testing.assert_array_equal(one, other)
    assert runs.read_specification(tmp_path / "short").settings.total_steps == 208
    assert runs.read_specification(tmp_path / "short").earlier_budgets == (104,)
    # There is an evaluation at each of its ends.
    steps = runs.read_evaluations(tmp_path / "short").steps
    assert steps[0, -1] >= 208
    assert ((steps[0] >= 104) & (steps[0] < 112)).any()


def test_it_may_be_killed_and_go_on_and_on(tmp_path, monkeypatch):
    class Killed(BaseException):
        """Stands for the end of the process."""

    def die(*given):
        raise Killed

    folder = tmp_path / "run"
    runs.start(specification(104), folder)
    with monkeypatch.context() as patch:
        patch.setattr(programs.Programs, "advance", die)
        with pytest.raises(Killed):
            runs.resume(folder, total_steps=160)
    assert runs.resume(folder).finished
    assert runs.resume(folder, total_steps=208).finished
    assert runs.read_specification(folder).earlier_budgets == (104, 160)
    runs.start(specification(208), tmp_path / "long")
    for one, other in zip(states_of(folder), states_of(tmp_path / "long"), strict=True):
        np.testing.assert_array_equal(one, other)
    assert runs.resume(folder).steps_before == runs.resume(folder).steps


@pytest.mark.parametrize(
    ("total_steps", "message"),
    [
        (104, "total_steps=104 must be more than the 104 that it has"),
        (8, "must be more than"),
        (0, "must be at least 1"),
        (2**60, "must be at most|cannot be counted|counted"),
    ],
)
def test_budgets_that_cannot_be(tmp_path, total_steps, message):
    runs.start(specification(104), tmp_path / "run")
    before = (tmp_path / "run" / "config.json").read_bytes()
    with pytest.raises(ExperimentError, match=message):
        runs.resume(tmp_path / "run", total_steps=total_steps)
    assert (tmp_path / "run" / "config.json").read_bytes() == before


def test_a_part_of_a_sweep_has_the_budget_of_the_others(tmp_path):
    runs.start(specification(104, stop_steps=48), tmp_path / "run")
    with pytest.raises(ExperimentError, match="a part of a sweep"):
        runs.resume(tmp_path / "run", total_steps=208)


def test_a_state_that_has_room_for_its_budget(tmp_path):
    """The lineage of a population is as long as its budget."""
    run = runs.Specification(
        algorithm="pbt",
        environment="toy",
        settings=PBTConfig(total_steps=192, member_algorithm="toy", population_size=4, interval=2),
        evaluation_episodes=0,
    )
    runs.start(run, tmp_path / "run")
    with pytest.raises(ExperimentError, match=r"has room for total_steps=192 and no more.*--from"):
        runs.resume(tmp_path / "run", total_steps=384)


def test_an_edited_budget_is_found(tmp_path):
    """With more steps a run goes on by name, and not because somebody wrote a number."""
    folder = tmp_path / "run"
    runs.start(specification(104), folder)
    data = json.loads((folder / "config.json").read_text())
    data["settings"]["total_steps"] = 208
    (folder / "config.json").write_text(json.dumps(data))
    with pytest.raises(ExperimentError, match=r"total_steps in its config\.json have changed"):
        runs.resume(folder)


def test_budgets_rise():
    with pytest.raises(ValueError, match=r"earlier_budgets=\(208,\) must rise to the budget"):
        dataclasses.replace(specification(104), earlier_budgets=(208,))


def test_on_the_command_line(tmp_path, capsys):
    folder = tmp_path / "run"
    runs.start(specification(104), folder)
    assert cli.main(["resume", str(folder), "--total-steps", "120"]) == 0
    assert runs.load(folder).progress.steps >= 120
    capsys.readouterr()
    assert cli.main(["resume", str(folder), "--total-steps", "100"]) == 2
    assert "must be more than the 120 that it has" in capsys.readouterr().err

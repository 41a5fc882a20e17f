"""Members that differ in floats: one program, each equal to its solo run, resumed to the bits."""

import dataclasses
import functools
import json
import math
import pathlib

import jax
import numpy as np
import pytest
from runs.toy import ToyConfig, same_state, specification
from tiers import leading

from jaxrl import PPOConfig, registry
from jaxrl.runs import (
    Member,
    Specification,
    checkpoints,
    evaluate_run,
    groups_of,
    load,
    make_members,
    prepare,
    programs,
    read_evaluations,
    read_metrics,
    resume,
    runner,
    start,
)
from jaxrl.runs.grouping import identities_of
from jaxrl.runs.specification import from_json, to_json

GRID = {"settings": {"learning_rate": [0.1, 0.3, 1.0]}, "environment_parameters": {"wind": [0, 2]}}


def grid(**changes):
    return specification(members=make_members(range(4), **GRID), **changes)


def test_a_product_of_values_and_seeds():
    members = make_members([7, 9], settings={"bound": [1.0]}, environment_parameters={"g": [2, 3]})
    assert members == tuple(
        Member(seed=seed, settings={"bound": 1.0}, environment_parameters={"g": g})
        for g in (2, 3)
        for seed in (7, 9)
    )


@pytest.mark.parametrize("varies", leading([True, False]))
def test_one_program_and_each_member_as_alone(tmp_path, monkeypatch, varies):
    """3 learning rates x 2 winds x 4 seeds; each program is traced once for all of them."""
    run = grid(varies=varies)
    traces = []
    entry = registry.get("toy")
    monkeypatch.setattr(jax, "jit", counting(jax.jit, traces))
    start(run, tmp_path / "all")
    monkeypatch.undo()
    from runs import toy

    toy.install(monkeypatch.setattr, monkeypatch.setitem)
    assert sorted(name for name in traces if name in PROGRAMS) == sorted(PROGRAMS)
    assert entry.name == "toy"
    whole = load(tmp_path / "all")
    metrics, played = read_metrics(tmp_path / "all"), read_evaluations(tmp_path / "all")
    again = evaluate_run(whole, num_episodes=2)
    for place in (0, 6, 23):
        member = run.members[place]
        alone = specification(
            varies=varies,
            learning_rate=member.settings["learning_rate"],
            environment_parameters=dict(member.environment_parameters),
            members=[Member(seed=member.seed)],
        )
        folder = tmp_path / f"alone_{place}"
        start(alone, folder)
        own = load(folder).state_of(0)
        np.testing.assert_allclose(
            whole.state_of(place).parameters["w"], own.parameters["w"], rtol=1e-5
        )
        for name, values in read_metrics(folder).items():
            known = metrics[name][place][: values.shape[1]]
            np.testing.assert_allclose(known, values[0], rtol=1e-5, atol=1e-6)
        # When the others are evaluated depends on the slowest member where the cost varies.
        last = slice(-1, None) if varies else slice(None)
        returns = read_evaluations(folder).returns[0][last]
        np.testing.assert_allclose(played.returns[place][last], returns, rtol=1e-5, atol=1e-6)
    # The wind of 2 blows in each of three steps, in the evaluations of a loaded run too.
    assert np.mean(again.returns[4:8]) - np.mean(again.returns[:4]) > 3


@pytest.mark.full
def test_a_grid_of_a_real_task(tmp_path, monkeypatch):
    """3 learning rates x 2 gravities x 4 seeds of PPO: one program, each member as alone."""
    monkeypatch.undo()
    settings = {"learning_rate": [1e-4, 1e-3, 1e-2]}
    parameters = {"gravity": [9.8, 30.0]}
    shared = {
        "algorithm": "ppo",
        "environment": "CartPole-v1",
        "evaluation_episodes": 2,
        "log_interval": 64,
    }
    config = PPOConfig(total_steps=192, num_envs=4, num_steps=16, hidden_sizes=(8,), num_epochs=2)
    members = make_members(range(4), settings=settings, environment_parameters=parameters)
    run = Specification(settings=config, members=members, **shared)
    traces = []
    with monkeypatch.context() as patch:
        patch.setattr(jax, "jit", counting(jax.jit, traces))
        start(run, tmp_path / "all")
    assert sorted(name for name in traces if name in PROGRAMS) == sorted(PROGRAMS)
    whole, metrics = load(tmp_path / "all"), read_metrics(tmp_path / "all")
    played = read_evaluations(tmp_path / "all")
    # Gravity and learning rate reach the program: no two of them end alike.
    losses = metrics["value_loss"][::4, -1]
    assert len(set(losses.tolist())) == 6
    for place in (5, 18):
        own = members[place]
        alone = Specification(
            settings=dataclasses.replace(config, **own.settings),
            environment_parameters=own.environment_parameters,
            members=[Member(seed=own.seed)],
            **shared,
        )
        folder = tmp_path / f"alone_{place}"
        start(alone, folder)
        for name, values in read_metrics(folder).items():
            np.testing.assert_allclose(metrics[name][place], values[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(played.returns[place], read_evaluations(folder).returns[0])
        for leaf, expected in zip(
            jax.tree.leaves(whole.state_of(place).agent),
            jax.tree.leaves(load(folder).state_of(0).agent),
            strict=True,
        ):
            np.testing.assert_allclose(leaf, expected, rtol=1e-4, atol=1e-6)


PROGRAMS = ("init", "advance", "evaluate")


def counting(jit, traces):
    """A `jax.jit` that notes each trace of a function by its name."""

    def counted(function, *arguments, **keywords):
        @functools.wraps(function)
        def traced(*values, **named):
            traces.append(getattr(function, "__name__", ""))
            return function(*values, **named)

        return jit(traced, *arguments, **keywords)

    return counted


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it."""


@pytest.mark.parametrize("calls", [1, 4])
def test_resumed_to_the_same_bits(tmp_path, monkeypatch, calls):
    prepared = prepare(grid())
    compiled = programs.Programs(prepared, starts_anew=True)
    monkeypatch.setattr(runner, "prepare", lambda _: prepared)
    monkeypatch.setattr(programs, "Programs", lambda *_, **__: compiled)
    start(prepared, tmp_path / "whole")
    save, count = checkpoints.save, [0]

    def dying(*arguments, **keywords):
        save(*arguments, **keywords)
        count[0] += 1
        if count[0] == calls:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", dying)
        with pytest.raises(Killed):
            start(prepared, tmp_path / "killed")
    assert resume(tmp_path / "killed").finished
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
    same_state(load(tmp_path / "whole").states, load(tmp_path / "killed").states)


def test_rows_and_pictures_carry_what_differs(tmp_path):
    start(grid(), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    expected = {"member": 6, "seed": 2, "settings.learning_rate": 0.1, "env.wind": 2.0}
    assert expected.items() <= rows[6].items()
    names = {path.name for path in (tmp_path / "tensorboard").iterdir()}
    assert "learning_rate=0.3,env.wind=2" in names
    below = tmp_path / "tensorboard" / "learning_rate=0.3,env.wind=2"
    assert {path.name for path in below.iterdir()} == {"mean", *(f"seed_{i}" for i in range(4))}
    assert "settings.learning_rate" not in read_metrics(tmp_path)
    assert from_json(json.loads(json.dumps(to_json(grid())))) == grid()


def test_groups_share_all_but_the_seed():
    groups = groups_of(grid())
    assert [group.label for group in groups][:2] == [
        "learning_rate=0.1, env.wind=0",
        "learning_rate=0.1, env.wind=2",
    ]
    assert groups[1].members == (4, 5, 6, 7)
    (alone,) = groups_of(specification())
    assert alone == ("", (0, 1))
    # What all members set alike is no difference.
    same = specification(members=make_members(range(2), settings={"learning_rate": [0.3]}))
    assert [group.label for group in groups_of(same)] == [""]
    assert identities_of(same)[1] == {"member": 1, "seed": 1, "settings.learning_rate": 0.3}


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ({"settings": {"learning_rat": 1.0}}, r"members\[1\].settings: toy has no setting .*did"),
        ({"settings": {"total_steps": 9}}, r"members\[1\].settings: total_steps changes the prog"),
        ({"settings": {"learning_rate": -1.0}}, r"members\[1\].settings: learning_rate=-1.0 must"),
        ({"settings": {"learning_rate": math.nan}}, r"members\[1\].settings: .*is not a number"),
        ({"settings": {"learning_rate": 1e39}}, "beyond float32"),
        ({"settings": {"learning_rate": "fast"}}, "'fast' is not a number"),
        ({"settings": {"bound": 1.0}}, r"members\[0\].settings lacks bound"),
        ({"environment_parameters": {"wind": math.inf}}, "wind=inf must be finite"),
        ({"environment_parameters": {"wind": 1.0}}, r"members\[0\].environment_para.* lacks wind"),
        ({"seed": 0}, r"members\[1\] is the same as members\[0\]: seed=0"),
        ({"seed": 0, "settings": {"learning_rate": 0.1 + 1e-12}}, "is the same as"),
    ],
)
def test_wrong_members_are_named(member, message):
    with pytest.raises(ValueError, match=message):
        specification(members=[Member(), Member(**({"seed": 1} | member))])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"gravty": [9.0, 8.0]}, r"members\[0\]: .*no parameter 'gravty'; did you mean gravity"),
        ({"max_steps_in_episode": [20, 30]}, "max_steps_in_episode changes the program"),
    ],
)
def test_wrong_environment_parameters_are_named(monkeypatch, parameters, message):
    monkeypatch.undo()
    run = Specification(
        algorithm="ppo",
        environment="CartPole-v1",
        settings=PPOConfig(),
        members=make_members(environment_parameters=parameters),
    )
    with pytest.raises(ValueError, match=message):
        prepare(run)


def test_a_run_of_the_former_format_is_read(tmp_path):
    data = to_json(specification())
    del data["members"]
    assert from_json(data | {"seed": 5, "seeds": 2}) == specification()
    rows = [{"seed": 6, "steps": 8}, {"seed": 5, "steps": 9}, {"member": 0, "seed": 5, "steps": 10}]
    path = pathlib.Path(tmp_path) / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    np.testing.assert_array_equal(read_metrics(tmp_path)["steps"], [[9, 10], [8, np.nan]])
    assert isinstance(from_json(data).settings, ToyConfig)


def test_policies_are_played_in_another_environment(tmp_path):
    start(specification(total_steps=32, members=make_members(range(2))), tmp_path / "run")
    run = load(tmp_path / "run")
    own, windy = (
        evaluate_run(x, num_episodes=2).returns for x in (run, run.in_environment({"wind": 5.0}))
    )
    # Three steps an episode.
    np.testing.assert_allclose(windy - own, 15.0, rtol=1e-5)
    start(grid(total_steps=32), tmp_path / "grid")
    with pytest.raises(ValueError, match="have values of wind of their own"):
        load(tmp_path / "grid").in_environment({"wind": 5.0})

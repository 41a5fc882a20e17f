"""Trials that share a program, and how they are cut."""

import pytest
from runs import toy

from jaxrl import PPOConfig, runs
from jaxrl.sweeps import choice, make_sweep, plan, uniform
from jaxrl.sweeps.planning import split_evenly


def make(space, *, base=None, **options):
    base = base or toy.specification(members=runs.make_members(range(2)))
    return make_sweep(base, space, sampler="grid", **options)


def test_floats_share_a_program_and_sizes_do_not():
    space = {"learning_rate": [0.1, 0.2, 0.3], "sizes": [(2, 3), (4, 5)], "env.wind": [0.0, 1.0]}
    groups = plan(make(space))
    assert [len(group.trials) for group in groups] == [6, 6]
    assert [group.base.settings.sizes for group in groups] == [(2, 3), (4, 5)]
    run = groups[1].run_of(groups[1].trials[:2], (7, 8), None)
    assert [member.seed for member in run.members] == [7, 8, 7, 8]
    assert [dict(member.environment_parameters) for member in run.members] == [
        {"wind": wind} for wind in (0.0, 0.0, 1.0, 1.0)
    ]
    assert [dict(member.settings) for member in run.members] == [{"learning_rate": 0.1}] * 4


def test_a_parameter_that_changes_the_program_makes_groups():
    groups = plan(make({"env.limit": [3, 4], "learning_rate": [0.1, 0.2]}))
    assert [group.base.environment_parameters for group in groups] == [{"limit": 3}, {"limit": 4}]


def test_six_thousand_members_in_three_programs():
    base = runs.Specification(
        algorithm="ppo",
        environment="toy",
        settings=PPOConfig(total_steps=10_000),
        members=runs.make_members(range(8)),
    )
    space = {
        "learning_rate": [1e-5 * (i + 1) for i in range(64)],
        "num_steps": [16, 32, 64],
        "env.wind": [0.0, 1.0, 2.0, 3.0],
    }
    groups = plan(make(space, base=base))
    assert [len(group.trials) * 8 for group in groups] == [2048] * 3


@pytest.mark.parametrize(
    ("count", "most", "sizes"),
    [
        (12, 12, [12]),
        (12, 5, [4, 4, 4]),
        (100, 30, [25] * 4),
        (7, 3, [3, 3, 1]),
        (1, 9, [1]),
        (13, 6, [5, 5, 3]),
    ],
)
def test_blocks_are_equal_where_they_can_be(count, most, sizes):
    assert split_evenly(count, most) == sizes
    assert sum(split_evenly(count, most)) == count


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"learning_rat": [0.1]}, "did you mean 'learning_rate'"),
        ({"env.wnd": [0.1]}, "toy has no parameter 'wnd'"),
        ({"total_steps": [10, 20]}, "equal budgets"),
        ({"learning_rate": [0.1, -0.5]}, "learning_rate"),
        ({"learning_rate": [0.1, "fast"]}, "not a number"),
    ],
)
def test_wrong_spaces_are_refused_before_anything_runs(space, message):
    with pytest.raises(ValueError, match=message):
        plan(make(space))


def test_a_range_of_fractions_for_whole_numbers_is_refused():
    base = runs.Specification(
        algorithm="ppo", environment="toy", settings=PPOConfig(total_steps=10_000)
    )
    with pytest.raises(ValueError, match="needs whole numbers"):
        make_sweep(base, {"num_steps": uniform(16, 64)}, trials=3)
    with pytest.raises(ValueError, match=r"trials 1: .*num_minibatches"):
        plan(make({"num_minibatches": [4, 7]}, base=base))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"halving": 1}, "halving=1 must be at least 2"),
        ({"halving": 3, "rungs": 9}, "too many"),
        ({"rungs": 1}, "rungs=1"),
        ({"memory": 0}, "memory=0"),
        ({"validation_seeds": -1}, "validation_seeds=-1"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        make({"learning_rate": choice(0.1, 0.2)}, **options)


def test_the_base_of_a_sweep_varies_in_seeds_only_and_is_evaluated():
    members = runs.make_members(range(2), settings={"learning_rate": [0.1, 0.2]})
    with pytest.raises(ValueError, match="differ in seeds only"):
        make({"env.wind": [0.0, 1.0]}, base=toy.specification(members=members))
    with pytest.raises(ValueError, match="compares the trials' evaluations"):
        make({"env.wind": [0.0, 1.0]}, base=toy.specification(evaluation_episodes=0))

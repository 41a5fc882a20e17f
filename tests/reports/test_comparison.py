"""From run folders to a comparison."""

import json

import numpy as np
import pytest
from PIL import Image

import jaxrl
from jaxrl import runs
from jaxrl.reports import compare_runs, plot_comparison, read_references

NAN = float("nan")
CONFIGS = {"ppo": jaxrl.PPOConfig, "dqn": jaxrl.DQNConfig}


def write_run(
    folder,
    returns,
    *,
    algorithm="ppo",
    environment="CartPole-v1",
    members=None,
    parameters=None,
    steps=1000,
    **settings,
):
    """A run whose members have the given mean returns in their last of two evaluations."""
    members = runs.make_members(range(len(returns))) if members is None else members
    specification = runs.Specification(
        algorithm=algorithm,
        environment=environment,
        settings=CONFIGS[algorithm](total_steps=1000, **settings),
        members=members,
        environment_parameters=parameters or {},
    )
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(runs.specification.to_json(specification)))
    rows = [
        {
            "member": place,
            "seed": member.seed,
            "steps": at,
            "returns": [value - 1, value + 1] if np.isfinite(value) else [None, None],
            "lengths": [1, 1],
        }
        for at, values in ((steps // 2, np.zeros(len(returns))), (steps, returns))
        for place, (member, value) in enumerate(zip(members, values, strict=True))
    ]
    (folder / "evaluations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_algorithms_are_compared_on_the_tasks_of_both(tmp_path):
    cart = write_run(tmp_path / "a", [100.0, 200.0])
    acrobot = write_run(tmp_path / "b", [-200.0, -100.0, -100.0], environment="Acrobot-v1")
    other_cart = write_run(tmp_path / "c", [50.0, 150.0], algorithm="dqn")
    other_acrobot = write_run(
        tmp_path / "d", [-300.0, -300.0], algorithm="dqn", environment="Acrobot-v1"
    )
    found = compare_runs([cart, other_acrobot, acrobot, other_cart])
    # The last evaluation counts, whatever a seed's first one was.
    np.testing.assert_array_equal(found.returns["ppo"]["CartPole-v1"], [100, 200])
    assert found.references == {"CartPole-v1": (50.0, 200.0), "Acrobot-v1": (-300.0, -100.0)}
    np.testing.assert_allclose(found.scores["ppo"]["CartPole-v1"], [1 / 3, 1])
    np.testing.assert_allclose(found.scores["ppo"]["Acrobot-v1"], [1 / 2, 1, 1])
    np.testing.assert_allclose(found.scores["dqn"]["CartPole-v1"], [0, 2 / 3])
    assert found.aggregates["ppo"].mean.centre == pytest.approx((2 / 3 + 5 / 6) / 2)
    assert list(found.improvement) == [("ppo", "dqn")]
    # On CartPole 3 of 4 pairs are won, on Acrobot all.
    assert found.improvement["ppo", "dqn"].centre == pytest.approx((3 / 4 + 1) / 2)
    assert found.notes == ()


def test_settings_that_differ_on_one_task_make_sides(tmp_path):
    members = runs.make_members(range(2), settings={"learning_rate": [1e-3, 1e-2]})
    grid = write_run(tmp_path / "grid", [1.0, 2.0, 3.0, 4.0], members=members)
    assert list(compare_runs([grid]).returns) == [
        "ppo, learning_rate=0.001",
        "ppo, learning_rate=0.01",
    ]
    # Tuned per task, an algorithm is still one side; what differs on a task tells sides apart.
    one = write_run(tmp_path / "one", [1.0, 2.0], discount=0.9, hidden_sizes=(8, 8))
    two = write_run(tmp_path / "two", [1.0, 2.0], discount=0.8, environment="Acrobot-v1")
    assert list(compare_runs([one, two]).returns) == ["ppo"]
    three = write_run(tmp_path / "three", [1.0, 3.0], discount=0.9)
    assert list(compare_runs([one, three]).returns) == [
        "ppo, hidden_sizes=8 8",
        "ppo, hidden_sizes=64 64",
    ]


def test_tasks_are_environments_with_their_parameters(tmp_path):
    members = runs.make_members(range(2), environment_parameters={"gravity": [9.8, 20.0]})
    grid = write_run(tmp_path / "grid", [1.0, 2.0, 3.0, 4.0], members=members)
    fixed = write_run(
        tmp_path / "fixed",
        [5.0, 6.0],
        algorithm="dqn",
        parameters={"gravity": 20.0},
        environment="gymnax/CartPole-v1",
    )
    both = {"CartPole-v1, gravity=9.8", "CartPole-v1, gravity=20"}
    found = compare_runs(
        [grid], normalize={"CartPole-v1": (0, 10), "CartPole-v1, gravity=20": (3, 4)}
    )
    assert found.returns["ppo"].keys() == both
    np.testing.assert_allclose(found.scores["ppo"]["CartPole-v1, gravity=9.8"], [0.1, 0.2])
    np.testing.assert_allclose(found.scores["ppo"]["CartPole-v1, gravity=20"], [0, 1])
    with pytest.raises(ValueError, match=r"dqn has no run on CartPole-v1, gravity=9\.8, which ppo"):
        compare_runs([grid, fixed])


def test_names_put_runs_on_sides(tmp_path):
    old = write_run(tmp_path / "old", [1.0, 2.0])
    new = write_run(tmp_path / "new", [2.0, 3.0])
    more = write_run(tmp_path / "more", [4.0, 5.0], members=runs.make_members([7, 8]))
    found = compare_runs([old, new, more], names=["old", "new", "new"])
    np.testing.assert_array_equal(found.returns["old"]["CartPole-v1"], [1, 2])
    np.testing.assert_array_equal(found.returns["new"]["CartPole-v1"], [2, 3, 4, 5])
    with pytest.raises(ValueError, match=r"old and .*new both have seed 0 of ppo on CartPole-v1"):
        compare_runs([old, new])


def test_what_a_reader_has_to_know_is_noted(tmp_path):
    early = write_run(tmp_path / "early", [1.0, 2.0], steps=600)
    long = write_run(tmp_path / "long", [2.0, 3.0], algorithm="dqn")
    config = long / "config.json"
    config.write_text(config.read_text().replace('"total_steps": 1000', '"total_steps": 999'))
    rows = (early / "evaluations.jsonl").read_text()
    cut = rows.replace(
        '"returns": [1.0, 3.0], "lengths": [1, 1]', '"returns": [null, 3.0], "lengths": [0, 1]'
    )
    assert cut != rows
    (early / "evaluations.jsonl").write_text(cut)
    found = compare_runs([early, long])
    np.testing.assert_array_equal(found.returns["ppo"]["CartPole-v1"], [1, 3])
    last, episodes, steps = found.notes
    assert last.endswith("early was evaluated last after 600 of 1,000 steps")
    assert episodes.endswith("early: 1 of 4 episodes did not end and are left out")
    assert (
        steps == "CartPole-v1 was trained on for different numbers of steps: ppo: 1,000; dqn: 999"
    )


@pytest.mark.parametrize("normalize", ["minmax", "none"])
def test_a_picture_of_sides(tmp_path, normalize):
    sides = [
        write_run(tmp_path / name, values, algorithm=name)
        for name, values in (("ppo", [1.0, 2.0, 5.0]), ("dqn", [2.0, 3.0, 4.0]))
    ]
    comparison = compare_runs(sides, normalize=normalize)
    with Image.open(plot_comparison(comparison, tmp_path / "picture.png")) as picture:
        assert picture.width == 2000
    with pytest.raises(ValueError, match=r"try .*picture\.png"):
        plot_comparison(comparison, tmp_path / "picture.xyz")


def test_references_of_a_file(tmp_path):
    file = tmp_path / "references.toml"
    file.write_text('"CartPole-v1" = [9.3, 500]\n"Pendulum-v1" = [-1200.0, -150]\n')
    found = read_references(file)
    assert found == {"CartPole-v1": (9.3, 500.0), "Pendulum-v1": (-1200.0, -150.0)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 3", "a=3 must be two numbers"),
        ("a = [1, 2, 3]", r"a=\[1, 2, 3\] must be two numbers"),
        ('a = [1, "2"]', "must be two numbers"),
        ("a = [true, 2]", "must be two numbers"),
        ("a = [nan, 2]", "must be two numbers"),
        ("a = [2, 2]", "the target must be above the lowest return"),
        ("a.v1 = [1, 2]", "names with a dot stand in quotation marks"),
        ("a = [1, 2", "is no TOML file"),
    ],
)
def test_references_that_are_none(tmp_path, text, message):
    file = tmp_path / "references.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_references(file)


def test_what_cannot_be_compared(tmp_path):
    run = write_run(tmp_path / "run", [1.0, 2.0])
    with pytest.raises(ValueError, match="no run folder was given"):
        compare_runs([])
    with pytest.raises(ValueError, match="normalize='median' is not one of none, minmax"):
        compare_runs([run], normalize="median")
    with pytest.raises(ValueError, match=r"normalize: CartPole-v1=\(5, 1\): the target must be"):
        compare_runs([run], normalize={"CartPole-v1": (5, 1)})
    with pytest.raises(
        ValueError, match="no reference returns for CartPole-v1: they are given for"
    ):
        compare_runs([run], normalize={"Acrobot-v1": (-500, 0)})
    same = write_run(tmp_path / "same", [500.0, 500.0])
    with pytest.raises(ValueError, match="every seed's return on CartPole-v1 is 500, which minmax"):
        compare_runs([same])
    wild = write_run(tmp_path / "wild", [1.0, NAN])
    with pytest.raises(ValueError, match="final return of seed 1 is no number: its rewards were"):
        compare_runs([wild])
    members = runs.make_members(
        range(2), settings={"learning_rate": [0.001 * (1 + i) for i in range(21)]}
    )
    many = write_run(tmp_path / "many", np.arange(42.0), members=members)
    with pytest.raises(ValueError, match="21 sides are too many to compare in pairs: at most 20"):
        compare_runs([many])

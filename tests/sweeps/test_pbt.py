"""Population-based training by its name: words become the population that they say."""

import re
from typing import Any

import jax
import numpy as np
import pytest
from runs import toy
from small_runs import corridor

import jaxrl
from jaxrl import cli, registry, runs
from jaxrl.presets import preset_settings
from jaxrl.sweeps import log_uniform, population_based

WORDS: dict[str, Any] = {
    "total_steps": 8 * 4 * 6,
    "member_algorithm": "toy",
    "member_settings": ("bound=2.5", "sizes=2x3"),
    "space": ("learning_rate=log:1e-3..1e-1",),
    "population_size": 4,
    "interval": 2,
}


def config(**changes):
    return jaxrl.PBTConfig(**WORDS | changes)


def test_words_are_the_population_that_they_say():
    def build(settings):
        given = toy.ToyConfig(total_steps=48, bound=2.5, sizes=(2, 3), **settings)
        return toy.toy(corridor(), given)

    space = {"learning_rate": log_uniform(1e-3, 1e-1)}
    by_hand = population_based(build, space, population_size=4, interval=2, total_steps=192)
    named = jaxrl.pbt(corridor(), config())
    states = [jaxrl.train(jax.random.key(3), x).state for x in (by_hand, named)]
    jax.tree.map(np.testing.assert_array_equal, *jax.device_get(jax.tree.map(_plain, states)))
    assert states[0].lineage.parents.shape == (3, 4)


def _plain(leaf):
    is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


@pytest.mark.parametrize(
    "changes",
    [
        {"exploitation": "pairwise", "exploration": "resample"},
        {"exploration": "both", "resample_probability": 0.5, "factors": (0.5, 2.0)},
    ],
)
def test_what_a_way_does_not_take_is_not_handed_on(changes):
    assert jaxrl.pbt(corridor(), config(**changes)).total_steps == 192


def test_members_start_from_the_preset():
    env = jaxrl.make_env("CartPole-v1")
    algorithm = jaxrl.pbt(env, jaxrl.PBTConfig(population_size=4))
    own = preset_settings("ppo", "CartPole-v1")
    assert algorithm.steps_per_iteration == 4 * own.num_envs * own.num_steps


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"member_algorithm": "po"}, "unknown algorithm 'po': did you mean"),
        ({"member_algorithm": "pbt"}, "a population's members are no others"),
        ({"member_settings": ("bound",)}, "member_settings: 'bound' must be NAME=VALUE"),
        ({"member_settings": ("bound=1", "bound=2")}, "bound is given twice"),
        ({"member_settings": ("bounds=1",)}, "member_settings: toy has no setting 'bounds'"),
        ({"member_settings": ("total_steps=8",)}, "the budget of a member is its share"),
        ({"member_settings": ("learning_rate=1",)}, "learning_rate is in the space, too"),
        ({"member_settings": ("bound=x",)}, "bound='x' is not a number"),
        ({"space": ()}, "space={} must map names to distributions"),
        ({"space": ("varies=1..2",)}, "'varies' is no number of toy: it has learning_rate, bound"),
        ({"space": ("learning_rate=1",)}, "learning_rate: '1' is no range"),
        ({"space": ("learning_rate=1,2",)}, "must be a range, such as 0.8..1.0"),
        ({"space": ("learning_rate=2..1",)}, "is empty: low must be below high"),
        ({"space": ("learning_rate=-1..1",)}, "learning_rate=-1.0 must be at least 0"),
        ({"space": "learning_rate=0..1"}, "is not a tuple of words"),
        ({"factors": ("a",)}, "factors=('a',) is not a tuple of finite numbers"),
        ({"factors": (1.0,)}, "would do nothing"),
        ({"fraction": 0.7}, "fraction=0.7 must be a number above 0, and at most 0.5"),
        ({"fraction": "half"}, "fraction='half' is not a number"),
        ({"exploitation": "pairwise", "fraction": 0.3}, "needs exploitation='truncation'"),
        ({"resample_probability": 0.5}, "needs exploration='resample' or exploration='both'"),
        ({"interval": 6}, "nobody would copy"),
    ],
)
def test_bad_words(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        jaxrl.pbt(corridor(), config(**changes))


def test_on_the_command_line(tmp_path, capsys):
    folder = tmp_path / "pbt"
    words = ["train", "pbt", "toy", "--total-steps", "192", "--member-algorithm", "toy"]
    words += ["--space", "learning-rate=log:1e-3..1e-1", "bound=1..2", "--interval", "2"]
    words += ["--population-size", "4", "--seeds", "2", "--evaluation-episodes", "3"]
    assert cli.main([*words, "--out", str(folder)]) == 0
    run = runs.load(folder)
    assert run.specification.settings.space == ("learning-rate=log:1e-3..1e-1", "bound=1..2")
    assert run.states.settings["bound"].shape == (2, 4)
    picture = tmp_path / "lineage.svg"
    given = ["plot", str(folder), "--lineage", "--member", "1", "--out", str(picture)]
    assert cli.main(given) == 0
    assert picture.stat().st_size > 1000
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lineage", "--member", "2"], "--member 2: the run has the agents 0 to 1"),
        (["--lineage", "--metric", "policy_loss"], "--metric is for curves, not for --lineage"),
        (["--member", "1"], "--member needs --lineage"),
        (["--lineage"], "is of population-based training"),
    ],
)
def test_bad_flags_of_the_picture(words, message, tmp_path, capsys):
    specification = toy.specification(members=runs.make_members(range(2)))
    runs.start(specification, tmp_path / "run")
    assert cli.main(["plot", str(tmp_path / "run"), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_population_can_be_swept(tmp_path, capsys):
    """The ranges within the words of its space are not the sweep's."""
    words = ["sweep", "pbt", "toy", "--total-steps", "192", "--member-algorithm", "toy"]
    words += ["--space", "learning_rate=1e-3..1e-1", "--population-size", "4"]
    words += ["--interval", "2,3", "--seeds", "1", "--evaluation-episodes", "2"]
    assert cli.main([*words, "--sampler", "grid", "--out", str(tmp_path / "sweep")]) == 0
    rows = (tmp_path / "sweep" / "trials.jsonl").read_text().splitlines()
    assert len(rows) == 2
    capsys.readouterr()


def test_its_name_is_taken():
    with pytest.raises(ValueError, match="'pbt' is an algorithm of the library"):
        registry.register("pbt", jaxrl.PBTConfig, jaxrl.pbt)

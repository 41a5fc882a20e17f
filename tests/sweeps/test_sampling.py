"""The trials of a sweep: what each sampler promises."""

import itertools
import warnings

import numpy as np
import pytest

from jaxrl.sweeps import choice, integers, log_uniform, uniform
from jaxrl.sweeps.sampling import SAMPLERS, sample_trials

UNIT = {"x": uniform(0.0, 1.0), "y": uniform(0.0, 1.0)}


def sample(space, sampler="random", num_trials=None, seed=0):
    return sample_trials(space, sampler=sampler, num_trials=num_trials, seed=seed)


def test_a_grid_is_the_product():
    trials = sample({"a": choice(1, 2), "b": choice("x", "y", "z")}, "grid")
    assert trials == [{"a": a, "b": b} for a, b in itertools.product((1, 2), "xyz")]


def test_random_draws_are_uniform_and_repeatable():
    trials = sample(UNIT, "random", 2000, seed=3)
    values = np.array([list(trial.values()) for trial in trials])
    assert values.mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.02)
    assert abs(np.corrcoef(values.T)[0, 1]) < 0.06
    assert trials == sample(UNIT, "random", 2000, seed=3)
    assert trials != sample(UNIT, "random", 2000, seed=4)


def test_a_latin_hypercube_has_one_draw_in_every_slice():
    trials = sample(UNIT, "latin", 50)
    for name in UNIT:
        slices = sorted(int(trial[name] * 50) for trial in trials)
        assert slices == list(range(50))


def test_sobol_points_fill_every_cell():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trials = sample(UNIT, "sobol", 64)
        assert len(sample(UNIT, "sobol", 50)) == 50
    cells = {(int(8 * trial["x"]), int(8 * trial["y"])) for trial in trials}
    assert len(cells) == 64


@pytest.mark.parametrize("sampler", ["random", "sobol", "latin"])
def test_trials_differ_until_there_are_no_more(sampler):
    space = {"a": choice(1, 2, 3), "b": integers(1, 2)}
    trials = sample(space, sampler, 50)
    assert len(trials) == 6
    assert len({tuple(trial.items()) for trial in trials}) == 6
    assert len(sample(space, sampler, 4)) == 4


def test_a_larger_sample_of_random_draws_begins_with_the_smaller():
    space = {"rate": log_uniform(1e-4, 1e-2)}
    assert sample(space, "random", 20)[:5] == sample(space, "random", 5)


@pytest.mark.parametrize(
    ("space", "sampler", "count", "message"),
    [
        (UNIT, "grid", None, "a grid needs a list"),
        ({"a": choice(1, 2)}, "grid", 2, "every combination"),
        ({"a": choice(*range(400)), "b": choice(*range(400))}, "grid", None, "160,000 trials"),
        (UNIT, "random", None, "trials is missing"),
        (UNIT, "random", 0, "at least 1"),
        (UNIT, "random", 2.5, "whole number"),
        (UNIT, "random", 10**6, "at most"),
        (UNIT, "halton", 4, "not one of"),
    ],
)
def test_what_is_refused(space, sampler, count, message):
    with pytest.raises(ValueError, match=message):
        sample(space, sampler, count)


def test_every_sampler_is_known():
    assert SAMPLERS == ("grid", "random", "sobol", "latin")

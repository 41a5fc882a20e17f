"""Ranges and lists: their quantiles, their text, and what they refuse."""

import math

import jax
import numpy as np
import pytest

from jaxrl import sweeps
from jaxrl.sweeps import Choice, Range, choice, integers, log_uniform, parse_space, uniform
from jaxrl.sweeps.spaces import check_space, from_json, is_space, to_json

KEY = jax.random.key(0)


def test_quantiles():
    assert [uniform(2, 6).at(share) for share in (0.0, 0.25, 0.5)] == [2.0, 3.0, 4.0]
    assert log_uniform(1e-4, 1e-2).at(0.5) == pytest.approx(1e-3, rel=1e-12)
    assert [choice("a", "b").at(share) for share in (0.0, 0.49, 0.5, 0.999)] == ["a", "a", "b", "b"]


def test_every_whole_number_of_a_range_is_as_likely():
    values = [integers(1, 4).at(share / 1000) for share in range(1000)]
    assert {value: values.count(value) for value in values} == {1: 250, 2: 250, 3: 250, 4: 250}
    assert all(type(value) is int for value in values)


def test_ends_are_never_passed():
    for space in (log_uniform(1e-4, 1e-2), uniform(0.1, 0.3), integers(1, 7, log=True)):
        low, high = space.at(0.0), space.at(math.nextafter(1.0, 0.0))
        assert low >= space.low
        assert high <= space.high


def test_draws_inside_a_program_have_the_same_distribution():
    for space in (uniform(2, 6), log_uniform(1e-4, 1e-2), integers(1, 4)):
        drawn = np.asarray(jax.jit(lambda key, space=space: space.sample(key, (8000,)))(KEY))
        at = np.array([space.at((i + 0.5) / 8000) for i in range(8000)])
        for power in (1, 2):
            assert np.mean(drawn**power) == pytest.approx(np.mean(at**power), rel=0.05)
        assert drawn.min() >= np.float32(space.low)
        assert drawn.max() <= np.float32(space.high)
    np.testing.assert_array_equal(uniform(0, 1).clip([-1.0, 0.5, 2.0]), [0.0, 0.5, 1.0])


def test_points_hold_the_ends():
    assert uniform(0, 1).points(3) == choice(0.0, 0.5, 1.0)
    assert log_uniform(1e-4, 1e-2).points(3).values == pytest.approx((1e-4, 1e-3, 1e-2))
    assert log_uniform(1e-4, 1e-2).points(3).values[-1] == 1e-2
    assert integers(1, 3).points(5) == choice(1, 2, 3)


@pytest.mark.parametrize(
    ("word", "whole", "space"),
    [
        ("1e-4..1e-2", False, uniform(1e-4, 1e-2)),
        ("log:1e-4..1e-2", False, log_uniform(1e-4, 1e-2)),
        ("-1..1", False, uniform(-1, 1)),
        ("16..64", True, integers(16, 64)),
        ("log:16..64", True, integers(16, 64, log=True)),
        ("0..1:3", False, choice(0.0, 0.5, 1.0)),
        ("1,2,4", True, choice(1.0, 2.0, 4.0)),
    ],
)
def test_text(word, whole, space):
    assert is_space(word)
    assert parse_space(word, float, whole=whole) == space


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("1..1", "empty"),
        ("2..1", "low must be below high"),
        ("log:0..1", "greater than 0"),
        ("a..b", "'a' is not a number"),
        ("1..2..3", "not a number"),
        ("1,,2", "empty place"),
        ("1,1", "twice"),
        ("0..1:1", "at least 2"),
        ("0..1:x", "number of points"),
        ("lin:0..1", "no range"),
        ("0..inf", "finite"),
        ("1..1e999", "finite"),
        ("0..1:1000000", "at most 100,000"),
        ("0.1,0.10000000001", "twice, as float32 has it"),
        ("0..1e39", "finite"),
    ],
)
def test_wrong_text(word, message):
    with pytest.raises(ValueError, match=message):
        parse_space(word, float, whole=False)


def test_a_range_of_whole_numbers_has_whole_ends():
    with pytest.raises(ValueError, match="whole number"):
        parse_space("1.5..3", int, whole=True)


@pytest.mark.parametrize(
    "space",
    [uniform(0, 1), log_uniform(1e-4, 1e-2), integers(1, 9), choice(1, "a", True, (64, 64))],
)
def test_json(space):
    assert from_json(to_json(space)) == space


def test_lists_are_choices():
    space = check_space({"a": [1, 2], "b": uniform(0, 1)})
    assert space == {"a": choice(1, 2), "b": uniform(0, 1)}


@pytest.mark.parametrize("space", [{}, {"a": 1.0}, {"a": []}, {"a": "log:1..2"}])
def test_what_is_no_space(space):
    with pytest.raises(ValueError, match=r"space is empty|no distribution|at least one value"):
        check_space(space)


def test_values_become_plain_data():
    space = choice(np.float32(0.5), np.int64(3), [64, 64])
    assert space.values == (0.5, 3, (64, 64))
    assert [type(value) for value in space.values] == [float, int, tuple]


def test_one_and_true_are_two_values():
    assert Choice((1, True)).values == (1, True)
    with pytest.raises(ValueError, match="twice"):
        Choice((1, 1))


def test_words_read_back():
    for space in (uniform(0, 2), log_uniform(0.001, 0.01)):
        assert parse_space(str(space), float, whole=False) == space
    assert str(choice(True, (64, 32), 0.5)) == "true,64x32,0.5"
    assert isinstance(uniform(0, 1), Range)
    assert sweeps.is_space("16") is False

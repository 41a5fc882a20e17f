"""Spaces: what they draw, which bounds they take, and that they are values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxrl.types import (
    Box,
    Discrete,
    MaskedObservation,
    MaskedSpace,
    MultiDiscrete,
    contains_element,
    is_nested,
    sample_element,
    space_leaves,
    zero_element,
)

KEYS = jax.random.split(jax.random.key(0), 20_000)
INT32 = np.iinfo(np.int32)


def draws(space):
    return np.asarray(jax.jit(jax.vmap(space.sample))(KEYS))


def assert_uniform(values, low, high):
    """All of low .. high, each as often as the others."""
    found, counts = np.unique(values, return_counts=True)
    np.testing.assert_array_equal(found, np.arange(low, high + 1))
    assert scipy.stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize(
    ("low", "high", "dtype", "least", "most"),
    [
        (-3, 3, jnp.int32, -3, 3),
        (0, 1, jnp.int32, 0, 1),
        (-3, 3, jnp.int8, -3, 3),
        (-128, 127, jnp.int8, -128, 127),
        (0, 255, jnp.uint8, 0, 255),
        (250, 255, jnp.uint8, 250, 255),
        (INT32.max - 2, INT32.max, jnp.int32, INT32.max - 2, INT32.max),
        (-2.5, 3.9, jnp.int16, -2, 3),
        (-1e9, 300.0, jnp.uint8, 0, 255),
    ],
)
def test_whole_numbers_are_drawn_alike_with_both_bounds(low, high, dtype, least, most):
    values = draws(Box(low, high, (), dtype))
    assert values.dtype == dtype
    assert_uniform(values, least, most)


def test_whole_numbers_have_bounds_of_their_own():
    values = draws(Box([[0], [5]], [[1, 2], [5, 8]], (2, 2), jnp.int32))
    for place, bounds in {(0, 0): (0, 1), (0, 1): (0, 2), (1, 1): (5, 8)}.items():
        assert_uniform(values[:, *place], *bounds)
    assert (values[:, 1, 0] == 5).all()


@pytest.mark.parametrize("traced", [jnp.float32, jnp.int32, jnp.int8])
def test_whole_numbers_between_traced_bounds(traced):
    def draw(low, high):
        return jax.vmap(Box(low, high, (), jnp.int16).sample)(KEYS)

    assert_uniform(jax.jit(draw)(traced(-3), traced(3)), -3, 3)


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (INT32.min, INT32.max, jnp.int32),
        (float(INT32.min), float(INT32.max), jnp.int32),
        (0, 2**32 - 1, jnp.uint32),
        # Three quarters of them: a remainder would draw a third of the numbers twice as often.
        (-(2**31), 2**30 - 1, jnp.int32),
    ],
)
def test_huge_ranges_of_whole_numbers(low, high, dtype):
    values = draws(Box(low, high, (), dtype)).astype(float)
    counts, _ = np.histogram(values, 12, (low, high))
    assert counts.sum() == len(KEYS)
    assert scipy.stats.chisquare(counts).pvalue > 0.001


def test_whole_numbers_without_a_bound_are_rounded_normals():
    values = draws(Box([-np.inf, 2], [np.inf, np.inf], (2,), jnp.int32))
    share = scipy.stats.norm.cdf(0.5) - scipy.stats.norm.cdf(-0.5)
    np.testing.assert_allclose((values[:, 0] == 0).mean(), share, atol=0.02)
    assert values[:, 1].min() == 2


def test_no_whole_number_lies_between_the_bounds():
    with pytest.raises(ValueError, match=r"no whole number between 0.2 and 0.8"):
        Box(0.2, 0.8, (), jnp.int32).sample(KEYS[0])


def test_every_category_of_a_narrow_type_is_drawn():
    assert_uniform(draws(Discrete(256, jnp.uint8)), 0, 255)
    assert_uniform(draws(MultiDiscrete((256, 2), jnp.uint8))[:, 0], 0, 255)


def test_bounds_may_be_lists():
    box = Box([-1.0, -2.0], (1.0, 2.0), (2,))
    assert box.low.dtype == box.high.dtype == jnp.float32
    assert box.is_bounded()
    assert not Box([-1.0, -np.inf], 1.0, (2,)).is_bounded()
    values = draws(box)
    np.testing.assert_allclose(values.min(axis=0), [-1, -2], atol=0.01)
    np.testing.assert_allclose(values.max(axis=0), [1, 2], atol=0.01)
    assert box.contains(jnp.array([0.5, -1.5]))
    assert not box.contains(jnp.array([1.5, 0.0]))

    def width(high):
        low, high = Box([-1.0, -2.0], [high, 2.0], (2,)).bounds()
        return high - low

    np.testing.assert_array_equal(jax.jit(width)(3.0), [4.0, 4.0])


def test_boxes_are_values():
    box = Box([-1.0, -2.0], [1.0, 2.0], (2,))
    same = Box(np.array([-1.0, -2.0]), jnp.array([1.0, 2.0]), (2,), jnp.dtype("float32"))
    assert box == same
    assert hash(box) == hash(same)
    assert Box(-1.0, 1.0, (2,)) == Box([-1.0, -1.0], 1, (2,))
    others = [
        Box([-1.0, -2.0], [1.0, 3.0], (2,)),
        Box([-1.0, -2.0], [1.0, 2.0], (2,), jnp.float16),
        Box(-1.0, 1.0, (2,)),
        Box(-1.0, 1.0, (1, 2)),
        Discrete(2),
    ]
    assert all(box != other for other in others)

    @jax.jit
    def compare(high):
        traced = Box(-1.0, high, (2,))
        assert traced == traced
        assert traced != Box(-1.0, 1.0, (2,))
        return high

    compare(1.0)


@pytest.mark.parametrize(
    ("low", "high", "shape", "message"),
    [
        ([1.0, 2.0, 3.0], 4.0, (2,), r"low has shape \(3,\), which does not broadcast to \(2,\)"),
        (0.0, [[1.0]], (1,), r"high has shape \(1, 1\), which does not broadcast to \(1,\)"),
        ([0.0, 2.0], 1.0, (2,), r"low=\[0. 2.\] must be at most high=1.0"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(low, high, shape, message):
    with pytest.raises(ValueError, match=message):
        Box(low, high, shape)


def test_a_width_that_float32_does_not_hold_is_not_bounded():
    assert not Box(-3e38, 3e38, (1,)).is_bounded()
    assert Box(-1e38, 1e38, (1,)).is_bounded()


def test_known_bounds_have_values_inside_jit():
    @jax.jit
    def check(key):
        low, high = Box(-1.0, [[1.0, np.inf]], (3, 2)).bounds()
        assert isinstance(low, np.ndarray)
        assert np.isinf(high).sum() == 3
        return key

    check(0.0)


NESTED = {
    "legs": (Discrete(3), Box(0, 255, (2, 2), jnp.uint8)),
    "arm": Box(-1.0, 1.0, (3,)),
}


@pytest.mark.parametrize("space", [Discrete(2), MultiDiscrete((2, 3)), Box(0.0, 1.0, (2,))])
def test_one_space_is_not_nested(space):
    assert not is_nested(space)
    assert space_leaves(space) == [("", space)]
    np.testing.assert_array_equal(sample_element(space, KEYS[0]), space.sample(KEYS[0]))
    zeros = zero_element(space)
    assert (zeros.shape, zeros.dtype) == (space.shape, space.dtype)
    assert not zeros.any()
    assert contains_element(space, zeros)


@pytest.mark.parametrize("space", [NESTED, (Discrete(2),), [Discrete(2)], {}, ()])
def test_containers_are_nested(space):
    assert is_nested(space)


def test_parts_have_paths_in_the_order_of_the_tree():
    """Of a dict, that of the sorted keys."""
    first, second = NESTED["legs"]
    expected = [("['arm']", NESTED["arm"]), ("['legs'][0]", first), ("['legs'][1]", second)]
    assert space_leaves(NESTED) == expected
    assert space_leaves({}) == []


def test_each_part_is_drawn_by_its_own_space():
    values = jax.jit(jax.vmap(lambda key: sample_element(NESTED, key)))(KEYS)
    assert jax.tree.structure(values) == jax.tree.structure(NESTED)
    kind, image = values["legs"]
    assert (kind.shape, image.shape, values["arm"].shape) == (
        (20_000,),
        (20_000, 2, 2),
        (20_000, 3),
    )
    assert (kind.dtype, image.dtype, values["arm"].dtype) == (jnp.int32, jnp.uint8, jnp.float32)
    assert_uniform(kind, 0, 2)
    assert_uniform(image, 0, 255)
    assert scipy.stats.kstest(values["arm"][:, 0], "uniform", (-1, 2)).pvalue > 0.001
    assert bool(jax.vmap(lambda x: contains_element(NESTED, x))(values).all())


def test_parts_that_are_alike_are_drawn_apart():
    one, other = sample_element((Box(0.0, 1.0, ()), Box(0.0, 1.0, ())), KEYS[0])
    assert one != other


def test_an_element_lies_in_a_space_with_all_of_its_parts():
    inside = {"legs": (jnp.int32(2), jnp.zeros((2, 2), jnp.uint8)), "arm": jnp.ones(3)}
    assert contains_element(NESTED, inside)
    assert not contains_element(NESTED, inside | {"arm": jnp.array([0.0, 1.1, 0.0])})
    assert not contains_element(NESTED, inside | {"legs": (jnp.int32(3), inside["legs"][1])})
    with pytest.raises(ValueError, match="arm"):
        contains_element(NESTED, {"legs": inside["legs"]})


def test_zeros_have_the_types_of_the_parts():
    """They need not lie in the space."""
    space = {"far": Box(1.0, 2.0, (2,)), "near": (Discrete(3), Box(0, 1, (), jnp.bool_))}
    zeros = zero_element(space)
    assert jax.tree.map(lambda x: (x.shape, x.dtype.name), zeros) == {
        "far": ((2,), "float32"),
        "near": (((), "int32"), ((), "bool")),
    }
    assert not any(x.any() for x in jax.tree.leaves(zeros))
    assert not contains_element(space, zeros)


def test_a_mask_goes_around_a_nested_space():
    space = MaskedSpace(NESTED, 4)
    drawn = sample_element(space, KEYS[0])
    assert isinstance(drawn, MaskedObservation)
    np.testing.assert_array_equal(drawn.action_mask, np.ones(4, bool))
    assert drawn.observation.keys() == NESTED.keys()
    assert contains_element(space, drawn)
    outside = drawn.observation | {"arm": 2 * jnp.ones(3)}
    assert not contains_element(space, drawn._replace(observation=outside))
    zeros = zero_element(space)
    assert zeros.action_mask.dtype == jnp.bool_
    assert zeros.observation["legs"][1].shape == (2, 2)


def test_a_box_is_shown_in_short():
    assert repr(Box(jnp.float32(-2.0), 2.0, (1,))) == "Box(-2.0, 2.0, (1,), float32)"
    assert (
        repr(Box(np.zeros((84, 84)), 255, (84, 84), jnp.uint8)) == "Box(0.0, 255, (84, 84), uint8)"
    )
    assert repr(Box([0.0, -1.0], jnp.inf, (2,))) == "Box([ 0., -1.], inf, (2,), float32)"
    seen = []
    jax.jit(lambda low: seen.append(repr(Box(low, 1.0, ()))))(0.5)
    assert seen == ["Box(traced, 1.0, (), float32)"]

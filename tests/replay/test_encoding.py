import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.replay.encoding import encoding_of
from jaxrl.types import Box, Discrete, MaskedObservation, MaskedSpace, MultiDiscrete


# The space, the type that is kept, and the shape of one element in it.
@pytest.mark.parametrize(
    ("space", "kept", "shape"),
    [
        (Box(0, 1, (10, 10, 4), jnp.bool_), jnp.uint8, (50,)),
        (Box(0, 1, (3, 3), jnp.bool_), jnp.uint8, (2,)),
        (Box(0, 255, (4, 2), jnp.uint8), jnp.uint8, (4, 2)),
        (Box(-1.0, 1.0, (3,)), jnp.float32, (3,)),
        (Discrete(256), jnp.uint8, ()),
        (Discrete(257), jnp.uint16, ()),
        (Discrete(2**16), jnp.uint16, ()),
        (Discrete(2**16 + 1), jnp.int32, ()),
        (MultiDiscrete((3, 1000)), jnp.uint16, (2,)),
    ],
)
def test_round_trip_in_the_narrowest_type(space, kept, shape):
    random = np.random.default_rng(0)
    most = np.min(getattr(space, "num_categories", getattr(space, "high", None)))
    elements = jnp.asarray(random.uniform(0, most, (5, 2, *space.shape)), space.dtype)
    encoding = encoding_of(space)
    encoded = encoding.encode(elements)
    assert encoded.dtype == kept
    assert encoded.shape == (5, 2, *shape)
    zeros = encoding.zeros((5, 2))
    assert (zeros.shape, zeros.dtype) == (encoded.shape, encoded.dtype)
    decoded = encoding.decode(encoded)
    assert decoded.dtype == elements.dtype
    np.testing.assert_array_equal(decoded, elements)


@pytest.mark.parametrize("count", [255, 256, 257, 65_536, 65_537])
def test_the_last_category_survives(count):
    encoding = encoding_of(Discrete(count))
    assert encoding.decode(encoding.encode(jnp.array([count - 1])))[0] == count - 1


def test_bits_by_hand():
    """The first truth value is the highest bit; the last byte is filled up with zeros."""
    encoding = encoding_of(Box(0, 1, (10,), jnp.bool_))
    bits = jnp.array([1, 0, 0, 0, 0, 0, 1, 1, 0, 1], bool)
    assert encoding.encode(bits).tolist() == [128 + 2 + 1, 64]


def test_masks_take_a_bit_for_each_category():
    space = MaskedSpace(Box(-1.0, 1.0, (3,)), 11)
    element = MaskedObservation(jnp.array([0.5, -1.0, 1 / 3]), jnp.arange(11) % 3 == 0)
    encoding = encoding_of(space)
    encoded = encoding.encode(element)
    assert encoded.action_mask.shape == (2,)
    decoded = encoding.decode(encoded)
    np.testing.assert_array_equal(decoded.action_mask, element.action_mask)
    np.testing.assert_array_equal(decoded.observation, element.observation)
    assert encoding.zeros((4,)).action_mask.shape == (4, 2)


IMAGE = Box(0, 255, (2,), jnp.uint8)


# Whole numbers of any type do for categories; floats hold all numbers, if rounded.
@pytest.mark.parametrize(
    ("space", "given"),
    [
        (Box(-5, 5, (2,), jnp.int32), jnp.int16([-5, 5])),
        (Box(-5, 5, (2,), jnp.int32), jnp.uint8([0, 5])),
        (Box(-5.0, 5.0, (2,)), jnp.int32([-5, 5])),
        (Box(-5.0, 5.0, (2,)), jnp.array([False, True])),
        (Box(0, 1, (2,), jnp.int8), jnp.array([False, True])),
        (Discrete(300), jnp.uint16(299)),
        (Discrete(3, jnp.uint8), jnp.int32(2)),
        (Discrete(3, jnp.float32), jnp.float32(2)),
        (MultiDiscrete((3, 300)), jnp.int16([2, 299])),
    ],
)
def test_types_that_fit_are_kept(space, given):
    encoding = encoding_of(space)
    decoded = encoding.decode(encoding.encode(given))
    assert decoded.dtype == space.dtype
    np.testing.assert_array_equal(decoded, given)


@pytest.mark.parametrize(
    ("space", "given"),
    [
        (Box(0, 1, (2,), jnp.int32), jnp.float32),
        (Box(0, 1, (2,), jnp.int32), jnp.bfloat16),
        (IMAGE, jnp.float32),
        (IMAGE, jnp.int32),
        (IMAGE, jnp.int8),
        (Box(-9, 9, (2,), jnp.int8), jnp.uint8),
        (Box(-9, 9, (2,), jnp.int16), jnp.int32),
        (Box(0, 1, (2,), jnp.bool_), jnp.float32),
        (Box(0, 1, (2,), jnp.bool_), jnp.uint8),
        (Discrete(3), jnp.float32),
        (MultiDiscrete((3, 3)), jnp.float16),
        (MaskedSpace(IMAGE, 3), jnp.float32),
    ],
)
def test_types_that_would_be_truncated_are_refused_before_anything_runs(space, given):
    seen = space.space if isinstance(space, MaskedSpace) else space
    element = jax.ShapeDtypeStruct((4, *seen.shape), given)
    if isinstance(space, MaskedSpace):
        element = MaskedObservation(element, jax.ShapeDtypeStruct((4, 3), jnp.bool_))
    given, declared = jnp.dtype(given).name, jnp.dtype(seen.dtype).name
    with pytest.raises(ValueError, match=f"given as {given}, which cannot be kept as {declared}"):
        jax.eval_shape(encoding_of(space).encode, element)


def test_a_type_that_is_too_small_for_the_categories_is_refused():
    with pytest.raises(ValueError, match="has more categories than uint8 has numbers"):
        encoding_of(Discrete(300, jnp.uint8))
    assert encoding_of(Discrete(256, jnp.uint8)).zeros(()).dtype == jnp.uint8

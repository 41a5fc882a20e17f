"""The types of what an environment returns, settled so that a scan can carry them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.environments import build_environment
from jaxrl.types import Box, Discrete, TimeStep

KEY = jax.random.key(0)


def build(first, after, **changes):
    """A world whose state is `first` at a reset and `after` of it from step to step."""

    def reset(key):
        del key
        return first, 0.0

    def step(key, state, action):
        del key, action
        return after(state), TimeStep(jnp.float16(0.5), 1, 0, jnp.int32(1), {})

    spaces = {"observation_space": Box(0.0, 1.0, ()), "action_space": Discrete(2)}
    return build_environment(name="made", reset=reset, step=step, **spaces | changes)


def types_of(tree):
    return [(x.dtype.name, x.weak_type) for x in jax.tree.leaves(tree)]


def test_a_state_has_the_type_of_the_step():
    """A whole number at the reset, half of one later: it is not cut off."""
    env = build(0, lambda state: state + 0.5)
    state, first = env.reset(KEY)
    assert types_of((state, first)) == [("float32", False), ("float32", False)]
    for time in range(1, 4):
        state, _ = env.step(KEY, state, jnp.int32(0))
        assert types_of(state) == [("float32", False)]
        np.testing.assert_array_equal(state, time / 2)


def test_a_scan_carries_what_is_built():
    env = build(0, lambda state: state + 0.5)

    def play(carry, action):
        state, _ = carry
        state, time_step = env.step(KEY, state, action)
        return (state, time_step.observation), time_step

    (state, seen), steps = jax.lax.scan(play, env.reset(KEY), jnp.zeros(3, jnp.int32))
    np.testing.assert_array_equal(state, 1.5)
    np.testing.assert_array_equal(seen, 0.5)
    np.testing.assert_array_equal(steps.terminated, [False] * 3)
    np.testing.assert_array_equal(steps.truncated, [True] * 3)


def test_the_observation_has_the_type_of_its_space_and_ends_are_bools():
    env = build(jnp.int32(0), lambda state: state + 1)
    state, first = env.reset(KEY)
    _, time_step = env.step(KEY, state, jnp.int32(0))
    assert types_of(first) == types_of(time_step.observation) == [("float32", False)]
    assert types_of(time_step[1:4]) == [("float32", False), ("bool", False), ("bool", False)]


def test_exact_types_are_left_alone():
    """What needs no cast is not wrapped again, however often it is built."""
    env = build(0, lambda state: state + 0.5)
    again = build_environment(**env._asdict())
    assert again.reset is env.reset
    assert again.step is env.step


@pytest.mark.parametrize(
    ("first", "after"),
    [
        # The shape changes, the structure does, and the type does at every step.
        (jnp.zeros(2), lambda state: jnp.zeros(3)),
        (jnp.zeros(2), lambda state: (state, state)),
        (
            jnp.int8(0),
            lambda state: state.astype(jnp.int16 if state.dtype == jnp.int8 else jnp.int8),
        ),
    ],
)
def test_a_state_that_keeps_changing_is_refused(first, after):
    with pytest.raises(ValueError, match="the state of made must keep its form from reset to step"):
        build(first, after)

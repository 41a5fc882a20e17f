import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.ops.successors import successor_values

VALUE = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
FINAL = jnp.array([[3.0, 40.0], [50.0, 6.0], [70.0, 80.0]])
NEVER = jnp.zeros((3, 2), bool)


def successors(terminated, truncated):
    return np.asarray(
        successor_values(VALUE, terminated, truncated, value_of_final=lambda rows: FINAL[rows])
    )


def test_the_next_observation_serves_where_nothing_was_cut_off():
    values = successors(NEVER, NEVER)
    np.testing.assert_array_equal(values, [[3, 4], [5, 6], [70, 80]])


def test_a_limit_at_the_last_step_needs_no_more():
    values = successors(NEVER, NEVER.at[2, 0].set(True))
    np.testing.assert_array_equal(values, [[3, 4], [5, 6], [70, 80]])


@pytest.mark.parametrize("place", [(0, 1), (1, 0)])
def test_a_limit_in_the_midst_needs_the_next_observations(place):
    values = successors(NEVER, NEVER.at[place].set(True))
    np.testing.assert_array_equal(values, FINAL)


def test_where_both_are_set_the_termination_wins():
    both = NEVER.at[0, 1].set(True)
    values = successors(both, both)
    np.testing.assert_array_equal(values, [[3, 4], [5, 6], [70, 80]])

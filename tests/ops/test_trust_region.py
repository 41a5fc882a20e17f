import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl.ops.trust_region import hessian_vector_product, line_search, trust_region_step

MATRIX = jnp.array([[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 2.0]])


def quartic(x):
    return 0.5 * x @ MATRIX @ x + jnp.sum(x**4)


def test_hessian_vector_product_is_that_of_the_explicit_matrix():
    x, vector = jnp.array([0.3, -0.2, 0.9]), jnp.array([1.0, 2.0, -1.0])
    expected = jax.hessian(quartic)(x) @ vector
    np.testing.assert_allclose(hessian_vector_product(quartic, x, vector), expected, rtol=1e-5)


def test_step_is_the_closed_form_and_ends_on_the_border():
    gradient = jnp.array([1.0, -2.0, 0.5])
    step = trust_region_step(gradient, lambda v: MATRIX @ v, radius=0.3, num_iterations=10)
    natural = np.linalg.solve(MATRIX, gradient)
    expected = -np.sqrt(2 * 0.3 / (gradient @ natural)) * natural
    np.testing.assert_allclose(step, expected, rtol=1e-5)
    assert float(0.5 * step @ MATRIX @ step) == pytest.approx(0.3, rel=1e-5)


def test_no_gradient_no_step():
    step = trust_region_step(jnp.zeros(3), lambda v: MATRIX @ v, radius=0.3, num_iterations=10)
    np.testing.assert_array_equal(step, 0.0)


def search(step, **changes):
    """Loss x^2 from x = 1; the distance is how far one went."""
    settings = {"max_distance": 10.0, "shrinkage": 0.5, "max_trials": 5} | changes
    start = jnp.array([1.0])
    return line_search(
        lambda x: x[0] ** 2,
        lambda x: jnp.abs(x - start)[0],
        start,
        jnp.array([step]),
        start_loss=jnp.float32(1.0),
        **settings,
    )


def test_line_search_by_hand():
    found = search(-1.0)
    assert (float(found.x[0]), int(found.trials), bool(found.accepted)) == (0.0, 1, True)
    # -4 and -2 lead to 9 and 1, which are no better than 1; -1 leads to 0.
    found = search(-4.0)
    assert (float(found.x[0]), int(found.trials)) == (0.0, 3)
    # The loss would allow -1, the distance does not.
    found = search(-1.0, max_distance=0.3)
    assert (float(found.x[0]), int(found.trials), float(found.distance)) == (0.75, 3, 0.25)


@pytest.mark.parametrize("step", [1.0, float("nan"), -100.0])
def test_rejected_step_changes_nothing(step):
    found = search(step)
    assert not found.accepted
    np.testing.assert_array_equal(found.x, [1.0])
    assert (float(found.loss), float(found.distance), int(found.trials)) == (1.0, 0.0, 5)

"""OpenES against closed forms and its optimiser by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from search.functions import sphere, tell

from jaxrl import OpenESConfig, maximize
from jaxrl.search.openes import openes_strategy


def test_the_gradient_of_a_quadratic_is_its_closed_form():
    """With mirrored pairs, even terms cancel: the estimate is mean(epsilon epsilon^T) gradient."""
    matrix, vector = jnp.array([[2.0, 0.5], [0.5, 1.0]]), jnp.array([1.0, -3.0])

    def quadratic(x):
        return vector @ x - 0.5 * x @ matrix @ x + 7.0

    config = OpenESConfig(
        population_size=6,
        noise_scale=0.5,
        optimizer="sgd",
        learning_rate=1.0,
        fitness_shaping="returns",
    )
    strategy = openes_strategy(config)
    start = jnp.array([0.3, -0.2])
    state, candidates = strategy.ask(jax.random.key(0), strategy.init(start))
    noise = (candidates[:3] - start) / 0.5
    np.testing.assert_allclose(candidates[3:], 2 * start - candidates[:3], rtol=1e-5)
    after, metrics = tell(strategy, state, candidates, jax.vmap(quadratic)(candidates))
    expected = noise.T @ noise / 3 @ jax.grad(quadratic)(start)
    np.testing.assert_allclose(after.mean - start, expected, rtol=1e-4)
    np.testing.assert_allclose(metrics["gradient_norm"], np.linalg.norm(expected), rtol=1e-4)


def test_the_expected_gradient_is_the_gradient():
    config = OpenESConfig(
        population_size=20_000, optimizer="sgd", learning_rate=1.0, fitness_shaping="returns"
    )
    strategy = openes_strategy(config)
    start = jnp.zeros(3)
    state, candidates = strategy.ask(jax.random.key(0), strategy.init(start))
    after, _ = tell(strategy, state, candidates, jax.vmap(sphere)(candidates))
    np.testing.assert_allclose(after.mean, jax.grad(sphere)(start), rtol=0.06)


def test_an_iteration_by_hand():
    """Ranks -1/2 and 1/2 of mean -+ 0.5: gradient (0.5 / (2 * 0.25)) * (0.5 + 0.5) = 1.

    With weight decay 0.1 and mean 2: 2 + 0.5 * (1 - 0.2) = 2.4.
    """
    config = OpenESConfig(
        population_size=2, noise_scale=0.5, optimizer="sgd", learning_rate=0.5, weight_decay=0.1
    )
    strategy = openes_strategy(config)
    state, metrics = tell(strategy, strategy.init(jnp.array([2.0])), [[2.5], [1.5]], [70.0, 3.0])
    np.testing.assert_allclose(metrics["gradient_norm"], 1.0)
    np.testing.assert_allclose(state.mean, [2.4], rtol=1e-6)


def test_no_difference_is_no_direction():
    strategy = openes_strategy(OpenESConfig(population_size=4, optimizer="sgd"))
    state, candidates = strategy.ask(jax.random.key(0), strategy.init(jnp.ones(3)))
    for fitness in ([5.0] * 4, [np.nan] * 4):
        after, _ = tell(strategy, state, candidates, fitness)
        np.testing.assert_allclose(after.mean, np.ones(3), atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "momentum", "rmsprop", optax.lamb])
def test_the_optimum_of_a_sphere_in_20_dimensions(optimizer):
    """Within 20,000 evaluations, from a distance of 4.5."""
    config = OpenESConfig(
        population_size=50, noise_scale=0.1, learning_rate=0.02, optimizer=optimizer
    )
    strategy = openes_strategy(config)
    run = jax.jit(lambda key: maximize(key, strategy, sphere, jnp.zeros(20), num_iterations=400))
    assert sphere(strategy.solution(run(jax.random.key(0))[0])) > -0.05


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"population_size": 5}, "population_size=5 must be even"),
        ({"optimizer": "sdg"}, "optimizer='sdg' is not one of adam"),
        ({"fitness_shaping": "rank"}, "is not one of centered_ranks, returns"),
    ],
)
def test_wrong_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        openes_strategy(OpenESConfig(**changes))

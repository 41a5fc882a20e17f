"""Augmented random search by hand and on functions."""

import jax
import jax.numpy as jnp
import numpy as np
from search.functions import sphere, tell

from jaxrl import ARSConfig, maximize
from jaxrl.search.ars import ars_strategy


def test_an_iteration_by_hand():
    """Three directions, of which the two whose better candidate is best: the first and the third.

    The better candidate of the first is its second one, so that neither half alone would choose
    them. Their returns 0, 8, 4, 4 have the mean 4 and the deviation sqrt(8); the sum of differences
    times directions is (0 - 4) (1, 0) + (8 - 4) (0, 2) = (-4, 8); 0.5 / (2 sqrt(8)) times that.
    """
    config = ARSConfig(num_directions=3, top_fraction=2 / 3, learning_rate=0.5, noise_scale=0.1)
    strategy = ars_strategy(config)
    mean = jnp.array([1.0, 1.0])
    directions = jnp.array([[1.0, 0.0], [5.0, 5.0], [0.0, 2.0]])
    candidates = jnp.concatenate([mean + 0.1 * directions, mean - 0.1 * directions])
    fitness = [0.0, 3.0, 8.0, 4.0, -1.0, 4.0]
    state, metrics = tell(strategy, strategy.init(mean), candidates, fitness)
    change = 0.5 / (2 * np.sqrt(8)) * np.array([-4.0, 8.0])
    np.testing.assert_allclose(state.mean, 1.0 + change, rtol=1e-4)
    np.testing.assert_allclose(metrics["update_norm"], np.linalg.norm(change), rtol=1e-4)


def test_the_learning_rate_decays_with_every_iteration():
    """A direction and its return always differ alike: the steps shrink by the factor alone."""
    config = ARSConfig(num_directions=1, learning_rate=0.5, learning_rate_decay=0.9)
    strategy = ars_strategy(config)
    state = strategy.init(jnp.zeros(2))
    steps = []
    for _ in range(3):
        direction = config.noise_scale * jnp.array([1.0, 0.0])
        candidates = jnp.stack([state.mean + direction, state.mean - direction])
        state, metrics = tell(strategy, state, candidates, [2.0, 1.0])
        steps.append(metrics["update_norm"])
    # The deviation of 1 and 2 is 1/2, so that the first step is 0.5 * (2 - 1) / (1 * 0.5).
    np.testing.assert_allclose(steps, [1.0, 0.9, 0.81], rtol=1e-4)


def test_candidates_are_mirrored_pairs():
    strategy = ars_strategy(ARSConfig(num_directions=5))
    state, candidates = strategy.ask(jax.random.key(0), strategy.init(jnp.ones(3)))
    assert candidates.shape == (strategy.population_size, 3) == (10, 3)
    np.testing.assert_allclose(candidates[:5] + candidates[5:], 2.0, rtol=1e-5)
    # Equal returns, or none at all, are no direction.
    for fitness in ([3.0] * 10, [np.nan] * 10):
        after, _ = tell(strategy, state, candidates, fitness)
        np.testing.assert_array_equal(after.mean, np.ones(3))


def test_the_optimum_of_a_sphere_in_20_dimensions():
    """Within 20,000 evaluations, from a distance of 4.5."""
    strategy = ars_strategy(ARSConfig(num_directions=20, learning_rate=0.02, noise_scale=0.05))
    run = jax.jit(lambda key: maximize(key, strategy, sphere, jnp.zeros(20), num_iterations=500))
    assert sphere(strategy.solution(run(jax.random.key(0))[0])) > -0.05

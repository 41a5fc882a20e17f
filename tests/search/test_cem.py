"""The cross-entropy method, an iteration by hand, and on functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from search.functions import sphere, tell

from jaxrl import CEMConfig, maximize
from jaxrl.search.cem import cem_strategy


def test_an_iteration_by_hand():
    """The elites are (1, 2) and (3, 6): mean (2, 4), deviations 1 and 2, and the floor is 1.5."""
    config = CEMConfig(population_size=4, elite_fraction=0.5, min_noise_scale=1.5, noise_scale=3.0)
    strategy = cem_strategy(config)
    candidates = [[1.0, 2.0], [9.0, 9.0], [3.0, 6.0], [8.0, 8.0]]
    state, metrics = tell(strategy, strategy.init(jnp.zeros(2)), candidates, [5.0, 1.0, 4.0, 2.0])
    np.testing.assert_allclose(state.mean, [2.0, 4.0])
    np.testing.assert_allclose(state.deviation, [1.5, 2.0], rtol=1e-6)
    np.testing.assert_array_equal(state.best, [1.0, 2.0])
    assert (metrics["noise_scale"], metrics["best_fitness"]) == (3.0, 5.0)
    # What was better before stays the best; a failed candidate is none of the elite.
    state, _ = tell(strategy, state, candidates, [np.nan, 4.0, 4.5, np.nan])
    np.testing.assert_array_equal(state.best, [1.0, 2.0])
    np.testing.assert_allclose(state.mean, [6.0, 7.5])


@pytest.mark.parametrize("recommends_best", [False, True])
def test_what_is_recommended(recommends_best):
    strategy = cem_strategy(CEMConfig(population_size=2, recommend_best=recommends_best))
    state = strategy.init(jnp.zeros(1))
    np.testing.assert_array_equal(strategy.solution(state), [0.0])
    state, _ = tell(strategy, state, [[1.0], [2.0]], [5.0, 0.0])
    state, _ = tell(strategy, state, [[3.0], [4.0]], [1.0, 0.0])
    np.testing.assert_array_equal(strategy.solution(state), [1.0 if recommends_best else 3.0])


def test_samples_are_those_of_the_gaussian():
    strategy = cem_strategy(CEMConfig(population_size=20_000))
    state = strategy.init(jnp.array([1.0, -2.0]))._replace(deviation=jnp.array([0.5, 2.0]))
    _, candidates = strategy.ask(jax.random.key(0), state)
    np.testing.assert_allclose(np.mean(candidates, axis=0), [1.0, -2.0], atol=0.08)
    np.testing.assert_allclose(np.std(candidates, axis=0), [0.5, 2.0], rtol=0.04)


def test_the_optimum_of_a_sphere_in_20_dimensions():
    """Within 10,000 evaluations, from a distance of 4.5."""
    config = CEMConfig(population_size=100, noise_scale=1.0, min_noise_scale=1e-3)
    strategy = cem_strategy(config)
    run = jax.jit(lambda key: maximize(key, strategy, sphere, jnp.zeros(20), num_iterations=100))
    assert sphere(strategy.solution(run(jax.random.key(0))[0])) > -1e-3


def test_the_elite_fraction_can_be_traced():
    @jax.jit
    def mean(fraction):
        strategy = cem_strategy(CEMConfig(population_size=4, elite_fraction=fraction))
        candidates = jnp.array([[1.0], [2.0], [3.0], [4.0]])
        state = strategy.init(jnp.zeros(1))
        return strategy.tell(jax.random.key(0), state, candidates, candidates[:, 0])[0].mean[0]

    np.testing.assert_allclose([mean(f) for f in (0.01, 0.5, 0.75, 1.0)], [4.0, 3.5, 3.0, 2.5])

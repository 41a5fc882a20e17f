"""Simulated annealing by hand, and its acceptance against its probability."""

import jax
import jax.numpy as jnp
import numpy as np
from search.functions import sphere, tell

from jaxrl import SimulatedAnnealingConfig, maximize
from jaxrl.search.simulated_annealing import simulated_annealing_strategy

ZERO, ONE, TWO = [0.0, 0.0], [1.0, 1.0], [2.0, 2.0]


def plain(**changes):
    config = SimulatedAnnealingConfig(reevaluate_best=False, **changes)
    return simulated_annealing_strategy(config)


def test_an_iteration_by_hand():
    strategy = plain(
        temperature=4.0,
        temperature_decay=0.5,
        min_temperature=1.5,
        noise_scale=1.0,
        noise_decay=0.8,
        min_noise_scale=0.7,
    )
    state, metrics = tell(strategy, strategy.init(jnp.zeros(2)), [ZERO], [3.0])
    assert (metrics["temperature"], metrics["noise_scale"]) == (4.0, 1.0)
    np.testing.assert_allclose([state.temperature, state.noise_scale], [2.0, 0.8])
    state, _ = tell(strategy, state, [ONE], [5.0])
    np.testing.assert_allclose([state.temperature, state.noise_scale], [1.5, 0.7])
    np.testing.assert_array_equal(state.current, ONE)
    # A loss of 100 at temperature 1.5 is never accepted, a failure neither.
    for fitness in (-95.0, np.nan):
        state, _ = tell(strategy, state, [TWO], [fitness])
        np.testing.assert_array_equal(state.current, ONE)
        assert (state.current_fitness, state.best_fitness) == (5.0, 5.0)


def test_a_loss_is_accepted_with_its_probability_and_the_best_is_kept():
    """A loss of 2 at temperature 4: exp(-1/2) = 0.6065."""
    strategy = plain(temperature=4.0, temperature_decay=1.0)
    state, _ = tell(strategy, strategy.init(jnp.zeros(2)), [ZERO], [3.0])
    told = jax.vmap(lambda key: strategy.tell(key, state, jnp.array([ONE]), jnp.array([1.0]))[0])
    after = told(jax.random.split(jax.random.key(0), 4096))
    accepted = np.asarray(after.current == 1.0).all(axis=1)
    np.testing.assert_allclose(accepted.mean(), np.exp(-0.5), atol=5 * 0.5 / 64)
    np.testing.assert_array_equal(after.best, np.zeros((4096, 2)))
    np.testing.assert_array_equal(np.asarray(after.is_best), ~accepted)


def test_the_best_of_the_neighbors_is_considered():
    strategy = plain(num_neighbors=3, min_temperature=1e-3)
    state, candidates = strategy.ask(jax.random.key(0), strategy.init(jnp.zeros(2)))
    np.testing.assert_array_equal(candidates[0], ZERO)
    state, _ = tell(strategy, state, [ZERO, ONE, TWO], [1.0, 3.0, 2.0])
    np.testing.assert_array_equal(state.current, ONE)


def test_a_lucky_best_is_overtaken_by_the_present():
    """The best was told 9 and then 1: a mean of 5, below the present parameters' 6."""
    strategy = simulated_annealing_strategy(
        SimulatedAnnealingConfig(temperature=1e6, min_temperature=1e6)
    )
    state, _ = tell(strategy, strategy.init(jnp.zeros(2)), [ZERO, ONE], [9.0, 6.0])
    np.testing.assert_array_equal(state.current, ONE)
    np.testing.assert_array_equal(state.best, ZERO)
    state, _ = tell(strategy, state, [ZERO, TWO], [1.0, -1e9])
    np.testing.assert_array_equal(state.best, ONE)
    assert state.best_fitness == 6.0


def test_it_finds_the_top_of_a_hill():
    strategy = plain(temperature=1.0, noise_scale=0.5, min_noise_scale=0.02)
    run = jax.jit(lambda key: maximize(key, strategy, sphere, jnp.zeros(5), num_iterations=3000))
    state, _ = run(jax.random.key(0))
    assert sphere(strategy.solution(state)) > -1e-2

"""Hill climbing and steepest ascent, an iteration at a time, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from search.functions import sphere, tell

from jaxrl import HillClimbingConfig, SteepestAscentConfig, maximize
from jaxrl.search.hill_climbing import hill_climbing_strategy
from jaxrl.search.steepest_ascent import steepest_ascent_strategy

START = jnp.array([1.0, 2.0])


def plain(**changes):
    return hill_climbing_strategy(HillClimbingConfig(reevaluate_best=False, **changes))


def test_noise_halves_on_success_and_doubles_on_failure():
    strategy = plain(noise_scale=0.01, min_noise_scale=4e-3, max_noise_scale=0.015)
    state = strategy.init(START)
    fitness = [3.0, 4.0, 4.0, 2.0, 5.0]
    expected = [(3.0, 0.005), (4.0, 0.004), (4.0, 0.008), (4.0, 0.015), (5.0, 0.0075)]
    for i, (told, (best_fitness, noise_scale)) in enumerate(zip(fitness, expected, strict=True)):
        state, metrics = tell(strategy, state, [[i, i]], [told])
        np.testing.assert_allclose(state.best_fitness, best_fitness)
        np.testing.assert_allclose(metrics["noise_scale"], noise_scale, rtol=1e-6)
    np.testing.assert_array_equal(state.best, [4.0, 4.0])


def test_without_adaptive_noise_the_radius_stays():
    strategy = plain(noise_scale=0.01, adaptive_noise=False)
    state = strategy.init(START)
    for fitness in (1.0, 2.0, 0.0):
        state, metrics = tell(strategy, state, [[0.0, 0.0]], [fitness])
        assert metrics["noise_scale"] == np.float32(0.01)


def test_the_best_is_not_aliased_by_what_is_perturbed():
    """A failure leaves the best exactly as it was: not a bit of the challenger is in it."""
    strategy = plain()
    state, _ = tell(strategy, strategy.init(START), [START], [3.0])
    before = np.array(state.best)
    for i in range(5):
        state, candidates = strategy.ask(jax.random.key(i), state)
        assert (np.asarray(candidates[0]) != before).all()
        state, _ = tell(strategy, state, candidates, [2.0])
        np.testing.assert_array_equal(state.best, before)


@pytest.mark.parametrize("reevaluate", [False, True])
def test_the_start_is_evaluated_first(reevaluate):
    strategy = hill_climbing_strategy(HillClimbingConfig(reevaluate_best=reevaluate))
    state, candidates = strategy.ask(jax.random.key(0), strategy.init(START))
    np.testing.assert_array_equal(candidates[0], START)
    assert candidates.shape == (strategy.population_size, 2) == (1 + reevaluate, 2)
    # A start that fails does not keep the search where it is.
    state, _ = tell(strategy, state, candidates, [np.nan] * len(candidates))
    _, candidates = strategy.ask(jax.random.key(0), state)
    assert (np.asarray(candidates[-1]) != START).all()


@pytest.mark.parametrize("strategy", [plain(noise_scale=0.5)])
def test_noise_is_symmetric_and_of_its_scale(strategy):
    state, _ = tell(strategy, strategy.init(jnp.zeros(4)), [jnp.zeros(4)], [0.0])
    state = state._replace(noise_scale=jnp.float32(0.5))
    ask = jax.vmap(lambda key: strategy.ask(key, state)[1][0])
    noise = np.asarray(ask(jax.random.split(jax.random.key(0), 4096)))
    # Standard errors: 0.5 / 64 of a mean, 1 / 128 of a share, 0.5 / 90 of a deviation.
    np.testing.assert_allclose(noise.mean(axis=0), 0.0, atol=5 * 0.5 / 64)
    np.testing.assert_allclose((noise > 0).mean(axis=0), 0.5, atol=5 / 128)
    np.testing.assert_allclose(noise.std(axis=0), 0.5, atol=5 * 0.5 / 90)


def test_a_lucky_evaluation_is_found_out():
    """Told 9, then 1 and 2 beside challengers: the mean of 9, 1 and 2 is 4, and 5 is better."""
    strategy = hill_climbing_strategy(HillClimbingConfig())
    best, challenger = [0.0, 0.0], [7.0, 7.0]
    state, _ = tell(strategy, strategy.init(jnp.zeros(2)), [best, challenger], [9.0, 0.0])
    state, _ = tell(strategy, state, [best, challenger], [1.0, 0.0])
    assert (float(state.best_fitness), int(state.evaluations)) == (5.0, 2)
    state, _ = tell(strategy, state, [best, challenger], [2.0, 4.5])
    np.testing.assert_array_equal(state.best, challenger)
    assert (float(state.best_fitness), int(state.evaluations)) == (4.5, 1)


def test_equal_fitness_is_no_success():
    strategy = hill_climbing_strategy(HillClimbingConfig(noise_scale=0.1))
    state, metrics = tell(strategy, strategy.init(START), [START, START + 1], [5.0, 5.0])
    np.testing.assert_array_equal(state.best, START)
    np.testing.assert_allclose(metrics["noise_scale"], 0.2)


def test_steepest_ascent_takes_the_best_neighbor_and_no_failed_one():
    strategy = steepest_ascent_strategy(SteepestAscentConfig(num_neighbors=3))
    candidates = [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]
    state = strategy.init(jnp.zeros(2))
    state, _ = tell(strategy, state, candidates, [1.0, 2.0, 3.0, np.nan])
    np.testing.assert_array_equal(state.best, [2.0, 2.0])
    state, _ = tell(strategy, state, candidates, [3.0, 2.0, np.nan, 2.5])
    np.testing.assert_array_equal(state.best, [2.0, 2.0])


def test_both_climb_a_hill():
    for strategy in (
        # Successes become rare near the top: the radius must shrink there all the same.
        plain(noise_scale=0.3, noise_growth=1.3),
        steepest_ascent_strategy(SteepestAscentConfig(noise_scale=0.3, noise_growth=1.3)),
    ):
        run = jax.jit(
            lambda key, s=strategy: maximize(key, s, sphere, jnp.zeros(5), num_iterations=1500)
        )
        state, metrics = run(jax.random.key(0))
        assert sphere(strategy.solution(state)) > -0.05  # The start is worth -5.
        assert (np.diff(metrics["best_fitness"]) >= -1e-6).all()


def test_limits_of_the_noise_must_be_in_order():
    config = HillClimbingConfig(min_noise_scale=1.0, max_noise_scale=0.5)
    with pytest.raises(ValueError, match=r"min_noise_scale=1.0 must be at most max_noise_scale"):
        hill_climbing_strategy(config)

"""What every strategy does with failures, with odd inputs and with its own buffers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiers import named

from jaxrl import maximize
from jaxrl.search.ars import ARSConfig, ars_strategy
from jaxrl.search.cem import CEMConfig, cem_strategy
from jaxrl.search.evosax_search import EvosaxConfig, evosax_strategy
from jaxrl.search.hill_climbing import HillClimbingConfig, hill_climbing_strategy
from jaxrl.search.openes import OpenESConfig, openes_strategy
from jaxrl.search.simulated_annealing import (
    SimulatedAnnealingConfig,
    simulated_annealing_strategy,
)
from jaxrl.search.steepest_ascent import SteepestAscentConfig, steepest_ascent_strategy
from jaxrl.settings import require_settings

NAN = np.nan
STRATEGIES = {
    "ars": lambda: ars_strategy(ARSConfig(noise_scale=0.1, learning_rate=0.1)),
    "cem": lambda: cem_strategy(CEMConfig(min_noise_scale=0.01)),
    "hill_climbing": lambda: hill_climbing_strategy(HillClimbingConfig(noise_scale=0.3)),
    "openes": lambda: openes_strategy(OpenESConfig(noise_scale=0.3)),
    "openes, returns": lambda: openes_strategy(
        OpenESConfig(noise_scale=0.3, fitness_shaping="returns")
    ),
    "simulated_annealing": lambda: simulated_annealing_strategy(SimulatedAnnealingConfig()),
    "steepest_ascent": lambda: steepest_ascent_strategy(SteepestAscentConfig(noise_scale=0.3)),
    "CMA_ES": lambda: evosax_strategy(EvosaxConfig(strategy="CMA_ES")),
    "DifferentialEvolution": lambda: evosax_strategy(
        EvosaxConfig(strategy="DifferentialEvolution")
    ),
    "GuidedES": lambda: evosax_strategy(
        EvosaxConfig(strategy="GuidedES", learning_rate=0.05, noise_scale=0.1)
    ),
}


def top_at_one(vector):
    return -jnp.sum(jnp.square(vector - 1.0))


@pytest.fixture(params=named(STRATEGIES, "ars", "cem", "hill_climbing", "openes", "CMA_ES"))
def strategy(request):
    return STRATEGIES[request.param]()


def iterate(strategy, state, fitness):
    """One iteration with a fitness of one's own; the same noise every time."""
    state, candidates = strategy.ask(jax.random.key(1), state)
    return strategy.tell(jax.random.key(2), state, candidates, fitness(candidates))[0]


def test_failures_here_and_there_do_not_end_the_search(strategy):
    """Around the start everything fails, and so does each fifth strip of what lies beyond."""

    def function(vector):
        fails = (jnp.sum(jnp.square(vector)) < 0.1) | (jnp.sin(9 * vector[0]) > 0.8)
        return jnp.where(fails, jnp.nan, top_at_one(vector))

    run = jax.jit(
        lambda key: maximize(key, strategy, function, jnp.zeros(2), num_iterations=300)[0]
    )
    solution = strategy.solution(run(jax.random.key(0)))
    assert top_at_one(solution) > -0.2


def test_where_all_fail_nothing_is_learnt(strategy):
    @jax.jit
    def solutions(fails):
        """Before, after and long after an iteration."""
        state = strategy.init(jnp.full(3, 2.0))
        first = iterate(strategy, state, lambda x: jnp.where(fails, jnp.nan, x[:, 0]))
        later = jax.lax.fori_loop(
            0, 3, lambda _, state: iterate(strategy, state, jax.vmap(top_at_one)), first
        )
        return tuple(strategy.solution(state) for state in (state, first, later))

    before, after, later = solutions(True)
    np.testing.assert_array_equal(after, before)
    assert jnp.isfinite(later).all()
    assert (later != 2.0).any()


def test_the_best_may_fail_once():
    """Its next evaluation counts as its first; then a better neighbour takes its place."""
    strategy = hill_climbing_strategy(HillClimbingConfig())
    state = strategy.init(jnp.zeros(1))
    for fitness in ([5.0, 1.0], [NAN, NAN], [5.0, 4.0]):
        state = iterate(strategy, state, lambda _, fitness=fitness: jnp.array(fitness))
    assert (state.best_fitness, state.evaluations) == (5.0, 1)
    np.testing.assert_array_equal(state.best, [0.0])
    state = iterate(strategy, state, lambda _: jnp.array([5.0, 100.0]))
    assert state.best_fitness == 100.0
    assert state.best[0] != 0.0


@pytest.mark.parametrize("name", ["ars", "openes", "openes, returns"])
def test_on_a_plateau_there_is_no_gradient(name):
    """Rounding is no direction, however much an optimiser makes of it."""

    def flat(vector):
        del vector
        return jnp.float32(123.456)

    strategy = STRATEGIES[name]()
    state, _ = maximize(jax.random.key(0), strategy, flat, jnp.ones(10), num_iterations=50)
    np.testing.assert_array_equal(state.mean, np.ones(10))


@pytest.mark.parametrize(
    "start", [[0, 0], np.zeros(2, np.int32), jnp.zeros(2, jnp.bfloat16), np.zeros(2, np.float64)]
)
def test_a_start_of_any_numbers(start):
    strategy = STRATEGIES["cem"]()
    state, _ = maximize(jax.random.key(0), strategy, top_at_one, start, num_iterations=3)
    solution = strategy.solution(state)
    assert solution.dtype == jnp.float32
    assert solution.shape == (2,)
    assert jnp.isfinite(solution).all()


def test_a_start_that_is_no_vector_is_named(strategy):
    for start in (1.0, np.zeros((2, 2)), np.zeros(0)):
        with pytest.raises(ValueError, match="a search starts from a vector"):
            strategy.init(start)


def test_a_fitness_of_another_shape_is_named(strategy):
    size = strategy.population_size
    state, candidates = strategy.init(jnp.zeros(2)), jnp.zeros((size, 2))
    for fitness in (jnp.zeros((size, 1)), jnp.zeros(size + 1), jnp.float32(0)):
        with pytest.raises(ValueError, match=rf"{size} candidates have a fitness of shape"):
            strategy.tell(jax.random.key(0), state, candidates, fitness)


def test_no_buffer_is_two_parts_of_the_state(strategy):
    """So a state can be donated."""
    state = strategy.init(jnp.zeros(2))
    state, candidates = jax.jit(strategy.ask, donate_argnums=1)(jax.random.key(0), state)
    fitness = jnp.zeros(strategy.population_size)
    state, _ = jax.jit(strategy.tell, donate_argnums=1)(
        jax.random.key(0), state, candidates, fitness
    )
    assert jnp.isfinite(strategy.solution(state)).all()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda vector: vector, r"returns one number, of shape \(\), not \(2,\)"),
        (lambda vector: (vector[0], vector[1]), r"returns one number, of shape \(\)"),
    ],
)
def test_a_function_returns_one_number(function, message):
    strategy = STRATEGIES["cem"]()
    with pytest.raises(ValueError, match=message):
        maximize(jax.random.key(0), strategy, function, jnp.zeros(2), num_iterations=3)


@pytest.mark.parametrize("num_iterations", [0, -1])
def test_there_are_iterations(num_iterations):
    strategy = STRATEGIES["cem"]()
    with pytest.raises(ValueError, match=f"num_iterations={num_iterations} must be at least 1"):
        maximize(
            jax.random.key(0), strategy, top_at_one, jnp.zeros(2), num_iterations=num_iterations
        )


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda rate: optax.chain(optax.scale_by_adam(), optax.scale(-rate)),
        lambda rate: optax.sgd(0.5 * rate),
        optax.lion,
    ],
)
def test_any_function_from_a_rate_to_an_optimiser(optimizer):
    config = OpenESConfig(optimizer=optimizer, learning_rate=0.1, learning_rate_decay=0.97)
    strategy = openes_strategy(config)

    def run(key):
        return maximize(key, strategy, top_at_one, jnp.zeros(2), num_iterations=100)[0].mean

    assert top_at_one(jax.jit(run)(jax.random.key(0))) > -0.1


@pytest.mark.parametrize(
    ("kind", "config", "message"),
    [
        (CEMConfig, OpenESConfig(), "CEMConfig are needed here, not OpenESConfig"),
        (HillClimbingConfig, SteepestAscentConfig(), "not SteepestAscentConfig"),
        (ARSConfig, None, "ARSConfig are needed here, not NoneType"),
        (CEMConfig, CEMConfig, r"not CEMConfig: use CEMConfig\(\)"),
    ],
)
def test_settings_of_another_kind_are_named(kind, config, message):
    with pytest.raises(ValueError, match=message):
        require_settings(config, kind)


@pytest.mark.parametrize(
    ("make", "config"),
    [
        (cem_strategy, CEMConfig(noise_scale=np.ones(2))),
        (openes_strategy, OpenESConfig(learning_rate=np.ones(2))),
    ],
)
def test_one_strategy_takes_one_value(make, config):
    with pytest.raises(ValueError, match="vmap a function"):
        make(config)

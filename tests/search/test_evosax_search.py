"""evosax's strategies through our seam, and as the oracle of ours."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from search.functions import rosenbrock, sphere
from tiers import leading

import jaxrl
from jaxrl import EvosaxConfig, OpenESConfig, SimulatedAnnealingConfig, maximize
from jaxrl.search.ars import ars_strategy
from jaxrl.search.cem import cem_strategy
from jaxrl.search.evosax_search import evosax_strategy
from jaxrl.search.openes import openes_strategy
from jaxrl.search.simulated_annealing import simulated_annealing_strategy

algorithms = pytest.importorskip("evosax.algorithms")
DIMENSIONS = 10
# What evosax 0.3.2 calls of optax.
pytestmark = pytest.mark.filterwarnings("ignore:optax.global_norm is deprecated")


def solutions(strategy, function, *, num_iterations, seeds=16, start=None):
    """The values of what 16 independent searches recommend, sorted."""
    start = jnp.zeros(DIMENSIONS) if start is None else start

    @jax.jit
    @jax.vmap
    def run(key):
        state, _ = maximize(key, strategy, function, start, num_iterations=num_iterations)
        return function(strategy.solution(state))

    return np.sort(np.asarray(run(jax.random.split(jax.random.key(0), seeds))))


def theirs(algorithm, params, function, *, num_iterations, seeds=16):
    """The same for evosax's own loop, without a line of ours."""

    @jax.jit
    @jax.vmap
    def run(key):
        key_init, key_loop = jax.random.split(key)
        state = algorithm.init(key_init, jnp.zeros(DIMENSIONS), params)

        def iterate(state, key):
            key_ask, key_tell = jax.random.split(key)
            candidates, state = algorithm.ask(key_ask, state, params)
            cost = -jax.vmap(function)(candidates)
            return algorithm.tell(key_tell, candidates, cost, state, params)[0], None

        state = jax.lax.scan(iterate, state, jax.random.split(key_loop, num_iterations))[0]
        return function(state.mean), function(state.best_solution)

    return [np.sort(np.asarray(x)) for x in run(jax.random.split(jax.random.key(1), seeds))]


def assert_within_noise(ours, others):
    """The means differ by less than four standard errors of their difference."""
    error = np.sqrt(ours.var(ddof=1) / ours.size + others.var(ddof=1) / others.size)
    assert abs(ours.mean() - others.mean()) < 4 * error


def test_openes_is_theirs():
    solution = jnp.zeros(DIMENSIONS)
    other = algorithms.Open_ES(
        20, solution, optimizer=optax.adam(0.02), std_schedule=optax.constant_schedule(0.1)
    )
    config = OpenESConfig(population_size=20, learning_rate=0.02, noise_scale=0.1)
    ours = solutions(openes_strategy(config), sphere, num_iterations=60)
    means, _ = theirs(other, other.default_params, sphere, num_iterations=60)
    assert_within_noise(ours, means)
    # Not because both have arrived: the start is at -10.
    assert -8 < ours.mean() < -0.05


def test_simulated_annealing_is_theirs():
    """Their temperature is multiplied by a constant of 5; its floor is 0.5 then."""
    solution = jnp.zeros(DIMENSIONS)
    other = algorithms.SimulatedAnnealing(8, solution, std_schedule=optax.constant_schedule(0.3))
    config = SimulatedAnnealingConfig(
        num_neighbors=8,
        temperature=5.0,
        temperature_decay=0.999,
        min_temperature=0.5,
        noise_scale=0.3,
        noise_decay=1.0,
        reevaluate_best=False,
    )
    ours = solutions(simulated_annealing_strategy(config), sphere, num_iterations=100, seeds=64)
    _, bests = theirs(other, other.default_params, sphere, num_iterations=100, seeds=64)
    assert_within_noise(ours, bests)


@pytest.mark.full
def test_ours_do_no_worse_than_theirs_on_rosenbrock():
    """The same evaluations, population and noise for the nearest strategy of evosax's.

    The nearest of ARS is theirs, which takes Adam's step; the nearest of CEM is SimpleES, which
    also refits a Gaussian to elites.
    """
    pairs = {
        "cem": (
            cem_strategy(jaxrl.CEMConfig(population_size=40, min_noise_scale=0.02)),
            EvosaxConfig(strategy="SimpleES", population_size=40, noise_scale=0.5),
        ),
        "openes": (
            openes_strategy(OpenESConfig(population_size=40, noise_scale=0.05, learning_rate=0.02)),
            EvosaxConfig(
                strategy="Open_ES", population_size=40, noise_scale=0.05, learning_rate=0.02
            ),
        ),
        "ars": (
            ars_strategy(
                jaxrl.ARSConfig(
                    num_directions=20,
                    top_fraction=0.5,
                    noise_scale=0.05,
                    learning_rate=0.02,
                    optimizer="adam",
                )
            ),
            EvosaxConfig(strategy="ARS", population_size=40, noise_scale=0.05, learning_rate=0.02),
        ),
    }
    for name, (strategy, config) in pairs.items():
        ours = solutions(strategy, rosenbrock, num_iterations=300)
        others = solutions(evosax_strategy(config), rosenbrock, num_iterations=300)
        error = np.sqrt(ours.var(ddof=1) / ours.size + others.var(ddof=1) / others.size)
        assert ours.mean() > others.mean() - 4 * error, name


@pytest.mark.parametrize("name", leading(["CMA_ES", "SNES", "PGPE", "LM_MA_ES", "PSO", "SimpleGA"]))
def test_any_strategy_is_driven(name):
    """With a mean or with a population; CMA_ES decomposes a matrix, side by side under vmap."""
    strategy = evosax_strategy(EvosaxConfig(strategy=name, population_size=16, learning_rate=None))
    values = solutions(strategy, sphere, num_iterations=100, seeds=4)
    # The start is worth -10.
    assert values[0] > -5.0


def test_a_population_begins_around_the_start_and_only_then_moves():
    strategy = evosax_strategy(
        EvosaxConfig(strategy="DifferentialEvolution", population_size=500, noise_scale=0.1)
    )
    state, candidates = strategy.ask(jax.random.key(0), strategy.init(jnp.array([3.0, -1.0])))
    np.testing.assert_allclose(np.mean(candidates, axis=0), [3.0, -1.0], atol=0.03)
    np.testing.assert_allclose(np.std(candidates, axis=0), [0.1, 0.1], rtol=0.2)
    np.testing.assert_array_equal(strategy.solution(state), [3.0, -1.0])
    state, metrics = strategy.tell(jax.random.key(1), state, candidates, candidates[:, 0])
    np.testing.assert_allclose(metrics["best_fitness"], jnp.max(candidates[:, 0]))
    np.testing.assert_array_equal(
        strategy.solution(state), candidates[jnp.argmax(candidates[:, 0])]
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "CMAES"}, r"strategy='CMAES' is not one .*: did you mean .*CMA_ES"),
        ({"strategy": "SV_CMA_ES"}, r"'SV_CMA_ES' is not one of evosax's for one population: did"),
        ({"strategy": "CMA_ES", "learning_rate": 0.1}, "learning_rate=0.1 has no use: CMA_ES"),
        ({"strategy": "PGPE", "population_size": 5}, "population_size=5: Population size must be"),
    ],
)
def test_wrong_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        evosax_strategy(EvosaxConfig(**changes))


def test_without_evosax_the_error_says_what_to_install():
    program = (
        "import sys\n"
        "sys.modules['evosax'] = None\n"
        "import jaxrl\n"
        "try:\n"
        "    jaxrl.evosax_search(None, jaxrl.EvosaxConfig())\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert 'pip install "jaxrl[evosax]"' in answer.stdout

"""Sums on which an index or a statistic depends keep their digits at any matrix precision.

Accelerators multiply matrices of float32 with the 10 bits of TF32, or fewer, unless a product says
otherwise. Here the CPU is made to do the same.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import primitives
from probe_environments import constant_reward, continuous_target
from tiers import leading

import jaxrl
from jaxrl import registry
from jaxrl.exploration import StateDependentGaussian
from jaxrl.networks.initialization import orthogonal
from jaxrl.ops.fitness import centered_ranks, elite_weights
from jaxrl.ops.trust_region import trust_region_step
from jaxrl.replay.sum_tree import find, init_sum_tree, set_weights
from jaxrl.search.ars import ars_strategy
from jaxrl.search.cem import cem_strategy
from jaxrl.search.openes import openes_strategy

KEY = jax.random.key(0)
PACKAGE = pathlib.Path(jaxrl.__file__).parent


@pytest.fixture(autouse=True)
def low_precision(monkeypatch):
    """Rounds the factors of every product that does not ask for the highest precision."""
    product = primitives.dot_general_p
    exact = product.bind

    def rounded(x, y, **parameters):
        if parameters["precision"] not in (
            jax.lax.Precision.HIGHEST,
            (jax.lax.Precision.HIGHEST,) * 2,
        ):
            x, y = (jax.lax.reduce_precision(z, 8, 10) for z in (x, y))
        return exact(x, y, **parameters)

    jax.clear_caches()
    monkeypatch.setattr(product, "bind", rounded)
    yield
    monkeypatch.undo()
    jax.clear_caches()


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_products_are_rounded_here():
    """1 + 2^-12 is 1 in TF32."""
    x = jnp.float32([1 + 2**-12])
    assert jax.jit(jnp.dot)(x, jnp.ones(1)) == 1
    assert jax.jit(lambda y: jnp.dot(y, jnp.ones(1), precision="highest"))(x) == x[0]


@pytest.mark.full
def test_the_last_of_many_equal_leaves_is_drawn_as_often_as_the_others():
    count, weight = 100_000, 0.7
    tree = set_weights(init_sum_tree(count), jnp.arange(count), jnp.full(count, weight))
    masses = weight * (jnp.arange(10 * count) + 0.5) / 10
    leaves, _ = jax.jit(find)(tree, masses)
    times = np.bincount(leaves, minlength=count)
    assert 8 <= times[-1] <= 12
    assert times.min() >= 8
    assert times.max() <= 12


def ascended(strategy, fitness_of):
    """The parameters before and after one step, and the candidates in between with their worth."""
    start = jnp.asarray(normal(1, 5)) * 3
    state = strategy.init(start)
    state, candidates = strategy.ask(KEY, state)
    fitness = fitness_of(candidates)
    state, _ = jax.jit(strategy.tell)(KEY, state, candidates, fitness)
    exact = (np.asarray(x, np.float64) for x in (start, candidates, fitness))
    return (*exact, np.asarray(strategy.solution(state)))


def fitness_of(candidates):
    """Large numbers whose differences are small, as returns are late in a run."""
    return 1000 + jnp.sum(candidates, axis=1)


def test_augmented_random_search_is_float64s():
    config = jaxrl.ARSConfig(num_directions=8, noise_scale=0.1, learning_rate=0.5)
    start, candidates, fitness, found = ascended(ars_strategy(config), fitness_of)
    noise = (candidates[:8] - start) / 0.1
    positive, negative = np.split(fitness, 2)
    direction = (positive - negative) @ noise / 8 / fitness.std()
    np.testing.assert_allclose(found - start, 0.5 * direction, rtol=1e-4)


def test_evolution_strategies_are_float64s():
    config = jaxrl.OpenESConfig(
        population_size=16, noise_scale=0.1, learning_rate=0.5, optimizer="sgd", weight_decay=0.0
    )
    start, candidates, fitness, found = ascended(openes_strategy(config), fitness_of)
    noise = (candidates[:8] - start) / 0.1
    positive, negative = np.split(np.asarray(centered_ranks(jnp.asarray(fitness))), 2)
    gradient = (positive - negative) @ noise / (16 * 0.1)
    np.testing.assert_allclose(found - start, 0.5 * gradient, rtol=1e-4)


def test_the_cross_entropy_method_is_float64s():
    config = jaxrl.CEMConfig(population_size=20, elite_fraction=0.3, min_noise_scale=0.0)
    strategy = cem_strategy(config)
    _, candidates, fitness, found = ascended(strategy, fitness_of)
    weights = np.asarray(elite_weights(jnp.asarray(fitness), 0.3), np.float64)
    mean = weights @ candidates
    np.testing.assert_allclose(found, mean, rtol=1e-6)
    state, again = strategy.ask(KEY, strategy.init(jnp.asarray(normal(1, 5)) * 3))
    state, _ = strategy.tell(KEY, state, again, jnp.asarray(fitness))
    deviation = np.sqrt(weights @ np.square(candidates - mean))
    np.testing.assert_allclose(state.deviation, deviation, rtol=1e-5)


def test_initial_kernels_are_orthogonal():
    kernel = np.asarray(orthogonal(1.0)(KEY, (40, 16)), np.float64)
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(16), atol=1e-6)


def test_a_step_ends_at_the_border_of_the_trust_region():
    scales = np.linspace(1, 3, 6)
    gradient = jnp.asarray(normal(2, 6))
    step = trust_region_step(
        gradient, lambda v: jnp.asarray(scales) * v, radius=0.01, num_iterations=6
    )
    step = np.asarray(step, np.float64)
    np.testing.assert_allclose(0.5 * (step * scales) @ step, 0.01, rtol=1e-5)


def test_state_dependent_noise_has_the_variance_that_is_reported():
    features, log_std, noise = normal(3, 32), 0.3 * normal(4, 32, 2), normal(5, 32, 2)
    gaussian = StateDependentGaussian(jnp.zeros(2), jnp.asarray(features), jnp.asarray(log_std))
    deviations = np.exp(log_std.astype(np.float64))
    variance = np.square(features) @ np.square(deviations) + 1e-6
    np.testing.assert_allclose(gaussian.marginal().log_std, 0.5 * np.log(variance), rtol=1e-5)
    np.testing.assert_allclose(
        gaussian.sample_with(jnp.asarray(noise)), features @ (noise * deviations), rtol=1e-5
    )


def products(jaxpr):
    """Every product of a program, also within its loops and calls."""
    for equation in jaxpr.eqns:
        if equation.primitive is primitives.dot_general_p:
            yield equation
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")
        ):
            if hasattr(inner, "eqns"):
                yield from products(getattr(inner, "jaxpr", inner))


def place_of(equation):
    """The innermost file of ours that a product comes from, if any."""
    files = (pathlib.Path(frame.file_name) for frame in equation.source_info.traceback.frames)
    ours = (file.relative_to(PACKAGE) for file in files if PACKAGE in file.parents)
    return next(ours, pathlib.Path())


@pytest.mark.parametrize(
    ("name", "changed"),
    leading(
        [
            ("dqn", {"prioritized": True, "random_steps": 8, "batch_size": 4}),
            ("sac", {"state_dependent_exploration": True, "random_steps": 8, "batch_size": 4}),
            ("trpo", {"num_envs": 2, "num_steps": 8}),
            ("cem", {"population_size": 4}),
            ("openes", {"population_size": 4}),
            ("ars", {"num_directions": 2}),
        ],
        4,
    ),
)
def test_only_layers_of_networks_leave_their_precision_open(name, changed):
    entry = registry.get(name)
    config = entry.settings(total_steps=1000, hidden_sizes=(4,), **changed)
    env = continuous_target() if name == "sac" else constant_reward(5)
    algorithm = entry.build(env, config)
    state = jax.eval_shape(algorithm.init, KEY)
    programs = [jax.make_jaxpr(algorithm.init)(KEY), jax.make_jaxpr(algorithm.step)(KEY, state)]
    found = [product for program in programs for product in products(program.jaxpr)]
    loose = {place_of(x) for x in found if "HIGHEST" not in str(x.params["precision"])}
    strict = {place_of(x) for x in found} - loose
    networks = pathlib.Path("networks")
    assert strict
    assert all(place.parent == networks for place in loose)
    assert networks / "initialization.py" not in loose


@pytest.mark.parametrize("strategy", leading(["Sep_CMA_ES", "CMA_ES"]))
def test_products_of_evosax_say_what_they_need(strategy):
    pytest.importorskip("evosax")
    config = jaxrl.EvosaxConfig(strategy=strategy, population_size=8)
    made = jaxrl.search.evosax_strategy(config)
    state = jax.eval_shape(made.init, jnp.zeros(4))
    _, candidates = jax.eval_shape(made.ask, KEY, state)
    told = jax.make_jaxpr(made.tell)(KEY, state, candidates, jnp.zeros(8))
    asked = jax.make_jaxpr(made.ask)(KEY, state)
    found = [*products(told.jaxpr), *products(asked.jaxpr)]
    assert found
    for product in found:
        assert "HIGHEST" in str(product.params["precision"])

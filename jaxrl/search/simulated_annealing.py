"""Simulated annealing: accept worse neighbours too, ever more rarely (Kirkpatrick et al. 1983)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxrl.ops.fitness import failures_last
from jaxrl.search._checking import checked
from jaxrl.search._incumbent import beside_the_best, mean_of_evaluations
from jaxrl.search._policy_search import PolicySearchConfig, policy_search
from jaxrl.settings import number, require_settings, settings, static
from jaxrl.types import Algorithm, Environment, Key, Metrics, Network, Strategy


@settings
class SimulatedAnnealingConfig(PolicySearchConfig):
    """Settings of simulated annealing; both schedules are geometric, with a floor."""

    num_neighbors: int = static(1, minimum=1)
    """Neighbours of which the best is considered in an iteration."""
    temperature: float = number(1.0, minimum=0, open_minimum=True)
    """Loss of fitness that is accepted with probability 1/e, at the start."""
    temperature_decay: float = number(0.9, minimum=0, maximum=1, open_minimum=True)
    """Factor of the temperature per iteration."""
    min_temperature: float = number(1e-3, minimum=0, open_minimum=True)
    """The temperature does not fall below this."""
    noise_scale: float = number(1.0, minimum=0, open_minimum=True)
    """Standard deviation of the perturbations, at the start."""
    noise_decay: float = number(0.998, minimum=0, maximum=1, open_minimum=True)
    """Factor of the noise scale per iteration."""
    min_noise_scale: float = number(0.1, minimum=0)
    """The noise scale does not fall below this."""
    use_bias: bool = static(False)
    """Layers add a bias; where observations are centred, the search is easier without."""
    reevaluate_best: bool = static(True)
    """Evaluate the best parameters so far again in every iteration, so that luck is found out."""


class AnnealingState(NamedTuple):
    """State of the search.

    Attributes:
        current: [D], whose neighbours come next.
        current_fitness: float32 (), what it was told; minus infinity before that.
        best: [D], the best parameters so far.
        best_fitness: float32 (), the mean of all their evaluations; minus infinity before any.
        evaluations: int32 (), how many there were.
        is_best: bool (), whether the current parameters are the best.
        temperature: float32 (), of the next acceptance.
        noise_scale: float32 (), the standard deviation of the next perturbations.
    """

    current: Float[Array, " D"]
    current_fitness: Float[Array, ""]
    best: Float[Array, " D"]
    best_fitness: Float[Array, ""]
    evaluations: Int[Array, ""]
    is_best: Bool[Array, ""]
    temperature: Float[Array, ""]
    noise_scale: Float[Array, ""]


def simulated_annealing(
    env: Environment, config: SimulatedAnnealingConfig, *, network: Network | None = None
) -> Algorithm:
    """Builds simulated annealing for an environment; arguments and errors as `policy_search`.

    Example:
        >>> import jaxrl
        >>> env = jaxrl.make_env("CartPole-v1")
        >>> config = jaxrl.SimulatedAnnealingConfig(num_neighbors=4)
        >>> algorithm = jaxrl.simulated_annealing(env, config)
        >>> algorithm.total_steps
        100000
    """
    return policy_search(env, simulated_annealing_strategy(config), config, network=network)


def simulated_annealing_strategy(config: SimulatedAnnealingConfig) -> Strategy:
    """Builds simulated annealing for any function of a vector.

    The best of the neighbours, current + noise_scale * N(0, 1), is moved to with probability

        min(1, exp((fitness - current_fitness) / temperature))

    The recommended solution is the best of all that was moved to.
    """
    require_settings(config, SimulatedAnnealingConfig)

    def init(vector: Float[Array, " D"]) -> AnnealingState:
        return _at_start(vector, config)

    def ask(key: Key, state: AnnealingState) -> tuple[AnnealingState, Float[Array, "N D"]]:
        shape = config.num_neighbors, state.current.size
        noise = jax.random.normal(key, shape, jnp.float32)
        neighbors = state.current[None] + state.noise_scale * noise
        reevaluate = config.reevaluate_best
        return state, beside_the_best(neighbors, state.best, state.evaluations, reevaluate)

    def tell(
        key: Key,
        state: AnnealingState,
        candidates: Float[Array, "N D"],
        fitness: Float[Array, " N"],
    ) -> tuple[AnnealingState, Metrics]:
        fitness = failures_last(fitness)
        if config.reevaluate_best:
            state = _evaluated_again(state, fitness[0])
            candidates, fitness = candidates[1:], fitness[1:]
        winner = jnp.argmax(fitness)
        state = _moved(key, state, candidates[winner], fitness[winner])
        metrics = {
            "temperature": state.temperature,
            "noise_scale": state.noise_scale,
            "best_fitness": state.best_fitness,
        }
        temperature = config.temperature_decay * state.temperature
        noise_scale = config.noise_decay * state.noise_scale
        state = state._replace(
            temperature=jnp.maximum(temperature, config.min_temperature),
            noise_scale=jnp.maximum(noise_scale, config.min_noise_scale),
        )
        return state, metrics

    population_size = config.num_neighbors + config.reevaluate_best
    return checked(Strategy(init, ask, tell, lambda state: state.best, population_size))


def _at_start(vector: Float[Array, " D"], config: SimulatedAnnealingConfig) -> AnnealingState:
    return AnnealingState(
        current=vector,
        current_fitness=jnp.float32(-jnp.inf),
        best=jnp.array(vector),
        best_fitness=jnp.float32(-jnp.inf),
        evaluations=jnp.int32(0),
        is_best=jnp.asarray(True),
        temperature=jnp.asarray(config.temperature, jnp.float32),
        noise_scale=jnp.asarray(config.noise_scale, jnp.float32),
    )


def _evaluated_again(state: AnnealingState, fitness: Float[Array, ""]) -> AnnealingState:
    """Takes one more evaluation of the best parameters into the mean."""
    mean, evaluations = mean_of_evaluations(state.best_fitness, state.evaluations, fitness)
    current_fitness = jnp.where(state.is_best, mean, state.current_fitness)
    # Where the best was only lucky, the present parameters may be better.
    overtaken = current_fitness > mean
    return state._replace(
        current_fitness=current_fitness,
        best=jnp.where(overtaken, state.current, state.best),
        best_fitness=jnp.where(overtaken, current_fitness, mean),
        evaluations=jnp.where(overtaken, 1, evaluations),
        is_best=state.is_best | overtaken,
    )


def _moved(
    key: Key, state: AnnealingState, neighbor: Float[Array, " D"], fitness: Float[Array, ""]
) -> AnnealingState:
    """Moves to a neighbour, or does not; consumes the key."""
    gain = fitness - state.current_fitness
    chance = jnp.exp(gain / state.temperature)
    accepted = (gain > 0) | (jax.random.uniform(key, dtype=jnp.float32) < chance)
    is_new_best = accepted & (fitness > state.best_fitness)
    return state._replace(
        current=jnp.where(accepted, neighbor, state.current),
        current_fitness=jnp.where(accepted, fitness, state.current_fitness),
        best=jnp.where(is_new_best, neighbor, state.best),
        best_fitness=jnp.where(is_new_best, fitness, state.best_fitness),
        evaluations=jnp.where(is_new_best, 1, jnp.maximum(state.evaluations, 1)),
        is_best=is_new_best | (state.is_best & ~accepted),
    )

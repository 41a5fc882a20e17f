"""Hill climbing: move to a random neighbour of the best parameters so far if it is better.

The published teaching code of this method keeps the best weights by reference, so that the next
perturbation changes them too, and draws its noise from [0, 1), so that weights only ever grow. Here
the noise is symmetric, and arrays cannot be changed in place.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl.ops.fitness import failures_last
from jaxrl.search._checking import checked
from jaxrl.search._incumbent import beside_the_best, mean_of_evaluations
from jaxrl.search._noise_scaling import NoiseScalingConfig, check_noise_limits, next_noise_scale
from jaxrl.search._policy_search import PolicySearchConfig, policy_search
from jaxrl.settings import require_settings, settings, static
from jaxrl.types import Algorithm, Environment, Key, Metrics, Network, Strategy


@settings
class ClimbingConfig(NoiseScalingConfig, PolicySearchConfig):
    """Settings of hill climbing in all its forms; the noise follows Udacity's teaching code."""

    use_bias: bool = static(False)
    """Layers add a bias; where observations are centred, the search is easier without."""
    reevaluate_best: bool = static(True)
    """Evaluate the best parameters again, beside every challenger and in the same episodes."""


@settings
class HillClimbingConfig(ClimbingConfig):
    """Settings of hill climbing."""


class ClimbingState(NamedTuple):
    """State of a climber.

    Attributes:
        best: [D], the best parameters so far.
        best_fitness: float32 (), the mean of all their evaluations; minus infinity before any.
        evaluations: int32 (), how many there were.
        noise_scale: float32 (), the standard deviation of the next perturbations.
    """

    best: Float[Array, " D"]
    best_fitness: Float[Array, ""]
    evaluations: Int[Array, ""]
    noise_scale: Float[Array, ""]


def hill_climbing(
    env: Environment, config: HillClimbingConfig, *, network: Network | None = None
) -> Algorithm:
    """Builds hill climbing for an environment; arguments and errors as for `policy_search`.

    Example:
        >>> import jaxrl
        >>> env = jaxrl.make_env("CartPole-v1")
        >>> config = jaxrl.HillClimbingConfig(noise_scale=0.1, episodes_per_candidate=4)
        >>> algorithm = jaxrl.hill_climbing(env, config)
        >>> algorithm.total_steps
        100000
    """
    return policy_search(env, hill_climbing_strategy(config), config, network=network)


def hill_climbing_strategy(config: HillClimbingConfig) -> Strategy:
    """Builds hill climbing for any function of a vector."""
    require_settings(config, HillClimbingConfig)
    return climbing_strategy(config, num_neighbors=1)


def climbing_strategy(config: ClimbingConfig, *, num_neighbors: int) -> Strategy:
    """Builds the climb to the best of some random neighbours.

    A neighbour is best + noise_scale * N(0, 1). It is moved to if its fitness is greater than that
    of the best. With `reevaluate_best`, that is the mean of all evaluations so far, those beside
    the neighbours included: a lucky evaluation is found out. Without it, it is the fitness that was
    told first, and the search starts by evaluating the start itself.

    Args:
        config: the settings.
        num_neighbors: candidates of an iteration, beside the best itself where it is re-evaluated.
    """
    check_noise_limits(config)

    def init(vector: Float[Array, " D"]) -> ClimbingState:
        return ClimbingState(
            best=vector,
            best_fitness=jnp.float32(-jnp.inf),
            evaluations=jnp.int32(0),
            noise_scale=jnp.asarray(config.noise_scale, jnp.float32),
        )

    def ask(key: Key, state: ClimbingState) -> tuple[ClimbingState, Float[Array, "N D"]]:
        noise = jax.random.normal(key, (num_neighbors, state.best.size), jnp.float32)
        neighbors = state.best[None] + state.noise_scale * noise
        reevaluate = config.reevaluate_best
        return state, beside_the_best(neighbors, state.best, state.evaluations, reevaluate)

    def tell(
        key: Key, state: ClimbingState, candidates: Float[Array, "N D"], fitness: Float[Array, " N"]
    ) -> tuple[ClimbingState, Metrics]:
        del key
        fitness = failures_last(fitness)
        if config.reevaluate_best:
            state = _evaluated_again(state, fitness[0])
            candidates, fitness = candidates[1:], fitness[1:]
        winner = jnp.argmax(fitness)
        success = fitness[winner] > state.best_fitness
        state = ClimbingState(
            best=jnp.where(success, candidates[winner], state.best),
            best_fitness=jnp.where(success, fitness[winner], state.best_fitness),
            evaluations=jnp.where(success, 1, jnp.maximum(state.evaluations, 1)),
            noise_scale=next_noise_scale(state.noise_scale, success, config),
        )
        metrics = {"noise_scale": state.noise_scale, "best_fitness": state.best_fitness}
        return state, metrics

    population_size = num_neighbors + config.reevaluate_best
    return checked(Strategy(init, ask, tell, lambda state: state.best, population_size))


def _evaluated_again(state: ClimbingState, fitness: Float[Array, ""]) -> ClimbingState:
    """Takes one more evaluation of the best parameters into the mean."""
    mean, evaluations = mean_of_evaluations(state.best_fitness, state.evaluations, fitness)
    return state._replace(best_fitness=mean, evaluations=evaluations)

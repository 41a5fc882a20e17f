"""The cross-entropy method: refit a Gaussian to the best of its samples (Rubinstein 1999)."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.ops.fitness import elite_weights, failures_last
from jaxrl.search._checking import checked
from jaxrl.search._policy_search import PolicySearchConfig, policy_search
from jaxrl.settings import number, require_settings, settings, static
from jaxrl.types import Algorithm, Environment, Key, Metrics, Network, Strategy


@settings
class CEMConfig(PolicySearchConfig):
    """Settings of the cross-entropy method."""

    population_size: int = static(50, minimum=2)
    """Candidates of an iteration."""
    elite_fraction: float = number(0.2, minimum=0, maximum=1, open_minimum=True)
    """Share of the candidates, the best ones, to which the Gaussian is fitted; at least one."""
    noise_scale: float = number(0.5, minimum=0, open_minimum=True)
    """Standard deviation of the Gaussian at the start."""
    min_noise_scale: float = number(0.05, minimum=0)
    """No standard deviation falls below this, so that the search does not end too early."""
    recommend_best: bool = static(False)
    """The solution is the best candidate so far; otherwise the Gaussian's mean."""


class CEMState(NamedTuple):
    """State of the search.

    Attributes:
        mean: [D], of the Gaussian.
        deviation: [D], its standard deviations.
        best: [D], the best candidate so far; at first the start.
        best_fitness: float32 (), what it was told; minus infinity at first.
    """

    mean: Float[Array, " D"]
    deviation: Float[Array, " D"]
    best: Float[Array, " D"]
    best_fitness: Float[Array, ""]


def cem(env: Environment, config: CEMConfig, *, network: Network | None = None) -> Algorithm:
    """Builds the method for an environment; arguments and errors as for `policy_search`.

    Example:
        >>> import jaxrl
        >>> env = jaxrl.make_env("CartPole-v1")
        >>> config = jaxrl.CEMConfig(population_size=64, recommend_best=True)
        >>> algorithm = jaxrl.cem(env, config)
        >>> algorithm.total_steps
        100000
    """
    return policy_search(env, cem_strategy(config), config, network=network)


def cem_strategy(config: CEMConfig) -> Strategy:
    """Builds the method for any function of a vector.

    mean <- mean of the elites,  deviation <- max(deviation of the elites, min_noise_scale)
    """
    require_settings(config, CEMConfig)

    def init(vector: Float[Array, " D"]) -> CEMState:
        return CEMState(
            mean=vector,
            deviation=jnp.full(vector.shape, config.noise_scale, jnp.float32),
            best=jnp.array(vector),
            best_fitness=jnp.float32(-jnp.inf),
        )

    def ask(key: Key, state: CEMState) -> tuple[CEMState, Float[Array, "N D"]]:
        noise = jax.random.normal(key, (config.population_size, state.mean.size), jnp.float32)
        return state, state.mean[None] + state.deviation[None] * noise

    def tell(
        key: Key, state: CEMState, candidates: Float[Array, "N D"], fitness: Float[Array, " N"]
    ) -> tuple[CEMState, Metrics]:
        del key
        weights = elite_weights(fitness, config.elite_fraction)
        # Where all candidates failed, there is nothing to fit the Gaussian to.
        is_known = jnp.any(weights > 0)
        average = partial(jnp.matmul, weights, precision="highest")
        mean = jnp.where(is_known, average(candidates), state.mean)
        deviation = jnp.sqrt(average(jnp.square(candidates - mean[None])))
        deviation = jnp.where(is_known, deviation, state.deviation)
        fitness = failures_last(fitness)
        winner = jnp.argmax(fitness)
        is_better = fitness[winner] > state.best_fitness
        metrics = {"noise_scale": jnp.mean(state.deviation)}
        state = CEMState(
            mean=mean,
            deviation=jnp.maximum(deviation, config.min_noise_scale),
            best=jnp.where(is_better, candidates[winner], state.best),
            best_fitness=jnp.where(is_better, fitness[winner], state.best_fitness),
        )
        return state, metrics | {"best_fitness": state.best_fitness}

    def solution(state: CEMState) -> Float[Array, " D"]:
        return state.best if config.recommend_best else state.mean

    return checked(Strategy(init, ask, tell, solution, population_size=config.population_size))

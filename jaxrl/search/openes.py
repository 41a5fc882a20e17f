"""Evolution strategies: a gradient from the returns of perturbed parameters (OpenES).

Source: Salimans et al. (2017), "Evolution Strategies as a Scalable Alternative to Reinforcement
Learning", arXiv:1703.03864.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxrl.ops.fitness import centered_ranks, finite_fitness
from jaxrl.search.optimizers import OPTIMIZERS, MakeOptimizer, make_optimizer
from jaxrl.search.policy_search import PolicySearchConfig, policy_search
from jaxrl.settings import number, settings, static, validate
from jaxrl.types import Algorithm, Environment, Key, Metrics, Network, Strategy

FITNESS_SHAPINGS: dict[str, Callable[[Array], Array]] = {
    "centered_ranks": centered_ranks,
    "returns": finite_fitness,
}


@settings
class OpenESConfig(PolicySearchConfig):
    """Settings of OpenES."""

    population_size: int = static(100, minimum=2)
    """Candidates of an iteration; even, for they come in mirrored pairs."""
    noise_scale: float = number(0.05, minimum=0, open_minimum=True)
    """Sigma, the standard deviation of the perturbations."""
    learning_rate: float = number(0.05, minimum=0, open_minimum=True)
    """The optimiser's step size."""
    optimizer: str | MakeOptimizer = static("adam", choices=tuple(OPTIMIZERS))
    """A name, or any function from a learning rate to an optax optimiser, such as optax.lamb."""
    weight_decay: float = number(0.0, minimum=0)
    """Added to the gradient, times the parameters."""
    fitness_shaping: str = static("centered_ranks", choices=tuple(FITNESS_SHAPINGS))
    """What weighs the perturbations: the centred ranks of the returns, or the returns."""


class OpenESState(NamedTuple):
    """Where the search stands.

    Attributes:
        mean: [D], the parameters that are perturbed, and the solution.
        optimizer: optax's state.
    """

    mean: Float[Array, " D"]
    optimizer: optax.OptState


def openes(env: Environment, config: OpenESConfig, *, network: Network | None = None) -> Algorithm:
    """Builds OpenES for an environment; arguments and errors as for `policy_search`."""
    return policy_search(env, openes_strategy(config), config, network=network)


def openes_strategy(config: OpenESConfig) -> Strategy:
    """Builds OpenES for any function of a vector.

    With mirrored noise, the second half of epsilon being the negative of the first, the estimate

        gradient = 1 / (N sigma) sum_i shaped_fitness_i epsilon_i

    is ascended by an optimiser.

    Raises:
        ValueError: a setting is wrong.
    """
    validate(config)
    if config.population_size % 2:
        raise ValueError(
            f"population_size={config.population_size} must be even: candidates come in "
            "mirrored pairs"
        )
    optimizer = make_optimizer(config.optimizer, config.learning_rate)
    shape_fitness = FITNESS_SHAPINGS[config.fitness_shaping]

    def init(vector: Float[Array, " D"]) -> OpenESState:
        return OpenESState(mean=vector, optimizer=optimizer.init(vector))

    def ask(key: Key, state: OpenESState) -> tuple[OpenESState, Float[Array, "N D"]]:
        noise = jax.random.normal(key, (config.population_size // 2, state.mean.size))
        return state, state.mean + config.noise_scale * jnp.concatenate([noise, -noise])

    def tell(
        key: Key, state: OpenESState, candidates: Float[Array, "N D"], fitness: Float[Array, " N"]
    ) -> tuple[OpenESState, Metrics]:
        del key
        # Equation of the estimate, with sigma epsilon = candidate - mean.
        weights = shape_fitness(fitness) / (config.population_size * config.noise_scale**2)
        gradient = weights @ (candidates - state.mean)
        descent = config.weight_decay * state.mean - gradient
        change: Any
        change, optimizer_state = optimizer.update(descent, state.optimizer, state.mean)
        metrics = {
            "gradient_norm": jnp.linalg.norm(gradient),
            "parameter_norm": jnp.linalg.norm(state.mean),
        }
        state = OpenESState(mean=state.mean + change, optimizer=optimizer_state)
        return state, metrics

    return Strategy(
        init=init,
        ask=ask,
        tell=tell,
        solution=lambda state: state.mean,
        population_size=config.population_size,
    )

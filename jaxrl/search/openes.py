"""Evolution strategies: a gradient from the returns of perturbed parameters (OpenES).

Source: Salimans et al. (2017), "Evolution Strategies as a Scalable Alternative to Reinforcement
Learning", arXiv:1703.03864.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.ops.fitness import centered_ranks, finite_fitness
from jaxrl.search._mirrored import MirroredSearchConfig, mirrored_strategy
from jaxrl.search._policy_search import policy_search
from jaxrl.settings import number, require_settings, settings, static
from jaxrl.types import Algorithm, Environment, Metrics, Network, Strategy

FITNESS_SHAPINGS: dict[str, Callable[[Array], Array]] = {
    "centered_ranks": centered_ranks,
    "returns": finite_fitness,
}


@settings
class OpenESConfig(MirroredSearchConfig):
    """Settings of OpenES."""

    population_size: int = static(100, minimum=2)
    """Candidates of an iteration; even, for they come in mirrored pairs."""
    weight_decay: float = number(0.0, minimum=0)
    """Added to the gradient, times the parameters."""
    fitness_shaping: str = static("centered_ranks", choices=tuple(FITNESS_SHAPINGS))
    """Weights of the perturbations: the centred ranks of the returns, or the returns."""


def openes(env: Environment, config: OpenESConfig, *, network: Network | None = None) -> Algorithm:
    """Builds OpenES for an environment; arguments and errors as for `policy_search`.

    Example:
        >>> import jaxrl
        >>> env = jaxrl.make_env("CartPole-v1")
        >>> config = jaxrl.OpenESConfig(population_size=64, fitness_shaping="returns")
        >>> algorithm = jaxrl.openes(env, config)
        >>> algorithm.total_steps
        100000
    """
    return policy_search(env, openes_strategy(config), config, network=network)


def openes_strategy(config: OpenESConfig) -> Strategy:
    """Builds OpenES for any function of a vector.

    With mirrored noise, the second half of epsilon being the negative of the first, the estimate

        gradient = 1 / (N sigma) sum_i shaped_fitness_i epsilon_i

    is ascended by an optimiser.

    Raises:
        ValueError: a setting is wrong.
    """
    require_settings(config, OpenESConfig)
    if config.population_size % 2:
        raise ValueError(
            f"population_size={config.population_size} must be even: candidates come in "
            "mirrored pairs"
        )
    shape_fitness = FITNESS_SHAPINGS[config.fitness_shaping]

    def ascent(
        mean: Float[Array, " D"], noise: Float[Array, "P D"], fitness: Float[Array, " N"]
    ) -> tuple[Float[Array, " D"], Metrics]:
        positive, negative = jnp.split(shape_fitness(fitness), 2)
        # As differences, equal returns cancel exactly: an optimiser may blow up what rounding left.
        product = jnp.matmul(positive - negative, noise, precision="highest")
        gradient = product / (config.population_size * config.noise_scale)
        return gradient - config.weight_decay * mean, {"gradient_norm": jnp.linalg.norm(gradient)}

    return mirrored_strategy(config, num_pairs=config.population_size // 2, ascent=ascent)

"""Augmented random search, V1 and V2, with all or with the top directions.

Source: Mania, Guy and Recht (2018), "Simple random search provides a competitive approach to
reinforcement learning", arXiv:1803.07055, algorithms 1 and 2. V2 is V1 with
`normalize_observations`.
"""

from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.learning.optimizers import Optimizer
from jaxrl.ops.fitness import elite_weights, finite_fitness
from jaxrl.search._mirrored import OPTIMIZERS, MirroredSearchConfig, mirrored_strategy
from jaxrl.search._policy_search import policy_search
from jaxrl.settings import number, require_settings, settings, static, unless
from jaxrl.types import Algorithm, Environment, Metrics, Network, Strategy


@settings
class ARSConfig(MirroredSearchConfig):
    """Settings of augmented random search; the defaults make it V2 with a linear policy."""

    num_directions: int = static(8, minimum=1)
    """N, random directions of an iteration; each is a pair of mirrored candidates."""
    top_fraction: float = number(
        1.0, minimum=0, maximum=1, open_minimum=True, needs=unless("num_directions", 1)
    )
    """Share of the directions, those with the best candidates, that are learnt from."""
    learning_rate: float = number(0.02, minimum=0, open_minimum=True)
    """Alpha, the step size at the start."""
    optimizer: Optimizer = static("sgd", choices=tuple(OPTIMIZERS))
    """adam, momentum of .9, rmsprop with decay .9, sgd (the paper's), or one of optax's that leaves
    the step size to the learning rate: optax.scale_by_lion(), or the function optax.lion."""
    normalize_observations: bool = static(True)
    """Standardise observations by what the whole population saw so far: V2; False: V1."""
    use_bias: bool = static(False)
    """Layers add a bias; where observations are centred, the search is easier without."""
    initial_scale: float = number(0.0, minimum=0)
    """Factor of the network's initial parameters; 0 starts from zero."""


def ars(env: Environment, config: ARSConfig, *, network: Network | None = None) -> Algorithm:
    """Builds augmented random search for an environment; arguments and errors: `policy_search`.

    Example:
        >>> import jaxrl
        >>> env = jaxrl.make_env("Pendulum-v1")
        >>> config = jaxrl.ARSConfig(num_directions=8, top_fraction=0.5, total_steps=100_000)
        >>> algorithm = jaxrl.ars(env, config)
        >>> algorithm.total_steps
        100000
    """
    return policy_search(env, ars_strategy(config), config, network=network)


def ars_strategy(config: ARSConfig) -> Strategy:
    """Builds augmented random search for any function of a vector.

    With returns r+ and r- of mean + nu delta and mean - nu delta, over the top b directions,

        mean <- mean + alpha / (b sigma_R) sum_k (r+_k - r-_k) delta_k

    where sigma_R is the standard deviation of those 2b returns.
    """
    require_settings(config, ARSConfig)

    def ascent(
        mean: Float[Array, " D"], noise: Float[Array, "P D"], fitness: Float[Array, " N"]
    ) -> tuple[Float[Array, " D"], Metrics]:
        del mean
        positive, negative = jnp.split(finite_fitness(fitness), 2)
        weights = elite_weights(jnp.maximum(positive, negative), config.top_fraction)
        # At an accelerator's default precision, equal returns would not cancel.
        matmul = partial(jnp.matmul, precision="highest")
        returns_mean = matmul(weights, positive + negative) / 2
        squares = jnp.square(positive - returns_mean) + jnp.square(negative - returns_mean)
        deviation = jnp.sqrt(matmul(weights, squares) / 2)
        # Without any difference between the returns there is no direction either.
        direction = matmul(weights * (positive - negative), noise)
        return direction / jnp.maximum(deviation, 1e-8), {}

    return mirrored_strategy(config, num_pairs=config.num_directions, ascent=ascent)

"""Augmented random search, V1 and V2, with all or with the top directions.

Source: Mania, Guy and Recht (2018), "Simple random search provides a competitive approach to
reinforcement learning", arXiv:1803.07055, algorithms 1 and 2. V2 is V1 with
`normalize_observations`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxrl.ops.fitness import elite_weights, finite_fitness
from jaxrl.search.optimizers import OPTIMIZERS, MakeOptimizer, make_optimizer
from jaxrl.search.policy_search import PolicySearchConfig, policy_search
from jaxrl.settings import number, settings, static, validate
from jaxrl.types import Algorithm, Environment, Key, Metrics, Network, Strategy


@settings
class ARSConfig(PolicySearchConfig):
    """Settings of augmented random search; the defaults make it V2 with a linear policy."""

    num_directions: int = static(8, minimum=1)
    """N, random directions of an iteration; each is a pair of mirrored candidates."""
    top_fraction: float = number(1.0, minimum=0, maximum=1, open_minimum=True)
    """Share of the directions, those with the best candidates, that are learnt from."""
    learning_rate: float = number(0.02, minimum=0, open_minimum=True)
    """Alpha, the step size."""
    optimizer: str | MakeOptimizer = static("sgd", choices=tuple(OPTIMIZERS))
    """The paper's plain step, another name, or any function from a rate to an optax optimiser."""
    noise_scale: float = number(0.05, minimum=0, open_minimum=True)
    """Nu, the standard deviation of the perturbations."""
    normalize_observations: bool = static(True)
    """Standardise observations by what the whole population saw so far: V2; False: V1."""
    use_bias: bool = static(False)
    """Layers add a bias; where observations are centred, the search is easier without."""
    initial_scale: float = number(0.0, minimum=0)
    """Factor of the network's initial parameters; 0 starts from zero."""


class ARSState(NamedTuple):
    """Where the search stands.

    Attributes:
        mean: [D], the parameters that are perturbed, and the solution.
        optimizer: optax's state.
    """

    mean: Float[Array, " D"]
    optimizer: optax.OptState


def ars(env: Environment, config: ARSConfig, *, network: Network | None = None) -> Algorithm:
    """Builds augmented random search for an environment; arguments and errors: `policy_search`."""
    return policy_search(env, ars_strategy(config), config, network=network)


def ars_strategy(config: ARSConfig) -> Strategy:
    """Builds augmented random search for any function of a vector.

    With returns r+ and r- of mean + nu delta and mean - nu delta, over the top b directions,

        mean <- mean + alpha / (b sigma_R) sum_k (r+_k - r-_k) delta_k

    where sigma_R is the standard deviation of those 2b returns.
    """
    validate(config)
    optimizer = make_optimizer(config.optimizer, config.learning_rate)

    def init(vector: Float[Array, " D"]) -> ARSState:
        return ARSState(mean=vector, optimizer=optimizer.init(vector))

    def ask(key: Key, state: ARSState) -> tuple[ARSState, Float[Array, "N D"]]:
        noise = jax.random.normal(key, (config.num_directions, state.mean.size))
        return state, state.mean + config.noise_scale * jnp.concatenate([noise, -noise])

    def tell(
        key: Key, state: ARSState, candidates: Float[Array, "N D"], fitness: Float[Array, " N"]
    ) -> tuple[ARSState, Metrics]:
        del key
        positive, negative = jnp.split(finite_fitness(fitness), 2)
        weights = elite_weights(jnp.maximum(positive, negative), config.top_fraction)
        returns_mean = weights @ (positive + negative) / 2
        squares = jnp.square(positive - returns_mean) + jnp.square(negative - returns_mean)
        deviation = jnp.sqrt(weights @ squares / 2)
        noise = (candidates[: config.num_directions] - state.mean) / config.noise_scale
        # Without any difference between the returns there is no direction either.
        direction = (weights * (positive - negative)) @ noise / jnp.maximum(deviation, 1e-8)
        change: Any
        change, optimizer_state = optimizer.update(-direction, state.optimizer, state.mean)
        metrics = {
            "update_norm": jnp.linalg.norm(change),
            "parameter_norm": jnp.linalg.norm(state.mean),
        }
        return ARSState(mean=state.mean + change, optimizer=optimizer_state), metrics

    return Strategy(
        init=init,
        ask=ask,
        tell=tell,
        solution=lambda state: state.mean,
        population_size=2 * config.num_directions,
    )

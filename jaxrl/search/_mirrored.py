"""Searches along an estimated gradient: candidates in mirrored pairs, and a step of an optimiser.

What they differ in is how they make a direction of the pairs' fitness.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxrl.search._checking import checked
from jaxrl.search._policy_search import PolicySearchConfig
from jaxrl.settings import number, settings, static
from jaxrl.types import Key, Metrics, Strategy

MakeOptimizer: TypeAlias = Callable[..., optax.GradientTransformation]

OPTIMIZERS: dict[str, MakeOptimizer] = {
    "adam": optax.adam,
    "momentum": lambda learning_rate: optax.sgd(learning_rate, momentum=0.9),
    "rmsprop": optax.rmsprop,
    "sgd": optax.sgd,
}


@settings
class MirroredSearchConfig(PolicySearchConfig):
    """Settings of a search along an estimated gradient."""

    noise_scale: float = number(0.05, minimum=0, open_minimum=True)
    """Standard deviation of the perturbations."""
    learning_rate: float = number(0.05, minimum=0, open_minimum=True)
    """The optimiser's step size at the start."""
    learning_rate_decay: float = number(1.0, minimum=0, maximum=1, open_minimum=True)
    """Factor of the learning rate after every iteration."""
    optimizer: str | MakeOptimizer = static("adam", choices=tuple(OPTIMIZERS))
    """A name, or any function from a learning rate to an optax optimiser, such as optax.lamb."""


class MirroredSearchState(NamedTuple):
    """State of the search.

    Attributes:
        mean: [D], the parameters that are perturbed, and the solution.
        optimizer: optax's state.
    """

    mean: Float[Array, " D"]
    optimizer: optax.OptState


Ascent: TypeAlias = Callable[[Array, Array, Array], tuple[Array, Metrics]]


def mirrored_strategy(config: MirroredSearchConfig, *, num_pairs: int, ascent: Ascent) -> Strategy:
    """Builds the search.

    Args:
        config: the settings.
        num_pairs: P, of candidates; N = 2 P.
        ascent: (mean [D], noise [P, D], fitness [N]) -> (direction of better fitness [D],
            metrics). Candidate i is mean + noise_scale * noise_i, and candidate P + i its mirror
            image on the other side of the mean.
    """
    make = OPTIMIZERS[config.optimizer] if isinstance(config.optimizer, str) else config.optimizer
    # A plain number, which is what any optimiser takes; optax's own decay cannot be traced.
    optimizer = optax.chain(
        make(config.learning_rate),
        optax.scale_by_schedule(lambda count: config.learning_rate_decay**count),
    )

    def init(vector: Float[Array, " D"]) -> MirroredSearchState:
        return MirroredSearchState(mean=vector, optimizer=optimizer.init(vector))

    def ask(key: Key, state: MirroredSearchState) -> tuple[MirroredSearchState, Array]:
        noise = jax.random.normal(key, (num_pairs, state.mean.size), jnp.float32)
        noise = config.noise_scale * jnp.concatenate([noise, -noise])
        return state, state.mean[None] + noise

    def tell(
        key: Key,
        state: MirroredSearchState,
        candidates: Float[Array, "N D"],
        fitness: Float[Array, " N"],
    ) -> tuple[MirroredSearchState, Metrics]:
        del key
        noise = (candidates[:num_pairs] - state.mean[None]) / config.noise_scale
        direction, metrics = ascent(state.mean, noise, fitness)
        change: Any
        change, optimizer_state = optimizer.update(-direction, state.optimizer, state.mean)
        metrics |= {
            "update_norm": jnp.linalg.norm(change),
            "parameter_norm": jnp.linalg.norm(state.mean),
        }
        return MirroredSearchState(state.mean + change, optimizer_state), metrics

    return checked(Strategy(init, ask, tell, lambda state: state.mean, 2 * num_pairs))

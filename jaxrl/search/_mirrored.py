"""Searches along an estimated gradient: candidates in mirrored pairs, and a step of an optimiser.

What they differ in is how they make a direction of the pairs' fitness.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxrl.learning.optimizers import Optimizer, direction_of, takes_optimizer
from jaxrl.search._checking import checked
from jaxrl.search._policy_search import PolicySearchConfig
from jaxrl.settings import number, settings, static
from jaxrl.types import Key, Metrics, Strategy

# Without their step sizes.
OPTIMIZERS: dict[str, optax.GradientTransformation] = {
    "adam": optax.scale_by_adam(),
    "momentum": optax.trace(decay=0.9),
    "rmsprop": optax.scale_by_rms(),
    "sgd": optax.identity(),
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
    optimizer: Optimizer = static("adam", choices=tuple(OPTIMIZERS), takes=takes_optimizer)
    """adam, momentum of .9, rmsprop with decay .9, sgd, or one of optax's that leaves the step size
    to the learning rate: optax.scale_by_lion(), or the function optax.lion."""


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
    named = OPTIMIZERS.get(config.optimizer) if isinstance(config.optimizer, str) else None
    # optax's own decay cannot be traced.
    optimizer = optax.chain(
        direction_of(config.optimizer) if named is None else named,
        optax.scale_by_schedule(
            lambda count: -config.learning_rate * config.learning_rate_decay**count
        ),
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

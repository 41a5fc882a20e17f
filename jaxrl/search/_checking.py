"""Checks of every strategy: the start is a vector, and each candidate has one fitness."""

from typing import Any

import jax.numpy as jnp

from jaxrl.types import Key, Metrics, SearchState, Strategy


def checked(strategy: Strategy) -> Strategy:
    """The strategy, which now refuses arrays of wrong shapes.

    Numbers of any kind are taken: the start and the fitness become float32.

    Args:
        strategy: whose `init` and `tell` may trust what they get.
    """

    def init(vector: Any) -> SearchState:
        start = jnp.asarray(vector, jnp.float32)
        if start.ndim != 1 or start.size == 0:
            raise ValueError(
                f"a search starts from a vector [D], not from an array of shape {start.shape}: "
                "see jax.flatten_util.ravel_pytree, or jnp.atleast_1d for a number"
            )
        return strategy.init(start)

    def tell(
        key: Key, state: SearchState, candidates: Any, fitness: Any
    ) -> tuple[SearchState, Metrics]:
        candidates, fitness = (jnp.asarray(x, jnp.float32) for x in (candidates, fitness))
        if fitness.shape != (strategy.population_size,):
            raise ValueError(
                f"{strategy.population_size} candidates have a fitness of shape "
                f"({strategy.population_size},), one number each, not {fitness.shape}"
            )
        return strategy.tell(key, state, candidates, fitness)

    return strategy._replace(init=init, tell=tell)

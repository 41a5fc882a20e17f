"""Driving a strategy on any function of a vector, without an environment."""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Float

from jaxrl.types import Key, Metrics, SearchState, Strategy


def maximize(
    key: Key,
    strategy: Strategy,
    function: Callable[[Float[Array, " D"]], Float[Array, ""]],
    start: Float[Array, " D"],
    *,
    num_iterations: int,
) -> tuple[SearchState, Metrics]:
    """Lets a strategy look for a function's maximum: ask, evaluate, tell, in a scan.

    Args:
        key: consumed.
        strategy: such as `cem_strategy(CEMConfig())`.
        function: of one vector; it is vmapped over the candidates.
        start: where the search starts.
        num_iterations: each takes `strategy.population_size` evaluations.

    Returns:
        The state, whose `strategy.solution(state)` is the answer, and metrics by name,
        [num_iterations].
    """

    def iterate(state: SearchState, key: Key) -> tuple[SearchState, Any]:
        key_ask, key_tell = jax.random.split(key)
        state, candidates = strategy.ask(key_ask, state)
        fitness = jax.vmap(function)(candidates)
        state, metrics = strategy.tell(key_tell, state, candidates, fitness)
        return state, metrics

    return jax.lax.scan(iterate, strategy.init(start), jax.random.split(key, num_iterations))

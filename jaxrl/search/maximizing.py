"""Driving a strategy on any function of a vector, without an environment."""

import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.keys import scan_keys, typed_key
from jaxrl.types import Key, Metrics, SearchState, Strategy


def maximize(
    key: Key,
    strategy: Strategy,
    function: Callable[[Float[Array, " D"]], Float[Array, ""]],
    start: Any,
    *,
    num_iterations: int,
) -> tuple[SearchState, Metrics]:
    """Lets a strategy look for a function's maximum: ask, evaluate, tell, in a scan.

    Args:
        key: consumed; one of `jax.random.PRNGKey` is taken too.
        strategy: such as `cem_strategy(CEMConfig())`.
        function: of one vector [D], to one number; it is vmapped over the candidates. Where it is
            nan, a candidate has failed.
        start: where the search starts, [D].
        num_iterations: each takes `strategy.population_size` evaluations; at least 1.

    Returns:
        The state, whose `strategy.solution(state)` is the answer, and metrics by name,
        [num_iterations].

    Raises:
        ValueError: the start is no vector, the function does not return one number, or there is no
            iteration.
    """
    key = typed_key(key)
    _require_strategy(strategy)
    if operator.index(num_iterations) < 1:
        raise ValueError(f"num_iterations={num_iterations} must be at least 1")
    first = strategy.init(start)
    vector = jax.eval_shape(strategy.solution, first)
    worth = jax.tree.map(jnp.shape, jax.eval_shape(function, vector))
    if worth != ():
        raise ValueError(f"a function of a vector returns one number, of shape (), not {worth}")

    def iterate(state: SearchState, key: Key) -> tuple[SearchState, Any]:
        key_ask, key_tell = jax.random.split(key)
        state, candidates = strategy.ask(key_ask, state)
        fitness = jax.vmap(function)(candidates)
        state, metrics = strategy.tell(key_tell, state, candidates, fitness)
        return state, metrics

    return scan_keys(iterate, first, jax.random.split(key, num_iterations))


def _require_strategy(strategy: Any) -> None:
    if not isinstance(strategy, Strategy):
        raise ValueError(
            "a strategy is needed, such as cem_strategy(CEMConfig()), not "
            f"{type(strategy).__name__}"
        )

"""Strategies: black-box searches, which know nothing of tasks."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array

from jaxrl.types.arrays import Key, Metrics, SearchState


class Strategy(NamedTuple):
    """A black-box search for a vector of D numbers that is worth much; knows nothing of tasks.

    Fitness is a return: the higher the better. A candidate whose fitness is nan has failed.

    Attributes:
        init: (vector [D]) -> SearchState, from where the search starts.
        ask: (key, SearchState) -> (SearchState, candidates [N, D]), to be evaluated.
        tell: (key, SearchState, candidates [N, D], fitness [N]) -> (SearchState, Metrics).
        solution: (SearchState) -> vector [D], what the search recommends so far.
        population_size: N.
    """

    init: Callable[[Array], SearchState]
    ask: Callable[[Key, SearchState], tuple[SearchState, Array]]
    tell: Callable[[Key, SearchState, Array, Array], tuple[SearchState, Metrics]]
    solution: Callable[[SearchState], Array]
    population_size: int

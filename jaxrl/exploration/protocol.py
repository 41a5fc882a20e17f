"""The protocol of exploration, and its plainest kind: every action is drawn afresh."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array

from jaxrl.types import Carry, Key


class Exploration(NamedTuple):
    """Rule by which one environment's actor draws its actions.

    Attributes:
        start: (key) -> Carry, at an episode's start.
        sample: (key, Carry, what the policy says) -> (Carry, action). A stochastic policy says a
            distribution, a deterministic one an action.
    """

    start: Callable[[Key], Carry]
    sample: Callable[[Key, Carry, Any], tuple[Carry, Array]]


def independent_sampling() -> Exploration:
    """Every action is drawn afresh from the policy's distribution; there is nothing to carry."""

    def start(key: Key) -> Carry:
        del key
        return ()

    def sample(key: Key, carry: Carry, distribution: Any) -> tuple[Carry, Array]:
        return carry, distribution.sample(key)

    return Exploration(start=start, sample=sample)

"""Networks, and the policies that are made of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array

from jaxrl.types.arrays import Action, Carry, Key, Observation, Params


class Network(NamedTuple):
    """Any library's module, as two functions; per example.

    Attributes:
        init: (key, *inputs) -> Params.
        apply: (Params, *inputs) -> output.
        batched: whether `apply` also takes inputs with leading batch axes, so that learners need
            not vmap it (`networks.over_batch`).
    """

    init: Callable[..., Params]
    apply: Callable[..., Any]
    batched: bool = False


class RecurrentNetwork(NamedTuple):
    """A network with memory.

    Attributes:
        init: (key, observation) -> Params.
        start: () -> Memory, at an episode's start; no batch axis.
        apply: (Params, Memory, observation) -> (Memory, output): one step of one environment.
        unroll: (Params, Memory [B], observation [T, B], ended [T, B]) -> (Memory [T, B],
            output [T, B]): the same steps of B environments, each starting over after `ended`. The
            memories are those after each step, before any start.
    """

    init: Callable[..., Params]
    start: Callable[[], Any]
    apply: Callable[[Params, Any, Observation], tuple[Any, Any]]
    unroll: Callable[[Params, Any, Observation, Array], tuple[Any, Any]]


class Policy(NamedTuple):
    """A rule for acting in one environment, with the parameters inside.

    Attributes:
        start: (key) -> Carry, the memory at an episode's start.
        act: (key, Carry, observation) -> (Carry, action).
    """

    start: Callable[[Key], Carry]
    act: Callable[[Key, Carry, Observation], tuple[Carry, Action]]

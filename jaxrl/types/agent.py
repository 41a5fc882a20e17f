"""Agents: learning rules, which know nothing of environments."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array

from jaxrl.types.arrays import Action, AgentState, Carry, Key, Metrics, Observation, Params, PyTree
from jaxrl.types.experience import Replayed, Transition
from jaxrl.types.network import Policy


class Agent(NamedTuple):
    """A learning rule; knows nothing of environments or replay. `act` is per environment.

    Attributes:
        init: (key) -> AgentState.
        start: (key) -> Carry, one environment's actor memory at an episode's start:
            () | a recurrent state | an exploration noise.
        act: (key, AgentState, Carry, observation) -> (Carry, action, extras); explores.
        update: (key, AgentState, batch) -> (AgentState, Metrics).
        policy: (AgentState) -> Policy, which does not explore.
    """

    init: Callable[[Key], AgentState]
    start: Callable[[Key], Carry]
    act: Callable[[Key, AgentState, Carry, Observation], tuple[Carry, Action, PyTree]]
    update: Callable[[Key, AgentState, Any], tuple[AgentState, Metrics]]
    policy: Callable[[AgentState], Policy]


class ReplayAgent(NamedTuple):
    """A learning rule for steps of the past; knows nothing of environments or of their storage.

    Attributes:
        init: (key) -> AgentState.
        start: (key) -> Carry, as in `Agent`.
        act: (key, AgentState, Carry, observation) -> (Carry, action); explores.
        observe: (key, AgentState, Transition [T, B]) -> AgentState: what has just been collected,
            each step once; for statistics and schedules.
        update: (key, AgentState, Replayed [M]) -> (AgentState, error [M], Metrics); the errors are
            what prioritised replay goes by.
        policy: (AgentState) -> Policy, which does not explore.
    """

    init: Callable[[Key], AgentState]
    start: Callable[[Key], Carry]
    act: Callable[[Key, AgentState, Carry, Observation], tuple[Carry, Action]]
    observe: Callable[[Key, AgentState, Transition], AgentState]
    update: Callable[[Key, AgentState, Replayed], tuple[AgentState, Array, Metrics]]
    policy: Callable[[AgentState], Policy]


class GradientAgent(NamedTuple):
    """An agent whose update is one gradient step, in two halves.

    The halves may happen at different times and with different parameters: an asynchronous worker's
    gradient is of its own copy, and is applied to the shared state.

    Attributes:
        init: (key) -> AgentState.
        params: (AgentState) -> Params, all that acting and gradients read of the state.
        start: (key) -> Carry, as in `Agent`.
        act: (key, Params, Carry, observation) -> (Carry, action, extras), as in `Agent`.
        gradient: (key, Params, batch) -> (gradient, Metrics).
        apply: (AgentState, gradient) -> (AgentState, Metrics).
        policy: (Params) -> Policy, which does not explore.
    """

    init: Callable[[Key], AgentState]
    params: Callable[[AgentState], Params]
    start: Callable[[Key], Carry]
    act: Callable[[Key, Params, Carry, Observation], tuple[Carry, Action, PyTree]]
    gradient: Callable[[Key, Params, Any], tuple[Params, Metrics]]
    apply: Callable[[AgentState, Params], tuple[AgentState, Metrics]]
    policy: Callable[[Params], Policy]

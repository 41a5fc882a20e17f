"""The protocols of the library: what an environment, a network, an agent and an algorithm are.

Every protocol is a NamedTuple of pure functions, built the way an optax optimiser is built.
Functions that act on one environment are unbatched; loops vmap them. This room imports no other.
"""

from jaxrl.types.agent import Agent, GradientAgent, ReplayAgent
from jaxrl.types.algorithm import Algorithm
from jaxrl.types.arrays import (
    Action,
    AgentState,
    Carry,
    EnvState,
    Key,
    Metrics,
    Observation,
    Params,
    PyTree,
    SearchState,
    State,
)
from jaxrl.types.environment import Environment, TimeStep
from jaxrl.types.experience import Episodes, Replay, Replayed, Rollout, StepsBetween, Transition
from jaxrl.types.network import Network, Policy, RecurrentNetwork
from jaxrl.types.spaces import (
    Box,
    Discrete,
    MaskedObservation,
    MaskedSpace,
    MultiDiscrete,
    ObservationSpace,
    Space,
    SpaceTree,
    contains_element,
    is_nested,
    sample_element,
    space_leaves,
    zero_element,
)
from jaxrl.types.strategy import Strategy

__all__ = [
    "Action",
    "Agent",
    "AgentState",
    "Algorithm",
    "Box",
    "Carry",
    "Discrete",
    "EnvState",
    "Environment",
    "Episodes",
    "GradientAgent",
    "Key",
    "MaskedObservation",
    "MaskedSpace",
    "Metrics",
    "MultiDiscrete",
    "Network",
    "Observation",
    "ObservationSpace",
    "Params",
    "Policy",
    "PyTree",
    "RecurrentNetwork",
    "Replay",
    "ReplayAgent",
    "Replayed",
    "Rollout",
    "SearchState",
    "Space",
    "SpaceTree",
    "State",
    "StepsBetween",
    "Strategy",
    "TimeStep",
    "Transition",
    "contains_element",
    "is_nested",
    "sample_element",
    "space_leaves",
    "zero_element",
]

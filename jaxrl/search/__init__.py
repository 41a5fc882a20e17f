"""One black-box policy-search method per file, each of them a pair of ask and tell."""

from jaxrl.search._mirrored import MirroredSearchState
from jaxrl.search._policy_search import PolicySearchConfig, policy_search
from jaxrl.search.ars import ARSConfig, ars, ars_strategy
from jaxrl.search.cem import CEMConfig, CEMState, cem, cem_strategy
from jaxrl.search.evosax_search import EvosaxConfig, EvosaxState, evosax_search, evosax_strategy
from jaxrl.search.hill_climbing import (
    ClimbingState,
    HillClimbingConfig,
    hill_climbing,
    hill_climbing_strategy,
)
from jaxrl.search.maximizing import maximize
from jaxrl.search.openes import OpenESConfig, openes, openes_strategy
from jaxrl.search.simulated_annealing import (
    AnnealingState,
    SimulatedAnnealingConfig,
    simulated_annealing,
    simulated_annealing_strategy,
)
from jaxrl.search.steepest_ascent import (
    SteepestAscentConfig,
    steepest_ascent,
    steepest_ascent_strategy,
)

__all__ = [
    "ARSConfig",
    "AnnealingState",
    "CEMConfig",
    "CEMState",
    "ClimbingState",
    "EvosaxConfig",
    "EvosaxState",
    "HillClimbingConfig",
    "MirroredSearchState",
    "OpenESConfig",
    "PolicySearchConfig",
    "SimulatedAnnealingConfig",
    "SteepestAscentConfig",
    "ars",
    "ars_strategy",
    "cem",
    "cem_strategy",
    "evosax_search",
    "evosax_strategy",
    "hill_climbing",
    "hill_climbing_strategy",
    "maximize",
    "openes",
    "openes_strategy",
    "policy_search",
    "simulated_annealing",
    "simulated_annealing_strategy",
    "steepest_ascent",
    "steepest_ascent_strategy",
]

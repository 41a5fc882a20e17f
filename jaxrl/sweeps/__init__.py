"""Many members at once: spaces of settings, and training that searches in them.

spaces.py            distributions of one setting
population_based.py  a population whose members copy better ones and vary their settings
"""

from jaxrl.sweeps.population_based import (
    Lineage,
    PopulationBasedState,
    best_member,
    population_based,
)
from jaxrl.sweeps.spaces import LogUniform, Uniform, log_uniform, uniform

__all__ = [
    "Lineage",
    "LogUniform",
    "PopulationBasedState",
    "Uniform",
    "best_member",
    "log_uniform",
    "population_based",
    "uniform",
]

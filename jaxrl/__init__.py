"""jaxrl: reinforcement learning as pure functions, compiled end to end."""

from jaxrl.actor_critic.ddpg import DDPGConfig, ddpg
from jaxrl.actor_critic.sac import SACConfig, sac
from jaxrl.actor_critic.td3 import TD3Config, td3
from jaxrl.alternation import AlternationResult, alternate
from jaxrl.environments import (
    available_environments,
    make_env,
    register_environment,
    time_limit,
)
from jaxrl.networks import register_network
from jaxrl.policy_gradient.a2c import A2CConfig, a2c
from jaxrl.policy_gradient.a3c import A3CConfig, a3c
from jaxrl.policy_gradient.impala import IMPALAConfig, impala
from jaxrl.policy_gradient.ppo import PPOConfig, ppo
from jaxrl.policy_gradient.reinforce import ReinforceConfig, reinforce
from jaxrl.policy_gradient.trpo import TRPOConfig, trpo
from jaxrl.presets import preset_settings
from jaxrl.q_learning.dqn import DQNConfig, dqn
from jaxrl.q_learning.pqn import PQNConfig, pqn
from jaxrl.registry import register as register_algorithm
from jaxrl.runs import load_policy as load
from jaxrl.runs import save_state as save
from jaxrl.search.ars import ARSConfig, ars
from jaxrl.search.cem import CEMConfig, cem
from jaxrl.search.evosax_search import EvosaxConfig, evosax_search
from jaxrl.search.hill_climbing import HillClimbingConfig, hill_climbing
from jaxrl.search.maximizing import maximize
from jaxrl.search.openes import OpenESConfig, openes
from jaxrl.search.simulated_annealing import SimulatedAnnealingConfig, simulated_annealing
from jaxrl.search.steepest_ascent import SteepestAscentConfig, steepest_ascent
from jaxrl.sweeps import PBTConfig, pbt, sweep
from jaxrl.training import Evaluation, Progress, TrainResult, advance, evaluate, train
from jaxrl.transfer import take_learned
from jaxrl.types import Box, Discrete, Environment, MultiDiscrete, TimeStep

__version__ = "0.1.0"

__all__ = [
    "A2CConfig",
    "A3CConfig",
    "ARSConfig",
    "AlternationResult",
    "Box",
    "CEMConfig",
    "DDPGConfig",
    "DQNConfig",
    "Discrete",
    "Environment",
    "Evaluation",
    "EvosaxConfig",
    "HillClimbingConfig",
    "IMPALAConfig",
    "MultiDiscrete",
    "OpenESConfig",
    "PPOConfig",
    "PBTConfig",
    "PQNConfig",
    "Progress",
    "ReinforceConfig",
    "SACConfig",
    "SimulatedAnnealingConfig",
    "SteepestAscentConfig",
    "TD3Config",
    "TRPOConfig",
    "TimeStep",
    "TrainResult",
    "a2c",
    "a3c",
    "advance",
    "alternate",
    "ars",
    "available_environments",
    "cem",
    "ddpg",
    "dqn",
    "evaluate",
    "evosax_search",
    "hill_climbing",
    "impala",
    "load",
    "make_env",
    "maximize",
    "openes",
    "pbt",
    "ppo",
    "pqn",
    "preset_settings",
    "register_algorithm",
    "register_environment",
    "register_network",
    "reinforce",
    "sac",
    "save",
    "simulated_annealing",
    "steepest_ascent",
    "sweep",
    "take_learned",
    "td3",
    "time_limit",
    "train",
    "trpo",
]

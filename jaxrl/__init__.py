"""jaxrl: reinforcement learning as pure functions, compiled end to end."""

from jaxrl.agents.a2c import A2CConfig, a2c
from jaxrl.agents.a3c import A3CConfig, a3c
from jaxrl.agents.impala import IMPALAConfig, impala
from jaxrl.agents.ppo import PPOConfig, ppo
from jaxrl.agents.trpo import TRPOConfig, trpo
from jaxrl.environments import available_environments, make_env
from jaxrl.registry import register as register_algorithm
from jaxrl.training import Evaluation, Progress, TrainResult, advance, evaluate, train

__version__ = "0.1.0"

__all__ = [
    "A2CConfig",
    "A3CConfig",
    "Evaluation",
    "IMPALAConfig",
    "PPOConfig",
    "Progress",
    "TRPOConfig",
    "TrainResult",
    "a2c",
    "a3c",
    "advance",
    "available_environments",
    "evaluate",
    "impala",
    "make_env",
    "ppo",
    "register_algorithm",
    "train",
    "trpo",
]

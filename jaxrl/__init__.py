"""jaxrl: reinforcement learning as pure functions, compiled end to end."""

from jaxrl.agents.a2c import A2CConfig, a2c
from jaxrl.agents.ppo import PPOConfig, ppo
from jaxrl.agents.reinforce import ReinforceConfig, reinforce
from jaxrl.environments import available_environments, make_env
from jaxrl.registry import register as register_algorithm
from jaxrl.training import Evaluation, Progress, TrainResult, advance, evaluate, train

__version__ = "0.1.0"

__all__ = [
    "A2CConfig",
    "Evaluation",
    "PPOConfig",
    "Progress",
    "ReinforceConfig",
    "TrainResult",
    "a2c",
    "advance",
    "available_environments",
    "evaluate",
    "make_env",
    "ppo",
    "register_algorithm",
    "reinforce",
    "train",
]

"""jaxrl: reinforcement learning as pure functions, compiled end to end."""

from jaxrl.agents.ppo import PPOConfig, ppo
from jaxrl.environments import available_environments, make_env
from jaxrl.registry import register as register_algorithm
from jaxrl.training import Evaluation, Progress, TrainResult, advance, evaluate, train

__version__ = "0.1.0"

__all__ = [
    "Evaluation",
    "PPOConfig",
    "Progress",
    "TrainResult",
    "advance",
    "available_environments",
    "evaluate",
    "make_env",
    "ppo",
    "register_algorithm",
    "train",
]

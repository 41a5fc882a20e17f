"""Stable-Baselines3 in PyTorch, its environments in one process as it does by default."""

from typing import Any

import torch
from baselines import program
from protocol import Program, serve
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3

MODELS = {"ppo": PPO, "a2c": A2C, "sac": SAC, "td3": TD3, "dqn": DQN}
ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}


def prepare(settings: dict[str, Any]) -> Program:
    """Stable-Baselines3's run of the settings."""
    own = {"clip_range_vf": settings["clip_epsilon"]} if settings["algorithm"] == "ppo" else {}
    # Its own advice for such networks, where a GPU is only slower.
    return program(settings, MODELS, ACTIVATIONS, "cpu", device="cpu", **own)


if __name__ == "__main__":
    serve(prepare, ("stable_baselines3", "torch", "gymnasium"))

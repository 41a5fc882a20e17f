"""SBX: Stable-Baselines3's loop with a jitted update; its PPO does not clip the value's change."""

from typing import Any

import flax.linen
import jax
from baselines import program
from protocol import Program, serve
from sbx import DQN, PPO, SAC, TD3

MODELS = {"ppo": PPO, "sac": SAC, "td3": TD3, "dqn": DQN}
ACTIVATIONS = {"tanh": flax.linen.tanh, "relu": flax.linen.relu}


def prepare(settings: dict[str, Any]) -> Program:
    """SBX's run of the settings."""
    device = jax.devices()[0]
    return program(settings, MODELS, ACTIVATIONS, f"{device.platform}: {device.device_kind}")


if __name__ == "__main__":
    serve(prepare, ("sbx-rl", "stable_baselines3", "jax", "gymnasium"))

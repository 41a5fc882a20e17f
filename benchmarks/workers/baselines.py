"""What Stable-Baselines3 and SBX share: how a model is built, and what its settings are called.

Neither has a batch of seeds.
"""

from typing import Any

import numpy as np
from protocol import Program
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.noise import NormalActionNoise


def program(
    settings: dict[str, Any],
    models: dict[str, Any],
    activations: dict[str, Any],
    device_name: str,
    **extra: Any,
) -> Program:
    """A run of `model.learn`.

    Args:
        settings: ours.
        models: the library's classes by our names of algorithms.
        activations: the library's "tanh" and "relu".
        device_name: what the result says that it ran on.
        **extra: arguments of the model that only one of the libraries has.
    """
    if settings["num_seeds"] != 1:
        raise ValueError("these libraries train one seed at a time")
    activation, arguments = ARGUMENTS[settings["algorithm"]](settings)
    model = models[settings["algorithm"]](
        "MlpPolicy",
        make_vec_env(settings["environment"], n_envs=settings["num_envs"]),
        learning_rate=settings["learning_rate"],
        gamma=settings["discount"],
        policy_kwargs={
            "net_arch": list(settings["hidden_sizes"]),
            "activation_fn": activations[activation],
        },
        **arguments,
        **extra,
    )
    steps = settings["total_steps"]
    return Program(None, lambda index: model.learn(steps), steps, device_name)


def ppo(settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """PPO's own arguments."""
    batch_size = settings["num_envs"] * settings["num_steps"]
    return "tanh", on_policy(settings) | {
        "batch_size": batch_size // settings["num_minibatches"],
        "n_epochs": settings["num_epochs"],
        "clip_range": settings["clip_epsilon"],
    }


def a2c(settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A2C's own arguments."""
    return "tanh", on_policy(settings) | {"rms_prop_eps": settings["rmsprop_epsilon"]}


def sac(settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """SAC's own arguments."""
    return "relu", replay(settings)


def td3(settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """TD3's own arguments; its noise is of actions scaled to -1 .. 1."""
    return "relu", replay(settings) | {
        "action_noise": NormalActionNoise(np.zeros(1), settings["noise"]),
        "target_policy_noise": settings["target_noise"],
        "target_noise_clip": settings["target_noise_clip"],
    }


def dqn(settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """DQN's own arguments; it has no double Q-learning."""
    return "relu", replay(settings) | {
        "target_update_interval": 1,
        "exploration_initial_eps": settings["epsilon"],
        "exploration_final_eps": settings["epsilon"],
    }


def on_policy(settings: dict[str, Any]) -> dict[str, Any]:
    """What the algorithms without a replay have in common."""
    return {
        "n_steps": settings["num_steps"],
        "gae_lambda": settings["gae_lambda"],
        "ent_coef": settings["entropy_coefficient"],
        "vf_coef": settings["value_coefficient"],
        "max_grad_norm": settings["max_gradient_norm"],
    }


def replay(settings: dict[str, Any]) -> dict[str, Any]:
    """What the algorithms with a replay have in common."""
    return {
        "buffer_size": settings["buffer_size"],
        "batch_size": settings["batch_size"],
        "learning_starts": settings["random_steps"],
        "train_freq": 1,
        "gradient_steps": 1,
        "tau": settings["tau"],
    }


ARGUMENTS = {"ppo": ppo, "a2c": a2c, "sac": sac, "td3": td3, "dqn": dqn}

"""Stable-Baselines3 in PyTorch, its environments in one process as it does by default."""

from typing import Any

import torch
from protocol import Program, serve
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.noise import NormalActionNoise


def prepare(settings: dict[str, Any]) -> Program:
    """Stable-Baselines3's names for the same settings; it has no batch of seeds."""
    if settings["num_seeds"] != 1:
        raise ValueError("Stable-Baselines3 trains one seed at a time")
    build, activation, arguments = ALGORITHMS[settings["algorithm"]](settings)
    model = build(
        "MlpPolicy",
        make_vec_env(settings["environment"], n_envs=settings["num_envs"]),
        learning_rate=settings["learning_rate"],
        gamma=settings["discount"],
        policy_kwargs={"net_arch": list(settings["hidden_sizes"]), "activation_fn": activation},
        # Its own advice for such networks, where a GPU is only slower.
        device="cpu",
        **arguments,
    )
    steps = settings["total_steps"]
    return Program(None, lambda index: model.learn(steps), steps, "cpu")


def ppo(settings: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """PPO's own arguments."""
    batch_size = settings["num_envs"] * settings["num_steps"]
    return (
        PPO,
        torch.nn.Tanh,
        on_policy(settings)
        | {
            "batch_size": batch_size // settings["num_minibatches"],
            "n_epochs": settings["num_epochs"],
            "clip_range": settings["clip_epsilon"],
            "clip_range_vf": settings["clip_epsilon"],
        },
    )


def a2c(settings: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """A2C's own arguments."""
    arguments = on_policy(settings) | {"rms_prop_eps": settings["rmsprop_epsilon"]}
    return A2C, torch.nn.Tanh, arguments


def sac(settings: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """SAC's own arguments."""
    return SAC, torch.nn.ReLU, replay(settings)


def td3(settings: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """TD3's own arguments; its noise is of actions scaled to -1 .. 1."""
    return (
        TD3,
        torch.nn.ReLU,
        replay(settings)
        | {
            "action_noise": NormalActionNoise(torch.zeros(1).numpy(), settings["noise"]),
            "target_policy_noise": settings["target_noise"],
            "target_noise_clip": settings["target_noise_clip"],
        },
    )


def dqn(settings: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """DQN's own arguments; it has no double Q-learning."""
    return (
        DQN,
        torch.nn.ReLU,
        replay(settings)
        | {
            "target_update_interval": 1,
            "exploration_initial_eps": settings["epsilon"],
            "exploration_final_eps": settings["epsilon"],
        },
    )


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


ALGORITHMS = {"ppo": ppo, "a2c": a2c, "sac": sac, "td3": td3, "dqn": dqn}


if __name__ == "__main__":
    serve(prepare, ("stable_baselines3", "torch", "gymnasium"))

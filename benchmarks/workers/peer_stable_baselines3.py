"""Stable-Baselines3 in PyTorch, its environments in one process as it does by default."""

from typing import Any

import torch
from protocol import Program, serve
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env


def prepare(settings: dict[str, Any]) -> Program:
    """Stable-Baselines3's names for the same settings; it has no batch of seeds."""
    if settings["num_seeds"] != 1:
        raise ValueError("Stable-Baselines3 trains one seed at a time")
    build, arguments = ALGORITHMS[settings["algorithm"]](settings)
    model = build(
        "MlpPolicy",
        make_vec_env(settings["environment"], n_envs=settings["num_envs"]),
        learning_rate=settings["learning_rate"],
        n_steps=settings["num_steps"],
        gamma=settings["discount"],
        gae_lambda=settings["gae_lambda"],
        ent_coef=settings["entropy_coefficient"],
        vf_coef=settings["value_coefficient"],
        max_grad_norm=settings["max_gradient_norm"],
        policy_kwargs={
            "net_arch": list(settings["hidden_sizes"]),
            "activation_fn": torch.nn.Tanh,
        },
        # Its own advice for such networks, where a GPU is only slower.
        device="cpu",
        **arguments,
    )
    steps = settings["total_steps"]
    return Program(None, lambda index: model.learn(steps), steps, "cpu")


def ppo(settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """PPO's own arguments."""
    batch_size = settings["num_envs"] * settings["num_steps"]
    return PPO, {
        "batch_size": batch_size // settings["num_minibatches"],
        "n_epochs": settings["num_epochs"],
        "clip_range": settings["clip_epsilon"],
        "clip_range_vf": settings["clip_epsilon"],
    }


def a2c(settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A2C's own arguments."""
    return A2C, {"rms_prop_eps": settings["rmsprop_epsilon"]}


ALGORITHMS = {"ppo": ppo, "a2c": a2c}


if __name__ == "__main__":
    serve(prepare, ("stable_baselines3", "torch", "gymnasium"))

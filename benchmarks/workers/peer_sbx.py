"""SBX: Stable-Baselines3's loop with a jitted update; its PPO does not clip the value's change."""

from typing import Any

import flax.linen
import jax
from protocol import Program, serve
from sbx import DQN, PPO, SAC, TD3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.noise import NormalActionNoise


def prepare(settings: dict[str, Any]) -> Program:
    """SBX's names for the same settings; it has no batch of seeds."""
    if settings["num_seeds"] != 1:
        raise ValueError("SBX trains one seed at a time")
    build, activation, arguments = ALGORITHMS[settings["algorithm"]](settings)
    model = build(
        "MlpPolicy",
        make_vec_env(settings["environment"], n_envs=settings["num_envs"]),
        learning_rate=settings["learning_rate"],
        gamma=settings["discount"],
        policy_kwargs={"net_arch": list(settings["hidden_sizes"]), "activation_fn": activation},
        **arguments,
    )
    device = jax.devices()[0]
    steps = settings["total_steps"]
    name = f"{device.platform}: {device.device_kind}"
    return Program(None, lambda index: model.learn(steps), steps, name)


def ppo(settings: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """PPO's own arguments."""
    batch_size = settings["num_envs"] * settings["num_steps"]
    return (
        PPO,
        flax.linen.tanh,
        {
            "n_steps": settings["num_steps"],
            "batch_size": batch_size // settings["num_minibatches"],
            "n_epochs": settings["num_epochs"],
            "gae_lambda": settings["gae_lambda"],
            "clip_range": settings["clip_epsilon"],
            "ent_coef": settings["entropy_coefficient"],
            "vf_coef": settings["value_coefficient"],
            "max_grad_norm": settings["max_gradient_norm"],
        },
    )


def sac(settings: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """SAC's own arguments."""
    return SAC, flax.linen.relu, replay(settings)


def td3(settings: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """TD3's own arguments; its noise is of actions scaled to -1 .. 1."""
    noise = NormalActionNoise(jax.numpy.zeros(1), settings["noise"])
    return (
        TD3,
        flax.linen.relu,
        replay(settings)
        | {
            "action_noise": noise,
            "target_policy_noise": settings["target_noise"],
            "target_noise_clip": settings["target_noise_clip"],
        },
    )


def dqn(settings: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """DQN's own arguments; it has no double Q-learning."""
    return (
        DQN,
        flax.linen.relu,
        replay(settings)
        | {
            "target_update_interval": 1,
            "exploration_initial_eps": settings["epsilon"],
            "exploration_final_eps": settings["epsilon"],
        },
    )


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


ALGORITHMS = {"ppo": ppo, "sac": sac, "td3": td3, "dqn": dqn}


if __name__ == "__main__":
    serve(prepare, ("sbx-rl", "stable_baselines3", "jax", "gymnasium"))

"""SBX's PPO: Stable-Baselines3's loop with a jitted update; no clipping of the value's change."""

from typing import Any

import flax.linen
import jax
from protocol import Program, serve
from sbx import PPO
from stable_baselines3.common.env_util import make_vec_env


def prepare(settings: dict[str, Any]) -> Program:
    """PPO with SBX's names for the same settings; it has no batch of seeds."""
    if settings["num_seeds"] != 1:
        raise ValueError("SBX trains one seed at a time")
    batch_size = settings["num_envs"] * settings["num_steps"]
    model = PPO(
        "MlpPolicy",
        make_vec_env(settings["environment"], n_envs=settings["num_envs"]),
        learning_rate=settings["learning_rate"],
        n_steps=settings["num_steps"],
        batch_size=batch_size // settings["num_minibatches"],
        n_epochs=settings["num_epochs"],
        gamma=settings["discount"],
        gae_lambda=settings["gae_lambda"],
        clip_range=settings["clip_epsilon"],
        ent_coef=settings["entropy_coefficient"],
        vf_coef=settings["value_coefficient"],
        max_grad_norm=settings["max_gradient_norm"],
        policy_kwargs={
            "net_arch": list(settings["hidden_sizes"]),
            "activation_fn": flax.linen.tanh,
        },
    )
    device = jax.devices()[0]
    steps = settings["total_steps"]
    name = f"{device.platform}: {device.device_kind}"
    return Program(None, lambda index: model.learn(steps), steps, name)


if __name__ == "__main__":
    serve(prepare, ("sbx-rl", "stable_baselines3", "jax", "gymnasium"))

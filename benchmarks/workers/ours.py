"""Our PPO, through `jaxrl.train`; with `--plain-shuffle`, shuffled by `jax.random.permutation`."""

import argparse
import sys
from typing import Any

import jax
from compiled import compiled_program
from protocol import Program, serve

import jaxrl


def prepare(settings: dict[str, Any]) -> Program:
    """The same PPO as the peers': clipped values, no annealing."""
    environment = jaxrl.make_env(settings["environment"])
    config = jaxrl.PPOConfig(
        total_steps=settings["total_steps"],
        num_envs=settings["num_envs"],
        num_steps=settings["num_steps"],
        num_epochs=settings["num_epochs"],
        num_minibatches=settings["num_minibatches"],
        learning_rate=settings["learning_rate"],
        learning_rate_schedule="constant",
        discount=settings["discount"],
        gae_lambda=settings["gae_lambda"],
        clip_epsilon=settings["clip_epsilon"],
        value_clip_epsilon=settings["clip_epsilon"],
        value_coefficient=settings["value_coefficient"],
        entropy_coefficient=settings["entropy_coefficient"],
        max_gradient_norm=settings["max_gradient_norm"],
        hidden_sizes=tuple(settings["hidden_sizes"]),
        activation="tanh",
    )

    def train(key: jax.Array) -> Any:
        return jaxrl.train(key, jaxrl.ppo(environment, config))

    steps = settings["total_steps"] * settings["num_seeds"]
    return compiled_program(train, num_seeds=settings["num_seeds"], steps=steps)


def shuffle_plainly() -> None:
    """Replaces our shuffle by JAX's own, to see what it is worth."""
    module: Any = sys.modules["jaxrl.policy_gradient.experience"]
    if not hasattr(module, "random_permutation"):
        raise RuntimeError(
            "jaxrl.policy_gradient.experience no longer shuffles with random_permutation"
        )
    module.random_permutation = jax.random.permutation


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--plain-shuffle", action="store_true")
    if parser.parse_args().plain_shuffle:
        shuffle_plainly()
    serve(prepare, ("jaxrl", "jax", "gymnax", "flax", "optax"))

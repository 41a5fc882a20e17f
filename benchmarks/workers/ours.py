"""Ours, through `jaxrl.train`; with `--plain-shuffle`, shuffled by `jax.random.permutation`."""

import argparse
import sys
from typing import Any

import jax
from compiled import compiled_program
from protocol import Program, serve

import jaxrl


def prepare(settings: dict[str, Any]) -> Program:
    """The algorithm that the settings name."""
    environment = jaxrl.make_env(settings["environment"])
    build = BUILDERS[settings["algorithm"]]
    shared = {
        name: settings[name]
        for name in (
            "total_steps",
            "num_envs",
            "num_steps",
            "learning_rate",
            "discount",
            "gae_lambda",
            "value_coefficient",
            "entropy_coefficient",
            "max_gradient_norm",
        )
    }
    shared |= {"learning_rate_schedule": "constant", "activation": "tanh"}
    shared["hidden_sizes"] = tuple(settings["hidden_sizes"])

    def train(key: jax.Array) -> Any:
        return jaxrl.train(key, build(environment, settings, shared))

    steps = settings["total_steps"] * settings["num_seeds"]
    return compiled_program(train, num_seeds=settings["num_seeds"], steps=steps)


def ppo(environment: Any, settings: dict[str, Any], shared: dict[str, Any]) -> Any:
    """The same PPO as the peers': clipped values, no annealing."""
    config = jaxrl.PPOConfig(
        num_epochs=settings["num_epochs"],
        num_minibatches=settings["num_minibatches"],
        clip_epsilon=settings["clip_epsilon"],
        value_clip_epsilon=settings["clip_epsilon"],
        **shared,
    )
    return jaxrl.ppo(environment, config)


def a2c(environment: Any, settings: dict[str, Any], shared: dict[str, Any]) -> Any:
    """The same A2C as the peers': RMSprop, no annealing."""
    config = jaxrl.A2CConfig(optimizer_epsilon=settings["rmsprop_epsilon"], **shared)
    return jaxrl.a2c(environment, config)


BUILDERS = {"ppo": ppo, "a2c": a2c}


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

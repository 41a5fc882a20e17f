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
    settings = settings | {"hidden_sizes": tuple(settings.get("hidden_sizes", ()))}
    build = BUILDERS[settings["algorithm"]]

    def train(key: jax.Array) -> Any:
        return jaxrl.train(key, build(environment, settings))

    steps = settings["total_steps"] * settings["num_seeds"]
    keys = settings.get("keys")
    return compiled_program(train, num_seeds=settings["num_seeds"], steps=steps, keys=keys)


def ppo(environment: Any, settings: dict[str, Any]) -> Any:
    """The same PPO as the peers': clipped values, no annealing."""
    own = ("num_epochs", "num_minibatches", "clip_epsilon")
    config = jaxrl.PPOConfig(
        value_clip_epsilon=settings["clip_epsilon"],
        **chosen(settings, *ON_POLICY, *own),
        **AS_PEERS,
        **extra(settings),
    )
    return jaxrl.ppo(environment, config)


def a2c(environment: Any, settings: dict[str, Any]) -> Any:
    """The same A2C as the peers': RMSprop, no annealing."""
    epsilon = settings["rmsprop_epsilon"]
    config = jaxrl.A2CConfig(optimizer_epsilon=epsilon, **chosen(settings, *ON_POLICY), **AS_PEERS)
    return jaxrl.a2c(environment, config)


def sac(environment: Any, settings: dict[str, Any]) -> Any:
    """The same SAC as the peers'."""
    return jaxrl.sac(environment, jaxrl.SACConfig(**chosen(settings, *OFF_POLICY)))


def td3(environment: Any, settings: dict[str, Any]) -> Any:
    """The same TD3 as the peers'."""
    own = ("target_noise", "target_noise_clip")
    config = jaxrl.TD3Config(noise_scale=settings["noise"], **chosen(settings, *OFF_POLICY, *own))
    return jaxrl.td3(environment, config)


def dqn(environment: Any, settings: dict[str, Any]) -> Any:
    """The same DQN as the peers': the target follows at each update."""
    config = jaxrl.DQNConfig(
        epsilon_start=settings["epsilon"],
        epsilon_end=settings["epsilon"],
        target_period=1,
        **chosen(settings, *OFF_POLICY),
    )
    return jaxrl.dqn(environment, config)


def pqn(environment: Any, settings: dict[str, Any]) -> Any:
    """PQN, which none of the peers has."""
    own = ("total_steps", "num_envs", "num_steps")
    return jaxrl.pqn(environment, jaxrl.PQNConfig(**chosen(settings, *own), **extra(settings)))


def cem(environment: Any, settings: dict[str, Any]) -> Any:
    """The cross-entropy method, which none of the peers has."""
    return jaxrl.cem(environment, jaxrl.CEMConfig(**search(settings)))


def openes(environment: Any, settings: dict[str, Any]) -> Any:
    """OpenAI's evolution strategy, which none of the peers has."""
    return jaxrl.openes(environment, jaxrl.OpenESConfig(**search(settings)))


def search(settings: dict[str, Any]) -> dict[str, Any]:
    """What the searches have in common."""
    return chosen(settings, "total_steps", "hidden_sizes") | {
        "population_size": settings["num_envs"]
    }


def extra(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that only ours has, such as `compute_dtype`."""
    return settings.get("extra", {})


def chosen(settings: dict[str, Any], *names: str) -> dict[str, Any]:
    """Some of the settings."""
    return {name: settings[name] for name in names}


COMMON = ("total_steps", "num_envs", "num_steps", "learning_rate", "discount", "hidden_sizes")
ON_POLICY = (
    *COMMON,
    "gae_lambda",
    "value_coefficient",
    "entropy_coefficient",
    "max_gradient_norm",
)
OFF_POLICY = (*COMMON, "batch_size", "buffer_size", "random_steps", "tau")
AS_PEERS: dict[str, Any] = {"learning_rate_schedule": "constant", "activation": "tanh"}
BUILDERS = {
    "ppo": ppo,
    "a2c": a2c,
    "sac": sac,
    "td3": td3,
    "dqn": dqn,
    "pqn": pqn,
    "cem": cem,
    "openes": openes,
}


def shuffle_plainly() -> None:
    """Replaces our shuffle by JAX's own, to see what it is worth."""
    module: Any = sys.modules["jaxrl.learning.minibatches"]
    if not hasattr(module, "random_permutation"):
        raise RuntimeError(f"{module.__name__} no longer shuffles with random_permutation")
    module.random_permutation = jax.random.permutation


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--plain-shuffle", action="store_true")
    if parser.parse_args().plain_shuffle:
        shuffle_plainly()
    serve(prepare, ("jaxrl", "jax", "gymnax", "flax", "optax"))

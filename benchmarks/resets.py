"""What ways of starting again are worth: PPO's rollout with a pool of starts, and with cached ones.

    python benchmarks/resets.py

Both are beside fresh starts for every environment in every step, which is the default: once in the
rollout alone, with the policy that acts in it, and once in a whole iteration of training.

A pair is one run of each, right after one another, in alternating order; a ratio is taken within a
pair, and the result is the median of the pairs' ratios. Above 1, the other way is faster.
"""

import argparse
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from machine import describe_machine
from pairing import summary_of_pairs, time_pairs

import jaxrl
from jaxrl.environments import clip_actions, record_episode_statistics
from jaxrl.loops.worlds import collect, resets_of, start_worlds
from jaxrl.policy_gradient import make_actor

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "resets.json"
ENVIRONMENT = "CartPole-v1"
SIZES = ((4, 128), (64, 128), (1024, 32))
PARTS = ("rollout", "training")
WAYS = ("pooled", "cached")
# A run is of about as many steps: short, so that what else the machine does meets both of a pair.
STEPS = 100_000
Run = Callable[[int], Any]


def settings(way: str, num_envs: int, num_steps: int) -> jaxrl.PPOConfig:
    """PPO's, for a run of whole iterations."""
    size = num_envs * num_steps
    pool: dict[str, Any] = {"reset_ratio": min(num_envs, 16)} if way == "pooled" else {}
    return jaxrl.PPOConfig(
        num_envs=num_envs,
        num_steps=num_steps,
        total_steps=size * -(-STEPS // size),
        resets=way,
        **pool,
    )


def rollout_run(config: jaxrl.PPOConfig) -> Run:
    """A function of a seed that collects one rollout after another, with a policy that stays."""
    environment = record_episode_statistics(clip_actions(jaxrl.make_env(ENVIRONMENT)))
    actor = make_actor(environment.observation_space, environment.action_space, config)
    num_rollouts = config.total_steps // (config.num_envs * config.num_steps)
    resets = resets_of(config)

    @jax.jit
    def run(key: jax.Array) -> Any:
        key_params, key_worlds, key_rollouts = jax.random.split(key, 3)
        params = actor.init(key_params)
        worlds = start_worlds(
            key_worlds, environment, actor.start, num_envs=config.num_envs, resets=resets
        )

        def act(key: jax.Array, carry: Any, observation: Any) -> Any:
            return actor.act(key, params, carry, observation)

        def rollout(worlds: Any, key: jax.Array) -> Any:
            worlds, rollout, finished = collect(
                key,
                environment,
                act,
                actor.start,
                worlds,
                num_steps=config.num_steps,
                resets=resets,
            )
            # Everything of the rollout is read, so that none of it is left out.
            leaves = jax.tree.leaves((rollout.transitions, finished))
            return worlds, sum(jnp.sum(x, dtype=jnp.float32) for x in leaves)

        return jax.lax.scan(rollout, worlds, jax.random.split(key_rollouts, num_rollouts))[1]

    return lambda seed: jax.block_until_ready(run(jax.random.key(seed)))


def training_run(config: jaxrl.PPOConfig) -> Run:
    """A function of a seed that trains."""
    algorithm = jaxrl.ppo(jaxrl.make_env(ENVIRONMENT), config)
    train = jax.jit(lambda key: jaxrl.train(key, algorithm).state.agent)
    return lambda seed: jax.block_until_ready(train(jax.random.key(seed)))


def measure(num_envs: int, num_steps: int, *, part: str, way: str, pairs: int) -> dict[str, Any]:
    """The ratios of one way at one size."""
    make = {"rollout": rollout_run, "training": training_run}[part]
    configs = {name: settings(name, num_envs, num_steps) for name in ("every_step", way)}
    runs = {name: make(config) for name, config in configs.items()}
    seconds, ratios = time_pairs(runs, pairs=pairs)
    return {
        "num_envs": num_envs,
        "num_steps": num_steps,
        "part": part,
        "way": way,
        "reset_ratio": configs[way].reset_ratio if way == "pooled" else None,
    } | summary_of_pairs(seconds, ratios, steps=configs[way].total_steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=31)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    rows = []
    for part in PARTS:
        for num_envs, num_steps in SIZES:
            for way in WAYS:
                row = measure(num_envs, num_steps, part=part, way=way, pairs=arguments.pairs)
                rows.append(row)
                print(
                    f"{part}, {num_envs} x {num_steps}, {way}: {row['ratio']:.2f} times as fast "
                    f"({min(row['ratios']):.2f} to {max(row['ratios']):.2f})",
                    flush=True,
                )
    content = {
        "environment": ENVIRONMENT,
        "device": jax.devices()[0].device_kind,
        "versions": {"jaxrl": jaxrl.__version__, "jax": jax.__version__},
        "machine": describe_machine(),
        "results": rows,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

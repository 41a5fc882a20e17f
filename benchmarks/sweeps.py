"""What a sweep costs beside its training: `jaxrl.sweep` beside one hand-written `jit(vmap(train))`.

    python benchmarks/sweeps.py
    python benchmarks/sweeps.py --rates 64 --seeds 4 --steps 50000 --pairs 3

Both train PPO on CartPole with the same learning rates and seeds, and play 100 episodes with every
agent. The sweep writes its logs, checkpoints and table as well. They run right after one another,
in alternating order; compilation is left out of both. Above 1, the sweep is faster.
"""

import argparse
import dataclasses
import json
import pathlib
import shutil
import tempfile
import time
from typing import Any

import jax
import numpy as np
from machine import describe_machine

import jaxrl

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
EPISODES = 100


def hand_written(config: Any, rates: np.ndarray, seeds: range) -> Any:
    """One compiled program of all agents, and its arguments."""
    environment = jaxrl.make_env("CartPole-v1")

    def train(rate: jax.Array, seed: jax.Array) -> jax.Array:
        algorithm = jaxrl.ppo(environment, dataclasses.replace(config, learning_rate=rate))
        key_train, key_play = jax.random.split(jax.random.key(seed))
        policy = algorithm.policy(jaxrl.train(key_train, algorithm).state)
        return jaxrl.evaluate(key_play, environment, policy, num_episodes=EPISODES).returns

    given = np.repeat(rates, len(seeds)).astype(np.float32), np.tile(np.array(seeds), len(rates))
    return jax.jit(jax.vmap(train)).lower(*given).compile(), given


def seconds_of_sweep(config: Any, rates: np.ndarray, seeds: range) -> float:
    """Seconds of training, evaluating and writing; the sweep reports its compilation apart."""
    folder = pathlib.Path(tempfile.mkdtemp()) / "sweep"
    try:
        outcome = jaxrl.sweep(
            "ppo",
            "CartPole-v1",
            {"learning_rate": rates.tolist()},
            settings=config,
            seeds=seeds,
            sampler="grid",
            evaluation_episodes=EPISODES,
            out=folder,
        )
        return outcome.run_seconds
    finally:
        shutil.rmtree(folder.parent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS, help="a folder")
    arguments = parser.parse_args()
    config = jaxrl.PPOConfig(total_steps=arguments.steps, num_envs=4, num_steps=128)
    rates, seeds = np.geomspace(1e-4, 1e-2, arguments.rates), range(arguments.seeds)
    program, given = hand_written(config, rates, seeds)
    jax.block_until_ready(program(*given))

    def seconds_by_hand() -> float:
        start = time.perf_counter()
        jax.block_until_ready(program(*given))
        return time.perf_counter() - start

    def seconds_swept() -> float:
        return seconds_of_sweep(config, rates, seeds)

    seconds: dict[str, list[float]] = {"by hand": [], "sweep": []}
    timed = {"by hand": seconds_by_hand, "sweep": seconds_swept}
    for pair in range(arguments.pairs):
        for name in list(timed)[:: -1 if pair % 2 else 1]:
            seconds[name].append(timed[name]())
    ratios = np.array(seconds["by hand"]) / np.array(seconds["sweep"])
    device = jax.devices()[0]
    print(f"{len(given[0])} agents x {arguments.steps:,} steps on {device.device_kind}: {seconds}")
    print(f"ratio {np.median(ratios):.3f} ({ratios.min():.3f} to {ratios.max():.3f})", flush=True)
    content = {
        **{name: getattr(arguments, name) for name in ("rates", "seeds", "steps")},
        "seconds": seconds,
        "ratio": float(np.median(ratios)),
        "ratios": ratios.tolist(),
        "device": device.device_kind,
        "versions": {"jaxrl": jaxrl.__version__, "jax": jax.__version__},
        "machine": describe_machine(),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / f"sweeps-{device.platform}.json"
    file.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

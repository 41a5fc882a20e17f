"""Going on from a run on another task: Pendulum that begins with a shorter pole's policy.

    python benchmarks/fine_tuning.py                      # seeds 1000 to 1009
    python benchmarks/fine_tuning.py --algorithms ppo --seeds 2 --steps 16000 --out /tmp/x.json

Each agent first learns to swing up a pole of four fifths the length, and then the usual one: once
with what it has learnt (`start_from`), once from nothing, with the same key. Both are evaluated ten
times. The result is `benchmarks/results/fine-tuning.json`.
"""

import argparse
import json
import pathlib
from typing import Any

import jax
import numpy as np
from intervals import interval_of
from machine import describe_machine

import jaxrl

RESULT = pathlib.Path(__file__).resolve().parent / "results" / "fine-tuning.json"
ENVIRONMENT = "Pendulum-v1"
EVALUATIONS, EPISODES = 10, 64
LENGTH = 0.8
# Environment steps of each training: what the agents need, and some more.
STEPS = {"sac": 10_000, "ppo": 64_000}


def learner(name: str, steps: int, **parameters: float) -> jaxrl.training.Algorithm:
    settings = jaxrl.preset_settings(name, ENVIRONMENT, total_steps=steps)
    return getattr(jaxrl, name)(jaxrl.make_env(ENVIRONMENT, **parameters), settings)


def train_both(key: jax.Array, name: str, steps: int) -> dict[str, jax.Array]:
    """One seed: the mean returns of all evaluations, with what was learnt before and without."""
    key_before, key = jax.random.split(key)
    shorter = jaxrl.train(key_before, learner(name, steps, l=LENGTH)).state
    played: dict[str, Any] = {"num_evaluations": EVALUATIONS, "evaluation_episodes": EPISODES}
    ways = {"fine_tuned": shorter, "from_nothing": None}
    trained = {
        way: jaxrl.train(key, learner(name, steps), start_from=state, **played)
        for way, state in ways.items()
    }
    return {way: result.evaluations.returns.mean(axis=1) for way, result in trained.items()}


def measure(name: str, seeds: range, steps: int) -> dict[str, Any]:
    """Both ways of one algorithm, all seeds in one program."""
    keys = jax.vmap(jax.random.key)(np.array(seeds, np.uint32))
    run = jax.jit(jax.vmap(lambda key: train_both(key, name, steps)))
    found = {way: np.asarray(returns) for way, returns in run(keys).items()}
    gain = found["fine_tuned"] - found["from_nothing"]
    return {
        "steps": np.linspace(0, steps, EVALUATIONS + 1)[1:].astype(int).tolist(),
        "returns": {way: returns.tolist() for way, returns in found.items()},
        "mean_return": {way: returns.mean(axis=0).tolist() for way, returns in found.items()},
        "gain": {
            "first_evaluation": interval_of(gain[:, 0]),
            "mean_over_evaluations": interval_of(gain.mean(axis=1)),
            "last_evaluation": interval_of(gain[:, -1]),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algorithms", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, help="of each training; as it stands its algorithm's")
    parser.add_argument("--out", type=pathlib.Path, default=RESULT)
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    results = {}
    for name in arguments.algorithms:
        results[name] = measure(name, seeds, arguments.steps or STEPS[name])
        print(f"{name}: {results[name]['gain']}", flush=True)
    content = {
        "environment": ENVIRONMENT,
        "before": {"l": LENGTH},
        "seeds": [seeds.start, seeds.stop - 1],
        "results": results,
        "versions": {"jaxrl": jaxrl.__version__, "jax": jax.__version__},
        "machine": describe_machine(),
    }
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

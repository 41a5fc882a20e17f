"""What a memory costs: PPO with a GRU beside PPO without, in one process.

    python benchmarks/recurrence.py

Both have as many layers of the same width: one dense layer and a GRU of 64 beside two dense layers
of 64; actor and critic have a torso each, as is PPO's default.

A pair is one whole run of each, right after one another, in alternating order; a ratio is taken
within a pair, and the result is the median of the pairs' ratios. Above 1, the memory costs time.
"""

import argparse
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
from machine import describe_machine
from pairing import summary_of_pairs, time_pairs

import jaxrl

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "recurrence.json"
ENVIRONMENT = "CartPole-v1"
WIDTH = 64
SIZES = ((64, 128), (1024, 32), (8, 128))
# What is measured at each size: the memory's settings.
VARIANTS: dict[str, dict[str, Any]] = {
    "one memory": {},
    "one memory, sequences of 16 steps": {"sequence_length": 16},
    "one memory, no dense layer, sequences of 16 steps": {
        "hidden_sizes": (),
        "sequence_length": 16,
    },
    "one memory, no dense layer, sequences of 8 steps": {
        "hidden_sizes": (),
        "sequence_length": 8,
    },
    "a memory each": {"shared_core": False},
}
ITERATIONS = 10


def whole_run(num_envs: int, num_steps: int, **settings: Any) -> Callable[[int], Any]:
    """A function of a seed that trains from the first iteration to the last."""
    config = jaxrl.PPOConfig(
        num_envs=num_envs,
        num_steps=num_steps,
        total_steps=num_envs * num_steps * ITERATIONS,
        **settings,
    )
    algorithm = jaxrl.ppo(jaxrl.make_env(ENVIRONMENT), config)
    train = jax.jit(lambda key: jaxrl.train(key, algorithm).state.agent)
    return lambda seed: jax.block_until_ready(train(jax.random.key(seed)))


def measure(num_envs: int, num_steps: int, *, variant: str, pairs: int) -> dict[str, Any]:
    """The ratios of one size."""
    memory = {"core": "gru", "core_size": WIDTH, "hidden_sizes": (WIDTH,)} | VARIANTS[variant]
    contenders = {
        "gru": whole_run(num_envs, num_steps, **memory),
        "none": whole_run(num_envs, num_steps, hidden_sizes=(WIDTH, WIDTH)),
    }
    seconds, ratios = time_pairs(contenders, pairs=pairs)
    return {
        "num_envs": num_envs,
        "num_steps": num_steps,
        "variant": variant,
    } | summary_of_pairs(seconds, ratios, steps=num_envs * num_steps * ITERATIONS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    rows = []
    for num_envs, num_steps in SIZES:
        for variant in VARIANTS:
            row = measure(num_envs, num_steps, variant=variant, pairs=arguments.pairs)
            rows.append(row)
            print(
                f"{num_envs} x {num_steps}, {variant}: "
                f"{row['ratio']:.2f} times the time without memory "
                f"({min(row['ratios']):.2f} to {max(row['ratios']):.2f})",
                flush=True,
            )
    content = {
        "environment": ENVIRONMENT,
        "width": WIDTH,
        "device": jax.devices()[0].device_kind,
        "versions": {"jaxrl": jaxrl.__version__, "jax": jax.__version__},
        "machine": describe_machine(),
        "results": rows,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

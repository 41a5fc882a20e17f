"""Returns over seeds beside the numbers to reach, with the presets that users get.

    python benchmarks/learning.py                       # everything: hours on two cores
    python benchmarks/learning.py --only ppo/CartPole-v1 ppo/Pendulum-v1

All seeds of a task train in one vmapped program; then each plays whole episodes with the
non-exploring policy. Results are merged into `benchmarks/results/learning.json`.
"""

import argparse
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from machine import describe_machine

import jaxrl
from jaxrl import registry
from jaxrl.environments import select_observations
from jaxrl.presets import preset_settings
from jaxrl.reports import seed_interval
from jaxrl.types import Environment

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "learning.json"


class Task(NamedTuple):
    """A number to reach after a budget of environment steps, by the returns of the seeds.

    Attributes:
        build: makes an environment that has no name of its own.
        settings: instead of the preset.
        judged_by: "mean" or "median" of the seeds' mean returns, or "share": that of the seeds
            that reach the target, which must be at least `share`.
    """

    algorithm: str
    environment: str
    total_steps: int
    target: float
    num_seeds: int = 10
    build: Callable[[], Environment] | None = None
    settings: dict[str, Any] | None = None
    judged_by: str = "mean"
    share: float = 0.9

    @property
    def name(self) -> str:
        return f"{self.algorithm}/{self.environment}"


def cart_pole_positions() -> Environment:
    """CartPole whose velocities cannot be seen, but must be remembered."""
    return select_observations(jaxrl.make_env("CartPole-v1"), (0, 2))


def long_memory_chain() -> Environment:
    """What was seen at the start is asked for 30 steps later; 1 for the right answer, -1 else."""
    return jaxrl.make_env("MemoryChain-bsuite", memory_length=30)


# Without scaled rewards the critic lags behind, and some seeds stay at returns of about 200.
HIDDEN_VELOCITIES = {
    "core": "gru",
    "num_envs": 16,
    "learning_rate": 1e-3,
    "entropy_coefficient": 0.0,
    "hidden_sizes": (64,),
    "normalize_observations": True,
    "normalize_rewards": True,
}
TASKS = (
    Task("ppo", "CartPole-v1", 100_000, 495),
    Task("ppo", "Acrobot-v1", 1_000_000, -80),
    Task("ppo", "Pendulum-v1", 100_000, -172),
    Task("ppo", "MountainCarContinuous-v0", 100_000, 90),
    Task("ppo", "Breakout-MinAtar", 10_000_000, 43, num_seeds=5),
    Task("reinforce", "CartPole-v1", 200_000, 483),
    Task("a2c", "CartPole-v1", 500_000, 495),
    Task("a2c", "Acrobot-v1", 500_000, -84),
    Task("a2c", "Pendulum-v1", 1_000_000, -165, num_seeds=20),
    Task("a2c", "MountainCarContinuous-v0", 100_000, 91),
    # Within 5 % of what A2C must reach, and on Pendulum of what it reached.
    Task("a3c", "CartPole-v1", 500_000, 475),
    Task("a3c", "Acrobot-v1", 500_000, -88),
    Task("a3c", "Pendulum-v1", 1_000_000, -158, num_seeds=20),
    Task("impala", "CartPole-v1", 500_000, 490),
    Task("impala", "Acrobot-v1", 500_000, -84),
    Task("impala", "Pendulum-v1", 1_000_000, -165),
    Task("impala", "MountainCarContinuous-v0", 100_000, 91),
    Task("trpo", "CartPole-v1", 100_000, 495),
    Task("trpo", "Acrobot-v1", 100_000, -83),
    Task("trpo", "Pendulum-v1", 100_000, -175),
    Task("trpo", "MountainCarContinuous-v0", 50_000, 92.5),
    Task("dqn", "CartPole-v1", 100_000, 495),
    Task("dqn", "Acrobot-v1", 100_000, -80),
    Task("ddpg", "Pendulum-v1", 20_000, -155),
    Task("ddpg", "MountainCarContinuous-v0", 300_000, 90),
    Task("td3", "Pendulum-v1", 20_000, -155),
    Task("sac", "Pendulum-v1", 20_000, -155),
    Task("sac", "MountainCarContinuous-v0", 50_000, 93),
    Task("sac", "CartPole-v1", 200_000, 450),
    Task("pqn", "CartPole-v1", 500_000, 495),
    Task("pqn", "Acrobot-v1", 500_000, -95.6),
    Task("pqn", "Breakout-MinAtar", 10_000_000, 30, num_seeds=5),
    Task("ppo", "MemoryChain-bsuite-30", 500_000, 0.99, build=long_memory_chain),
    Task(
        "ppo",
        "CartPole-v1-positions",
        1_000_000,
        450,
        build=cart_pole_positions,
        settings=HIDDEN_VELOCITIES,
    ),
    Task("hill_climbing", "CartPole-v1", 20_000, 500, 20, judged_by="median"),
    Task("hill_climbing", "CartPole-v1", 100_000, 475, 20, judged_by="share"),
    Task("steepest_ascent", "CartPole-v1", 100_000, 475, 20, judged_by="share"),
    Task("simulated_annealing", "CartPole-v1", 100_000, 475, 20, judged_by="share"),
    Task("cem", "CartPole-v1", 100_000, 475, 20),
    Task("cem", "Acrobot-v1", 500_000, -90, 20),
    # At most 47 iterations of 50 episodes.
    Task("cem", "MountainCarContinuous-v0", 380_000, 90, 20),
    Task("openes", "CartPole-v1", 500_000, 495, 20),
    Task("openes", "Acrobot-v1", 500_000, -90, 20),
    Task("openes", "Pendulum-v1", 2_000_000, -215, 20),
    Task("openes", "MountainCarContinuous-v0", 500_000, 90, 20),
    Task("ars", "CartPole-v1", 500_000, 495, 20),
    Task("ars", "Acrobot-v1", 500_000, -83, 20),
    Task("ars", "Pendulum-v1", 2_000_000, -215, 20),
    Task("ars", "MountainCarContinuous-v0", 500_000, 93, 20),
)


def run(task: Task, *, first_seed: int, episodes: int) -> dict[str, Any]:
    """Trains and evaluates all seeds of a task."""
    environment = jaxrl.make_env(task.environment) if task.build is None else task.build()
    entry = registry.get(task.algorithm)
    if task.settings is None:
        config = preset_settings(task.algorithm, environment.name, total_steps=task.total_steps)
    else:
        config = entry.settings(total_steps=task.total_steps, **task.settings)
    algorithm = entry.build(environment, config)

    def train_and_evaluate(key: jax.Array) -> tuple[jaxrl.Evaluation, jax.Array]:
        key_train, key_evaluate = jax.random.split(key)
        result = jaxrl.train(key_train, algorithm)
        policy = algorithm.policy(result.state)
        evaluation = jaxrl.evaluate(key_evaluate, environment, policy, num_episodes=episodes)
        return evaluation, (result.metrics["steps"] >= 0).sum()

    keys = jax.vmap(jax.random.key)(np.arange(first_seed, first_seed + task.num_seeds))
    start = time.perf_counter()
    program = jax.jit(jax.vmap(train_and_evaluate))
    evaluation, iterations = jax.block_until_ready(program(keys))
    seconds = time.perf_counter() - start
    seed_means = np.asarray(evaluation.returns, np.float64).mean(axis=1)
    mean, (low, high) = seed_means.mean(), confidence_interval(seed_means)
    return {
        "algorithm": task.algorithm,
        "environment": task.environment,
        "total_steps": task.total_steps,
        "target": task.target,
        "judged_by": task.judged_by,
        "passed": is_passed(task, seed_means),
        "mean": float(mean),
        "median": float(np.median(seed_means)),
        "share": float((seed_means >= task.target).mean()),
        "most_iterations": int(iterations.max()),
        "ci95": [low, high],
        "seed_means": seed_means.tolist(),
        "episodes": episodes,
        "first_seed": first_seed,
        "seconds": seconds,
        "device": jax.devices()[0].device_kind,
        "versions": {"jaxrl": jaxrl.__version__, "jax": jax.__version__},
        "machine": describe_machine(),
    }


def is_passed(task: Task, seed_means: np.ndarray) -> bool:
    """Whether the seeds' mean returns reach what the task asks for."""
    if task.judged_by == "share":
        return bool((seed_means >= task.target).mean() >= task.share)
    return bool(getattr(np, task.judged_by)(seed_means) >= task.target)


def confidence_interval(seed_means: np.ndarray) -> tuple[float, float]:
    """Student's 95 % interval of the mean over seeds: seeds, not episodes, are independent runs."""
    interval = seed_interval(seed_means)
    return float(interval.low), float(interval.high)


def store(
    row: dict[str, Any],
    file: pathlib.Path,
    identity: tuple[str, ...] = ("algorithm", "environment", "total_steps"),
) -> None:
    """Puts a row in the place of the one for the same task, which has the same identity."""
    rows = json.loads(file.read_text())["results"] if file.is_file() else []
    rows = [old for old in rows if any(old[name] != row[name] for name in identity)]
    rows = sorted([*rows, row], key=lambda r: [r[name] for name in identity])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"results": rows}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [task.name for task in TASKS]
    parser.add_argument("--only", nargs="+", default=names, choices=names, metavar="TASK")
    parser.add_argument("--seeds", type=int, help="instead of each task's own number; at least 2")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.seeds is not None and arguments.seeds < 2:
        parser.error(f"--seeds {arguments.seeds} must be at least 2, for an interval")
    for task in TASKS:
        if task.name not in arguments.only:
            continue
        chosen = task._replace(num_seeds=arguments.seeds or task.num_seeds)
        row = run(chosen, first_seed=arguments.first_seed, episodes=arguments.episodes)
        store(row, arguments.out)
        print(
            f"{task.name} @ {task.total_steps:,}: {row['mean']:.1f}"
            f" ({row['ci95'][0]:.1f} to {row['ci95'][1]:.1f}), median {row['median']:.1f},"
            f" share {row['share']:.2f}, to reach {task.target:g} ({task.judged_by}):"
            f" {'reached' if row['passed'] else 'MISSED'} in {row['seconds']:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()

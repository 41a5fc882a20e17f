"""How often do 95 % intervals of scores over seeds and tasks hold the truth?

    python benchmarks/coverage.py                   # everything: minutes
    python benchmarks/coverage.py --draws 100 20    # a quick look

Each draw is an experiment: a few seeds of one or of ten tasks, from a distribution whose statistics
are known. A coverage is the share of draws whose interval holds the statistic that infinitely many
seeds would have. The intervals are those of `jaxrl compare`.
"""

import argparse
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from machine import describe_machine
from scipy import stats

from jaxrl.reports import aggregate_scores, performance_profile, probability_of_improvement

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "coverage.json"
SEEDS = (5, 8, 10)
TASKS = (1, 10)
# Of these numbers of tasks; a coverage of 95 % then has a standard error of 0.5 and 1 points.
DRAWS = (2000, 500)
# The standard deviation of a task's scores, and how far the other side is below.
SCALE, SHIFT = 0.2, 0.1
TARGET = 1.0
# Quantiles of all runs at which profiles are looked at, whose coverages are averaged.
PROFILED = (0.25, 0.5, 0.75)
# Where distributions are known by their quantiles.
LEVELS = (np.arange(4000) + 0.5) / 4000
Quantiles = Callable[[np.ndarray], np.ndarray]


def normal(levels: np.ndarray) -> np.ndarray:
    """Standard normal."""
    return stats.norm.ppf(levels)


def skewed(levels: np.ndarray) -> np.ndarray:
    """One less an exponential: most seeds near the best, some far below. Mean 0, deviation 1."""
    return 1 + np.log(levels)


def bimodal(levels: np.ndarray) -> np.ndarray:
    """One seed in five fails: normal around -2, and around 0.5. Mean 0, deviation 1.04."""
    failed = -2.0 + 0.3 * stats.norm.ppf(np.clip(levels / 0.2, 1e-12, 1 - 1e-12))
    solved = 0.5 + 0.3 * stats.norm.ppf(np.clip((levels - 0.2) / 0.8, 1e-12, 1 - 1e-12))
    return np.where(levels < 0.2, failed, solved)


DISTRIBUTIONS: dict[str, Quantiles] = {"normal": normal, "skewed": skewed, "bimodal": bimodal}


def locations(num_tasks: int) -> np.ndarray:
    """The centre of each task's scores."""
    return np.linspace(0.1, 0.9, num_tasks) if num_tasks > 1 else np.array([0.5])


def truths(quantiles: Quantiles, num_tasks: int) -> dict[str, np.ndarray]:
    """Every statistic of infinitely many seeds, and the thresholds of the profile."""
    population = locations(num_tasks) + SCALE * quantiles(LEVELS)[:, None]
    means = population.mean(axis=0)
    thresholds = np.quantile(population, PROFILED)
    one = SCALE * quantiles(LEVELS)
    better = np.searchsorted(one - SHIFT, one) / LEVELS.size
    return {
        "mean": means.mean(),
        "iqm": stats.trim_mean(population, 0.25, axis=None),
        "median": np.median(means),
        "optimality_gap": TARGET - np.minimum(population, TARGET).mean(),
        "thresholds": thresholds,
        "profile": (population > thresholds[:, None, None]).mean(axis=(1, 2)),
        "improvement": better.mean(),
    }


def intervals(
    rng: np.random.Generator,
    quantiles: Quantiles,
    thresholds: np.ndarray,
    *,
    num_seeds: int,
    num_tasks: int,
    num_resamples: int,
) -> dict[str, Any]:
    """Every statistic of one draw, with its interval."""
    centres = locations(num_tasks)
    shape = (num_seeds, num_tasks)
    scores = centres + SCALE * quantiles(rng.uniform(size=shape))
    others = centres + SCALE * quantiles(rng.uniform(size=shape)) - SHIFT
    ways: dict[str, Any] = {"num_resamples": num_resamples, "seed": int(rng.integers(2**31))}
    return {
        **aggregate_scores(scores, target=TARGET, **ways)._asdict(),
        "profile": performance_profile(scores, thresholds, **ways),
        "improvement": probability_of_improvement(scores, others, **ways),
    }


def measure(
    name: str, *, num_seeds: int, num_tasks: int, draws: int, num_resamples: int
) -> dict[str, Any]:
    """The coverage of every statistic's interval for one distribution and size."""
    quantiles = DISTRIBUTIONS[name]
    truth = truths(quantiles, num_tasks)
    rng = np.random.default_rng([num_seeds, num_tasks, list(DISTRIBUTIONS).index(name)])
    held: dict[str, list[float]] = {}
    for _ in range(draws):
        found = intervals(
            rng,
            quantiles,
            truth["thresholds"],
            num_seeds=num_seeds,
            num_tasks=num_tasks,
            num_resamples=num_resamples,
        )
        for statistic, interval in found.items():
            # Shares of runs are sums of fractions: their ends are true to the last few bits.
            below = interval.low <= truth[statistic] + 1e-9
            above = truth[statistic] <= interval.high + 1e-9
            held.setdefault(statistic, []).append(float(np.mean(below & above)))
    coverages = {statistic: float(np.mean(values)) for statistic, values in held.items()}
    size = {"tasks": num_tasks, "seeds": num_seeds, "draws": draws, "resamples": num_resamples}
    return {"distribution": name, **size, "coverage": coverages}


def line(row: dict[str, Any]) -> str:
    """A row of the table in Markdown; before the first one stand its names."""
    cells = " | ".join(f"{100 * coverage:.1f}" for coverage in row["coverage"].values())
    return f"| {row['tasks']} | {row['seeds']} | {row['distribution']} | {cells} |"


def header(row: dict[str, Any]) -> str:
    """The names above the columns of a row."""
    names = [name.replace("_", " ") for name in row["coverage"]]
    return f"| tasks | seeds | scores | {' | '.join(names)} |\n|{'---|' * (3 + len(names))}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, nargs=len(TASKS), default=DRAWS)
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for num_tasks, draws in zip(TASKS, arguments.draws, strict=True):
        for num_seeds in SEEDS:
            for name in DISTRIBUTIONS:
                row = measure(
                    name,
                    num_seeds=num_seeds,
                    num_tasks=num_tasks,
                    draws=draws,
                    num_resamples=arguments.resamples,
                )
                print(line(row) if rows else f"{header(row)}\n{line(row)}", flush=True)
                rows.append(row)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": describe_machine(), "results": rows}
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

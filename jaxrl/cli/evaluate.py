"""`jaxrl evaluate RUN`."""

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console

from jaxrl import runs
from jaxrl.cli.arguments import parse
from jaxrl.cli.errors import check_range, checking_input
from jaxrl.cli.report import cut_short, return_interval, returns_table
from jaxrl.cli.user_modules import import_modules_of
from jaxrl.runs.rows import cut_episodes
from jaxrl.runs.specification import LARGEST_SEED

MOST_EPISODES = 10_000_000


@dataclasses.dataclass(frozen=True)
class EvaluateArguments:
    """What `evaluate` takes."""

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    episodes: int = 100
    """Episodes of each agent."""
    seed: int = 0
    """Of the episodes."""
    json: bool = False
    """Print nothing but JSON: returns per agent and episode, mean, its 95 % interval, and how many
    episodes were cut; the returns of those are null."""


def run(arguments: list[str]) -> int:
    """Plays whole episodes with the non-exploring policy of every seed of a run."""
    values = parse(
        EvaluateArguments,
        arguments,
        prog="jaxrl evaluate",
        description="Play whole episodes with the non-exploring policies of a run. The interval "
        "is a bootstrap over agents, or over episodes where there is one agent.",
    )
    check_range("episodes", values.episodes, minimum=1, maximum=MOST_EPISODES)
    check_range("seed", values.seed, minimum=0, maximum=LARGEST_SEED)
    import_modules_of(values.run)
    runs.enable_compilation_cache()
    with checking_input():
        loaded = runs.load(values.run)
        if loaded.algorithm.environment.max_episode_steps is None:
            raise ValueError(
                f"{loaded.algorithm.environment.name} has no time limit, so an episode might "
                "never end"
            )
    evaluation = runs.evaluate_run(loaded, num_episodes=values.episodes, seed=values.seed)
    returns = np.asarray(evaluation.returns, dtype=float)
    if values.json:
        answer = _plain(returns, evaluation.lengths)
        sys.stdout.write(json.dumps(answer, allow_nan=False) + "\n")
        return 0
    specification = loaded.specification
    title = f"evaluation of {specification.algorithm} on {specification.environment}"
    console = Console()
    table = returns_table(returns, evaluation.lengths, first_seed=specification.seed, title=title)
    console.print(table)
    cut = cut_short(returns, evaluation.lengths, loaded.algorithm.environment.max_episode_steps)
    if cut is not None:
        console.print(cut, markup=False, highlight=False, soft_wrap=True)
    return 0


def _plain(returns: np.ndarray, lengths: Any) -> dict[str, Any]:
    """What is printed as JSON, which has no nan: null stands for it."""

    def number(value: float) -> float | None:
        return None if math.isnan(value) else value

    mean, low, high = return_interval(returns, lengths)
    return {
        "returns": [[number(value) for value in seed] for seed in returns.tolist()],
        "mean": number(mean),
        "ci95": [number(low), number(high)],
        "cut": int(cut_episodes(returns, lengths).sum()),
    }

"""`jaxrl evaluate RUN`."""

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from rich.console import Console

from jaxrl import runs
from jaxrl.cli.errors import check_range, checking_input
from jaxrl.cli.other_parameters import read_played_run
from jaxrl.cli.report import cut_short, group_intervals, returns_table
from jaxrl.cli.user_modules import import_modules_of
from jaxrl.runs.grouping import identities_of
from jaxrl.runs.members import LARGEST_SEED
from jaxrl.runs.rows import cut_episodes, mean_over_episodes
from jaxrl.training import Evaluation

MOST_EPISODES = 10_000_000


@dataclasses.dataclass(frozen=True)
class EvaluateArguments:
    """The arguments of `evaluate`."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Folder of the run."""
    episodes: int = 100
    """Episodes of each agent."""
    seed: int = 0
    """Of the episodes."""
    sample: bool = False
    """Play with the policies that explore, as in training."""
    checkpoint: Literal["newest", "best"] = "newest"
    """best: as each agent was at its best evaluation, in a run with --keep-best."""
    json: bool = False
    """Print nothing but JSON: the agents, returns per agent and episode, mean, its 95 % interval,
    how many episodes were cut (the returns of those are null), the steps of the checkpoint, and why
    newer ones were left out. Where agents differ in their
    settings, each group that shares them has its mean and interval."""


def run(arguments: list[str]) -> int:
    """Plays whole episodes with the non-exploring policy of every member of a run."""
    values, parameters = read_played_run(
        arguments,
        EvaluateArguments,
        command="evaluate",
        description="Play whole episodes with the policies of a run, which do not explore unless "
        "--sample is given. The interval of the mean is Student's over agents, or over episodes "
        "where there is one agent.",
    )
    check_range("episodes", values.episodes, minimum=1, maximum=MOST_EPISODES)
    check_range("seed", values.seed, minimum=0, maximum=LARGEST_SEED)
    import_modules_of(values.run)
    runs.enable_compilation_cache()
    with checking_input():
        loaded = runs.load(values.run, checkpoint=values.checkpoint)
        if parameters:
            loaded = loaded.in_environment(parameters)
        if loaded.algorithm.environment.max_episode_steps is None:
            raise ValueError(
                f"{loaded.algorithm.environment.name} has no time limit, so an episode might "
                "never end"
            )
        if values.sample and loaded.algorithm.behavior is None:
            raise ValueError(f"{loaded.specification.algorithm} has no policy that explores")
    evaluation = runs.evaluate_run(
        loaded, num_episodes=values.episodes, seed=values.seed, explores=values.sample
    )
    returns = np.asarray(evaluation.returns, dtype=float)
    if values.json:
        answer = _plain(returns, evaluation.lengths, loaded.specification)
        answer |= {f"episode_{name}": mean for name, mean in _reported(evaluation).items()}
        answer |= {"checkpoint": loaded.steps, "left_out": list(loaded.left_out)}
        if parameters:
            answer["environment_parameters"] = parameters
        sys.stdout.write(json.dumps(answer, allow_nan=False) + "\n")
        return 0
    specification = loaded.specification
    title = f"evaluation of {specification.algorithm} on {specification.environment}"
    if parameters:
        title += " with " + ", ".join(f"{name}={value}" for name, value in parameters.items())
    if loaded.left_out:
        title += f", after {loaded.steps:,} steps: newer checkpoints cannot be used"
    console = Console()
    console.print(returns_table(returns, evaluation.lengths, specification, title=title))
    cut = cut_short(returns, evaluation.lengths, loaded.algorithm.environment.max_episode_steps)
    if cut is not None:
        console.print(cut, markup=False, highlight=False, soft_wrap=True)
    for name, mean in _reported(evaluation).items():
        shown = "none" if mean is None else f"{mean:.4g}"
        sys.stdout.write(f"{name}: {shown}, the mean over all episodes\n")
    return 0


def _reported(evaluation: Evaluation) -> dict[str, float | None]:
    """The mean of each metric of the environment's own, over the episodes that were not cut."""
    cut = cut_episodes(evaluation.returns, evaluation.lengths)
    means = {
        name: float(mean_over_episodes(np.ravel(values), np.ravel(cut)))
        for name, values in evaluation.reported.items()
    }
    return {name: mean if math.isfinite(mean) else None for name, mean in means.items()}


def _plain(returns: np.ndarray, lengths: Any, specification: runs.Specification) -> dict[str, Any]:
    """The answer as JSON, in which null stands for what is not finite."""

    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    groups = runs.groups_of(specification)
    answers = [
        {
            "settings": group.label,
            "members": list(group.members),
            "mean": number(mean),
            "ci95": [number(low), number(high)],
        }
        for group, (mean, low, high) in zip(
            groups, group_intervals(returns, lengths, groups), strict=True
        )
    ]
    answer: dict[str, Any] = {
        "members": identities_of(specification),
        "returns": [[number(value) for value in member] for member in returns.tolist()],
    }
    if len(groups) == 1:
        answer |= {"mean": answers[0]["mean"], "ci95": answers[0]["ci95"]}
    else:
        answer["groups"] = answers
    return answer | {"cut": int(cut_episodes(returns, lengths).sum())}

"""The end of `train` and `resume`: the table, the curve, what to do next."""

from pathlib import Path
from typing import Any

from rich.console import Console

from jaxrl import environments, reports, runs
from jaxrl.cli.report import cut_short, returns_table
from jaxrl.runs.folder import EVALUATIONS


def finish(outcome: runs.Outcome) -> int:
    """Prints the result of a run and draws its learning curve; returns the exit code."""
    if not outcome.finished:
        return outcome.exit_code
    console = Console(soft_wrap=True)
    specification = runs.read_specification(outcome.folder)
    if specification.evaluation_episodes > 0:
        try:
            _show_evaluation(console, outcome.folder, specification)
        except runs.ExperimentError as error:
            # What was trained is there all the same.
            console.print(f"no evaluation: {error}", markup=False, highlight=False)
    console.print(f"run folder: {outcome.folder}", markup=False, highlight=False)
    curve = outcome.folder / "learning_curve.png"
    try:
        reports.plot_runs([outcome.folder], curve)
    except ValueError as error:
        # A run may be too short to have finished an episode.
        console.print(f"no learning curve: {error}", markup=False, highlight=False)
    else:
        console.print(f"learning curve: {curve}", markup=False, highlight=False)
    return outcome.exit_code


def _show_evaluation(console: Console, folder: Path, specification: runs.Specification) -> None:
    """Prints the last evaluation of every member.

    Raises:
        ExperimentError: the file that it is in is damaged.
    """
    rows = runs.read_evaluations(folder)
    if rows.returns.shape[0] != len(specification.members) or not rows.returns.shape[1]:
        raise runs.ExperimentError(f"{folder / EVALUATIONS} has not the rows of every agent")
    returns, lengths = rows.returns[:, -1], rows.lengths[:, -1]
    title = f"final evaluation of {specification.algorithm} on {specification.environment}"
    console.print(returns_table(returns, lengths, specification, title=title))
    cut = cut_short(returns, lengths, _limit(specification))
    if cut is not None:
        console.print(cut, markup=False, highlight=False)


def _limit(specification: runs.Specification) -> Any:
    """The environment's `max_episode_steps`."""
    environment = environments.make_env(
        specification.environment, **specification.environment_parameters
    )
    return environment.max_episode_steps

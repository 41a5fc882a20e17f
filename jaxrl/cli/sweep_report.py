"""The table of a sweep for people: the best trials with the interval of each mean."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jaxrl import sweeps
from jaxrl.cli.report import return_interval

_MOST_SHOWN = 10


def finish_sweep(outcome: sweeps.SweepOutcome, processes: sweeps.Processes | None = None) -> int:
    """Prints the result of a sweep, and what to type next; returns the exit code.

    Args:
        outcome: of the sweep.
        processes: that shared it, of which one prints the table; None: there was one.
    """
    console = make_console()
    folder = outcome.folder
    if not outcome.finished:
        # Progress goes to standard error, and so does what belongs to it.
        Console(stderr=True, soft_wrap=True, markup=False, highlight=False).print(
            f"saved; go on with: jaxrl resume {folder}"
        )
        return outcome.exit_code
    if processes is not None and not processes.is_first:
        return outcome.exit_code
    show_trials(console, folder, most=_MOST_SHOWN)
    for reason in outcome.failed:
        console.print(f"failed: {reason}", markup=False, highlight=False)
    console.print(
        f"{outcome.compile_seconds:.1f} s of compiling, {outcome.run_seconds:.1f} s of training\n"
        f"all trials: jaxrl show {folder} --top {len(sweeps.read_sweep(folder).trials)}\n"
        f"settings of the best: jaxrl best {folder}",
        markup=False,
        highlight=False,
    )
    return outcome.exit_code


def make_console() -> Console:
    """A console for tables: as wide as the terminal, and wide enough for all columns in a file."""
    console = Console(soft_wrap=True)
    return console if console.is_terminal else Console(soft_wrap=True, width=160)


def show_trials(console: Console, folder: Path, *, most: int) -> None:
    """Prints the table of trials, the best first, and the validated return.

    Args:
        console: where to.
        folder: of the sweep.
        most: how many trials.

    Raises:
        ExperimentError: the folder holds no sweep, or one that is damaged.
    """
    sweep = sweeps.read_sweep(folder)
    rows = sweeps.sorted_rows(sweeps.trial_rows(sweep, folder))
    title = f"{sweep.base.algorithm} on {sweep.base.environment}: {_counts(rows)}"
    table = Table(title=title, title_justify="left")
    for column in ("trial", *sweep.space, "mean return", "95 % CI", "seeds", "steps", "status"):
        side = "left" if column == "status" else "right"
        table.add_column(column, justify=side, no_wrap=True)
    for row in rows[:most]:
        mean, low, high = _interval(row["returns"])
        table.add_row(
            str(row["trial"]),
            *(_to_word(value) for value in row["values"].values()),
            f"{mean:.2f}" if mean == mean else "",
            f"{low:.2f} to {high:.2f}" if low == low else "",
            str(len(row["returns"])),
            f"{row['steps']:,}",
            row["status"],
        )
    console.print(table)
    validation = sweeps.read_block(folder, sweeps.VALIDATION)
    if validation is not None:
        mean, low, high = _interval(list(validation.returns[0]))
        console.print(
            f"trial {validation.trials[0]}, trained again with {len(validation.returns[0])} fresh "
            f"seeds: {mean:.2f} (95 % CI {low:.2f} to {high:.2f}), the return to believe",
            markup=False,
            highlight=False,
        )
    elif rows[0]["mean"] is not None:
        console.print(
            "the best of many is best by luck as well: --validate 10 trains it on fresh seeds",
            markup=False,
            highlight=False,
        )


def _interval(returns: list[float | None]) -> tuple[float, float, float]:
    if not returns or None in returns:
        return float("nan"), float("nan"), float("nan")
    return return_interval([[value] for value in returns])


def _counts(rows: list[dict[str, Any]]) -> str:
    names = ("complete", "stopped", "diverged", "failed", "waiting")
    counts = {name: sum(row["status"] == name for row in rows) for name in names}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def _to_word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)

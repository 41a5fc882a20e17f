"""`jaxrl render RUN --out episode.gif`."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxrl import runs
from jaxrl.cli.errors import check_range, checking_input
from jaxrl.cli.other_parameters import read_played_run
from jaxrl.cli.user_modules import import_modules_of
from jaxrl.reports import rendering
from jaxrl.runs.members import LARGEST_SEED

MOST_STEPS = 1_000_000


@dataclasses.dataclass(frozen=True)
class RenderArguments:
    """The arguments of `render`."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Folder of the run."""
    out: Path = Path("episode.gif")
    """The picture."""
    seed_index: int = 0
    """Which of the run's agents plays, counted from 0."""
    checkpoint: Literal["newest", "best"] = "newest"
    """best: as it was at its best evaluation, in a run with --keep-best."""
    seed: int = 0
    """Of the episode."""
    max_steps: int = 1000
    """Where to cut off a longer episode."""


def run(arguments: list[str]) -> int:
    """Writes one episode of a run's policy as an animated GIF."""
    values, parameters = read_played_run(
        arguments,
        RenderArguments,
        command="render",
        description="Write one episode of a run's non-exploring policy as an animated GIF.",
    )
    check_range("seed", values.seed, minimum=0, maximum=LARGEST_SEED)
    check_range("max_steps", values.max_steps, minimum=1, maximum=MOST_STEPS)
    import_modules_of(values.run)
    runs.enable_compilation_cache()
    with checking_input():
        episode = rendering.render_run(
            values.run,
            values.out,
            seed_index=values.seed_index,
            checkpoint=values.checkpoint,
            seed=values.seed,
            max_steps=values.max_steps,
            environment_parameters=parameters,
        )
    end = "" if episode.ended else ", cut off there"
    sys.stdout.write(
        f"{values.out}: {len(episode.rewards)} steps{end}, return {episode.rewards.sum():.5g}\n"
    )
    return 0

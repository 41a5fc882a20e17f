"""Animated GIFs of episodes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from jaxrl import runs
from jaxrl.reports.rendering.canvas import caption
from jaxrl.reports.rendering.charts import Chart
from jaxrl.reports.rendering.classic_control import DRAWINGS
from jaxrl.reports.rendering.episode import Episode, record_episode
from jaxrl.reports.rendering.grids import draw_grid, is_grid

MOST_FRAMES = 300
FRAME_MILLISECONDS = 40
LAST_FRAME_MILLISECONDS = 1000


def render_run(
    folder: str | Path,
    out: str | Path,
    *,
    seed_index: int = 0,
    checkpoint: str = "newest",
    seed: int = 0,
    max_steps: int = 1000,
    environment_parameters: Mapping[str, Any] | None = None,
) -> Episode:
    """Plays one episode with the policy of a run and writes it as an animated GIF.

    Args:
        folder: of the run.
        out: the GIF.
        seed_index: which of the run's members plays.
        checkpoint: "newest" or "best", as for `runs.load`.
        seed: of the episode.
        max_steps: where to cut off a longer episode.
        environment_parameters: in the place of the run's, as for `Run.in_environment`.

    Returns:
        The episode.

    Raises:
        ValueError: a setting is out of range, the policy cannot be played with these parameters,
            or `out` is not a .gif that can be written.
    """
    _check_path(Path(out))
    run = runs.load(folder, checkpoint=checkpoint)
    if environment_parameters:
        run = run.in_environment(environment_parameters)
    count = len(run.specification.members)
    if not 0 <= seed_index < count:
        raise ValueError(f"seed_index={seed_index} is not one of the run's 0 to {count - 1}")
    algorithm = run.algorithm_of(seed_index)
    episode = record_episode(
        jax.random.key(seed),
        algorithm.environment,
        algorithm.policy(run.state_of(seed_index)),
        max_steps=max_steps,
    )
    render_episode(episode, out, parameters=run.specification.environment_parameters_of(seed_index))
    return episode


def render_episode(
    episode: Episode, out: str | Path, *, parameters: Mapping[str, Any] | None = None
) -> Path:
    """Writes an episode as an animated GIF.

    The classic control tasks are drawn; observations that are pictures are shown as they are; for
    everything else the observation, action and reward are charted over time.

    Args:
        episode: as `record_episode` gives it.
        out: the GIF.
        parameters: of the environment, where they are not the usual ones.

    Returns:
        The path of the GIF.

    Raises:
        ValueError: `out` is not a .gif that can be written.
    """
    out = Path(out)
    _check_path(out)
    length = len(episode.rewards)
    draw = _drawing(episode, parameters or {})
    stride = max(1, -(-length // MOST_FRAMES))
    steps = [*range(0, length, stride), length]
    returns = np.concatenate([[0.0], np.cumsum(episode.rewards)])
    frames = [
        caption(draw(step), f"{episode.name}   step {step}   return {returns[step]:.5g}")
        for step in steps
    ]
    palette_frames = [
        frame.quantize(64, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        for frame in frames
    ]
    durations = [FRAME_MILLISECONDS] * (len(frames) - 1) + [LAST_FRAME_MILLISECONDS]
    try:
        palette_frames[0].save(
            out, save_all=True, append_images=palette_frames[1:], duration=durations, loop=0
        )
    except OSError as error:
        raise ValueError(f"cannot write {out}: {error.strerror or error}") from None
    return out


def _drawing(episode: Episode, parameters: Mapping[str, Any]) -> Callable[[int], Image.Image]:
    """Function from the number of a step to its picture."""
    observations = episode.observations
    if isinstance(observations, np.ndarray):
        drawing = DRAWINGS.get(episode.name)
        if drawing is not None and observations.shape[1:] == drawing.observation_shape:

            def draw(step: int) -> Image.Image:
                ended = step == len(episode.actions)
                action = None if ended else np.asarray(episode.actions[step])
                return drawing.draw(observations[step], action, parameters)

            return draw
        if is_grid(observations.shape[1:]):
            return lambda step: draw_grid(observations[step])
    return Chart(episode).frame


def _check_path(out: Path) -> None:
    if out.suffix.lower() != ".gif":
        raise ValueError(f"{out} does not end in .gif: try {out.with_suffix('.gif')}")
    if out.is_dir():
        raise ValueError(f"cannot write {out}: it is a folder")
    if not out.parent.is_dir():
        raise ValueError(f"cannot write {out}: the folder {out.parent} does not exist")

"""The fallback for any task: observation, action and reward over time."""

import io
from typing import Any

import jax
import numpy as np
from PIL import Image, ImageDraw

from jaxrl.reports.rendering.canvas import INK
from jaxrl.reports.rendering.episode import Episode

MOST_LINES = 16
# What the numbers of an observation are, where a task has few and each means something else.
NAMES = {
    "finance/liquidation": ("remaining", "time left", "price", "volatility", "volume"),
    "finance/market-making": ("inventory", "time left", "price"),
    "finance/market-making-adversary": ("inventory", "time left", "price"),
}


class Chart:
    """Three panels over the steps of an episode, uncovered as time goes on."""

    def __init__(self, episode: Episode) -> None:
        import matplotlib
        from matplotlib.figure import Figure

        observations = _columns(episode.observations)
        actions = _columns(episode.actions)
        style: Any = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
        with matplotlib.rc_context(style):
            figure = Figure(figsize=(6.4, 4.8), dpi=75, layout="constrained")
            panels = figure.subplots(3, 1, sharex=True)
            self._plot(panels[0], observations, "observation")
            names = NAMES.get(episode.name, ())
            if len(names) == observations.shape[1]:
                panels[0].legend(panels[0].lines, names, fontsize=7, ncols=len(names))
            self._plot(panels[1], actions, "action", step=True)
            self._plot(panels[2], episode.rewards[:, None], "reward", step=True)
            panels[2].set_xlabel("step")
            panels[2].set_xlim(0, max(len(episode.rewards), 1))
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png")
        self._image = Image.open(buffer).convert("RGB")
        left, right = panels[2].transData.transform([(0, 0), (1, 0)])[:, 0]
        self._left, self._per_step = left, right - left
        boxes = [panel.get_window_extent() for panel in panels]
        self._top = self._image.height - max(box.y1 for box in boxes)
        self._bottom = self._image.height - min(box.y0 for box in boxes)
        self._right = max(box.x1 for box in boxes)

    def frame(self, step: int) -> Image.Image:
        """The chart up to a step; what is still to come is pale."""
        image = self._image.copy()
        cursor = round(self._left + self._per_step * step)
        box = (cursor, round(self._top), max(cursor, round(self._right)) + 1, round(self._bottom))
        future = image.crop(box)
        image.paste(Image.blend(future, Image.new("RGB", future.size, "white"), 0.8), box)
        ImageDraw.Draw(image).line([(cursor, box[1]), (cursor, box[3])], fill=INK)
        return image

    @staticmethod
    def _plot(axes: Any, columns: np.ndarray, label: str, *, step: bool = False) -> None:
        # A step lasts until the next one, the last one too.
        points = np.concatenate([columns, columns[-1:]]) if step else columns
        axes.plot(points, linewidth=1.1, drawstyle="steps-post" if step else "default")
        axes.set_ylabel(label)
        axes.grid(color="#E6E6E6", linewidth=0.6)


def _columns(tree: Any) -> np.ndarray:
    """Every number of a tree [T, ...] as a column, [T, at most MOST_LINES]."""
    leaves = [np.reshape(leaf, (len(leaf), -1)) for leaf in jax.tree.leaves(tree)]
    return np.concatenate(leaves, axis=1).astype(float)[:, :MOST_LINES]

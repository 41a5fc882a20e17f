"""A small drawing surface in the units of the task, smoothed by drawing large and scaling down."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SMOOTHING = 3

BACKGROUND = "#FFFFFF"
INK = "#2B2B2B"
MUTED = "#B8B8B8"
BLUE = "#0072B2"
ORANGE = "#D55E00"
GREEN = "#009E73"


class Canvas:
    """Draws shapes given in the task's coordinates, y upwards.

    Args:
        size: width and height in pixels.
        x_range: what lies at the left and right edges.
        y_bottom: what lies at the lower edge; the scale is the same on both axes.
    """

    def __init__(
        self, size: tuple[int, int], *, x_range: tuple[float, float], y_bottom: float
    ) -> None:
        self.size = size
        self._scale = size[0] * SMOOTHING / (x_range[1] - x_range[0])
        self._left = x_range[0]
        self._bottom = y_bottom
        self._image = Image.new("RGB", (size[0] * SMOOTHING, size[1] * SMOOTHING), BACKGROUND)
        self._draw = ImageDraw.Draw(self._image)

    def line(self, points: Sequence[Any], colour: str, *, width: float = 2.0) -> None:
        """A line through points, `width` pixels wide, with round joints."""
        pixels = [self._pixel(point) for point in points]
        self._draw.line(pixels, fill=colour, width=round(width * SMOOTHING), joint="curve")

    def polygon(self, points: Sequence[Any], colour: str) -> None:
        """A filled polygon."""
        self._draw.polygon([self._pixel(point) for point in points], fill=colour)

    def disc(self, centre: Any, radius: float, colour: str) -> None:
        """A filled circle; the radius is in the task's units."""
        x, y = self._pixel(centre)
        r = radius * self._scale
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def rod(self, start: Any, end: Any, width: float, colour: str) -> None:
        """A thick line with round ends; the width is in the task's units."""
        self.line([start, end], colour, width=width * self._scale / SMOOTHING)
        self.disc(start, width / 2, colour)
        self.disc(end, width / 2, colour)

    def arrow(self, start: Any, end: Any, colour: str) -> None:
        """A horizontal or slanted arrow; nothing where it would have no length."""
        (x0, y0), (x1, y1) = start, end
        length = float(np.hypot(x1 - x0, y1 - y0))
        if length * self._scale < 2 * SMOOTHING:
            return
        along = np.array([x1 - x0, y1 - y0]) / length
        across = np.array([-along[1], along[0]])
        head = 7 * SMOOTHING / self._scale
        tip = np.array(end)
        self.line([start, tuple(tip - along * head * 0.5)], colour, width=3)
        self.polygon(
            [tip, tip - along * head + across * head / 2, tip - along * head - across * head / 2],
            colour,
        )

    def image(self) -> Image.Image:
        """The picture at its final size."""
        return self._image.reduce(SMOOTHING)

    def _pixel(self, point: Any) -> tuple[float, float]:
        x = (float(point[0]) - self._left) * self._scale
        y = self.size[1] * SMOOTHING - (float(point[1]) - self._bottom) * self._scale
        return x, y


def caption(picture: Image.Image, text: str) -> Image.Image:
    """The picture with a line of text above it."""
    height = 26
    whole = Image.new("RGB", (picture.width, picture.height + height), BACKGROUND)
    whole.paste(picture, (0, height))
    ImageDraw.Draw(whole).text((10, 6), text, fill=INK, font=ImageFont.load_default(size=14))
    return whole

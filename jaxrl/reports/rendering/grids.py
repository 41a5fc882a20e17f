"""Observations that are pictures already: [H, W] or [H, W, channels]."""

import colorsys

import numpy as np
from PIL import Image

LARGEST_SIDE = 360
MOST_CHANNELS = 32


def is_grid(shape: tuple[int, ...]) -> bool:
    """Whether observations of this shape are pictures that are worth looking at."""
    if len(shape) == 3 and shape[2] > MOST_CHANNELS:
        return False
    return len(shape) in (2, 3) and min(shape[:2]) > 1


def draw_grid(observation: np.ndarray) -> Image.Image:
    """Draws each channel in a colour of its own; a cell takes its strongest channel's."""
    cells = np.asarray(observation, dtype=float)
    cells = cells[..., None] if cells.ndim == 2 else cells
    if observation.dtype == np.uint8:
        cells = cells / 255
    # Anything beyond [0, 1], such as a counter in a channel, is shown at full strength.
    cells = np.clip(cells, 0, 1)
    if cells.shape[2] == 3 and observation.dtype == np.uint8:
        pixels = cells
    else:
        colours = _colours(cells.shape[2])
        strongest = cells.argmax(axis=2)
        strength = np.take_along_axis(cells, strongest[..., None], axis=2)
        pixels = strength * colours[strongest]
    picture = Image.fromarray(np.round(pixels * 255).astype(np.uint8))
    scale = max(1, LARGEST_SIDE // max(picture.size))
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def _colours(count: int) -> np.ndarray:
    """Evenly spaced hues on black, [count, 3]."""
    hues = [colorsys.hsv_to_rgb((0.55 + index / count) % 1, 0.65, 1.0) for index in range(count)]
    return np.asarray(hues)

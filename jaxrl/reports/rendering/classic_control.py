"""Drawings of the classic control tasks, from what the agent observes."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from jaxrl.reports.rendering.canvas import BLUE, GREEN, INK, MUTED, ORANGE, Canvas

SIZE = (480, 300)
SQUARE = (360, 360)


class Drawing(NamedTuple):
    """Drawing of one task.

    Attributes:
        observation_shape: of the observations that it understands.
        draw: (observation, action or None, environment parameters) -> a picture.
    """

    observation_shape: tuple[int, ...]
    draw: Callable[[np.ndarray, np.ndarray | None, Mapping[str, Any]], Image.Image]


def draw_cart_pole(
    observation: np.ndarray, action: np.ndarray | None, parameters: Mapping[str, Any]
) -> Image.Image:
    """Draws a cart on a track and its pole; the arrow is the push."""
    x, _, angle, _ = observation
    limit = float(parameters.get("x_threshold", 2.4))
    pole = 2 * float(parameters.get("length", 0.5))
    canvas = Canvas(SIZE, x_range=(-1.25 * limit, 1.25 * limit), y_bottom=-0.28 * limit)
    canvas.line([(-1.25 * limit, 0), (1.25 * limit, 0)], MUTED)
    for end in (-limit, limit):
        canvas.line([(end, -0.06), (end, 0.06)], MUTED, width=3)
    if action is not None:
        push = 0.35 if int(action) == 1 else -0.35
        canvas.arrow((x + push, 0.15), (x + 2 * push, 0.15), GREEN)
    canvas.polygon([(x - 0.25, 0), (x + 0.25, 0), (x + 0.25, 0.3), (x - 0.25, 0.3)], INK)
    tip = (x + pole * np.sin(angle), 0.3 + pole * np.cos(angle))
    canvas.rod((x, 0.3), tip, 0.09, ORANGE)
    canvas.disc((x, 0.3), 0.05, MUTED)
    return canvas.image()


def draw_pendulum(
    observation: np.ndarray, action: np.ndarray | None, parameters: Mapping[str, Any]
) -> Image.Image:
    """Draws a rod on a pivot, upright at the top; the arc is the torque."""
    cosine, sine, _ = observation
    canvas = Canvas(SQUARE, x_range=(-1.4, 1.4), y_bottom=-1.4)
    # Positive angles turn anticlockwise from upright.
    tip = (-float(sine), float(cosine))
    canvas.line([(0, 1.12), (0, 1.28)], MUTED)
    canvas.rod((0, 0), tip, 0.16, ORANGE)
    canvas.disc((0, 0), 0.05, INK)
    if action is not None:
        bound = float(parameters.get("max_torque", 2.0))
        torque = float(np.clip(np.ravel(action)[0], -bound, bound)) / bound
        turns = np.linspace(0, torque * 0.75 * np.pi, 24)
        arc = [(-0.3 * np.sin(turn), 0.3 * np.cos(turn)) for turn in turns]
        canvas.line(arc, GREEN, width=3)
        canvas.arrow(arc[-4], arc[-1], GREEN)
    return canvas.image()


def draw_acrobot(
    observation: np.ndarray, action: np.ndarray | None, parameters: Mapping[str, Any]
) -> Image.Image:
    """Draws two links hanging from a pivot, and the height that the tip must reach."""
    del action
    first = float(parameters.get("link_length_1", 1.0))
    second = float(parameters.get("link_length_2", 1.0))
    reach = 1.1 * (first + second)
    canvas = Canvas(SQUARE, x_range=(-reach, reach), y_bottom=-reach)
    canvas.line([(-reach, 1), (reach, 1)], GREEN)
    angle_1 = np.arctan2(observation[1], observation[0])
    angle_2 = angle_1 + np.arctan2(observation[3], observation[2])
    elbow = np.array([first * np.sin(angle_1), -first * np.cos(angle_1)])
    tip = elbow + np.array([second * np.sin(angle_2), -second * np.cos(angle_2)])
    canvas.rod((0, 0), elbow, 0.16, BLUE)
    canvas.rod(elbow, tip, 0.16, ORANGE)
    canvas.disc((0, 0), 0.05, INK)
    canvas.disc(elbow, 0.05, INK)
    return canvas.image()


def draw_mountain_car(
    observation: np.ndarray, action: np.ndarray | None, parameters: Mapping[str, Any]
) -> Image.Image:
    """Draws a car in a valley, and the flag that it must reach."""
    del action
    position = float(observation[0])
    low = float(parameters.get("min_position", -1.2))
    high = float(parameters.get("max_position", 0.6))
    goal = float(parameters.get("goal_position", 0.5))

    def hill(x: Any) -> Any:
        return 0.45 * np.sin(3 * x) + 0.55

    canvas = Canvas(SIZE, x_range=(low, high), y_bottom=0.0)
    ground = np.linspace(low, high, 160)
    outline = [(x, hill(x)) for x in ground]
    canvas.polygon([(low, 0), *outline, (high, 0)], "#EDEDED")
    canvas.line(outline, MUTED)
    canvas.line([(goal, hill(goal)), (goal, hill(goal) + 0.11)], INK)
    top = hill(goal) + 0.11
    canvas.polygon([(goal, top), (goal - 0.07, top - 0.025), (goal, top - 0.05)], GREEN)
    slope = np.arctan(1.35 * np.cos(3 * position))
    along = np.array([np.cos(slope), np.sin(slope)])
    up = np.array([-along[1], along[0]])
    centre = np.array([position, hill(position)]) + 0.02 * up
    body = [
        (-0.05, 0.01),
        (0.05, 0.01),
        (0.05, 0.04),
        (0.025, 0.065),
        (-0.03, 0.065),
        (-0.05, 0.04),
    ]
    canvas.polygon([centre + a * along + b * up for a, b in body], ORANGE)
    for wheel in (-0.03, 0.03):
        canvas.disc(centre + wheel * along, 0.018, INK)
    return canvas.image()


DRAWINGS: dict[str, Drawing] = {
    "CartPole-v1": Drawing((4,), draw_cart_pole),
    "Pendulum-v1": Drawing((3,), draw_pendulum),
    "Acrobot-v1": Drawing((6,), draw_acrobot),
    "MountainCar-v0": Drawing((2,), draw_mountain_car),
    "MountainCarContinuous-v0": Drawing((2,), draw_mountain_car),
}

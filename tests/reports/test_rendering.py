"""Episodes as pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxrl import make_env
from jaxrl.reports.rendering import Episode, animation, record_episode, render_episode
from jaxrl.reports.rendering.canvas import ORANGE, Canvas
from jaxrl.reports.rendering.charts import NAMES, Chart
from jaxrl.reports.rendering.classic_control import DRAWINGS, draw_cart_pole, draw_pendulum
from jaxrl.reports.rendering.grids import draw_grid, is_grid
from jaxrl.types import Box, Environment, Policy, TimeStep

TRIANGLE = (213, 94, 0)


def constant_policy(action):
    return Policy(start=lambda key: (), act=lambda key, carry, observation: (carry, action))


def counting_environment(length):
    """Observes the step; the reward is the action; ends after `length` steps, or never."""

    def reset(key):
        del key
        return jnp.int32(0), jnp.zeros(1)

    def step(key, state, action):
        del key
        ended = state + 1 == length
        successor = (state + 1.0)[None]
        info = {"task_reward": 2 * action[0]}
        return state + 1, TimeStep(successor, action[0], ended, jnp.array(False), info)

    space = Box(-1.0, 1.0, (1,))
    return Environment("counting", space, space, reset, step, None)


def orange_centre(picture):
    """The mean position of the orange pixels, (x, y), y downwards."""
    pixels = np.asarray(picture.convert("RGB"))
    rows, columns = np.nonzero((pixels == TRIANGLE).all(axis=2))
    return columns.mean(), rows.mean()


def frames(path):
    with Image.open(path) as film:
        return film.n_frames


@pytest.mark.parametrize("length", [1, 3, 127, 128, 129])
def test_an_episode_is_recorded_to_its_end(length):
    policy = constant_policy(jnp.array([5.0]))
    episode = record_episode(jax.random.key(0), counting_environment(length), policy)
    assert episode.ended
    np.testing.assert_array_equal(episode.observations[:, 0], np.arange(length + 1))
    # The task's own reward, of the action that was clipped at the environment's door.
    np.testing.assert_array_equal(episode.rewards, np.full(length, 2.0))
    assert episode.actions.shape == (length, 1)


@pytest.mark.parametrize("max_steps", [1, 128, 200])
def test_a_long_episode_is_cut_off(max_steps):
    policy = constant_policy(jnp.array([1.0]))
    episode = record_episode(
        jax.random.key(0), counting_environment(10**6), policy, max_steps=max_steps
    )
    assert not episode.ended
    assert len(episode.rewards) == max_steps
    assert episode.observations[-1, 0] == max_steps


def test_the_cart_and_the_pole_are_where_they_are_observed():
    def centre(x, angle):
        return orange_centre(draw_cart_pole(np.array([x, 0, angle, 0]), np.array(1), {}))

    assert centre(1.0, 0.0)[0] > centre(-1.0, 0.0)[0] + 100
    assert centre(0.0, 0.5)[0] > centre(0.0, -0.5)[0] + 20
    longer = draw_cart_pole(np.array([0.0, 0, 0, 0]), None, {"length": 1.0})
    assert orange_centre(longer)[1] < centre(0.0, 0.0)[1] - 10


def test_the_pendulum_is_upright_at_angle_zero_and_turns_anticlockwise():
    def centre(angle):
        return orange_centre(draw_pendulum(np.array([np.cos(angle), np.sin(angle), 0]), None, {}))

    middle = centre(0.0)[0]
    assert centre(0.0)[1] < 150
    assert centre(np.pi)[1] > 200
    assert centre(np.pi / 2)[0] < middle - 40


@pytest.mark.parametrize("name", list(DRAWINGS))
def test_every_drawing_understands_its_environment(name):
    environment = make_env(name)
    drawing = DRAWINGS[name]
    assert environment.observation_space.shape == drawing.observation_shape
    key = jax.random.key(0)
    _, observation = environment.reset(key)
    action = np.asarray(environment.action_space.sample(key))
    first = drawing.draw(np.asarray(observation), action, {})
    last = drawing.draw(np.asarray(observation), None, {})
    assert first.size == last.size
    assert len(first.getcolors(100_000)) > 3


def test_channels_become_colours():
    cells = np.zeros((4, 6, 3), bool)
    cells[0, 0, 0] = cells[0, 1, 1] = cells[3, 5, 2] = True
    picture = draw_grid(cells)
    assert picture.size == (360, 240)
    corners = [picture.getpixel(at) for at in ((5, 5), (65, 5), (355, 235), (5, 235))]
    assert len(set(corners)) == 4
    assert corners[-1] == (0, 0, 0)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((10, 10, 4), True), ((10, 5), True), ((4,), False), ((1, 1), False), ((5, 5, 64), False)],
)
def test_what_counts_as_a_picture(shape, expected):
    assert is_grid(shape) is expected


def test_a_picture_in_bytes_keeps_its_colours():
    observation = np.zeros((2, 2, 3), np.uint8)
    observation[0, 0] = (10, 200, 30)
    assert draw_grid(observation).getpixel((5, 5)) == (10, 200, 30)


def test_the_chart_uncovers_time():
    episode = Episode(
        "any", np.linspace(0, 1, 11)[:, None], np.arange(10), np.arange(10.0), ended=True
    )
    chart = Chart(episode)
    first, last = (np.asarray(chart.frame(step), float).mean() for step in (0, 10))
    # What is still to come is pale.
    assert first > last


def test_the_chart_shows_the_last_step():
    episode = Episode("any", np.zeros((3, 1)), np.zeros(2), np.array([1.0, 0.0]), ended=True)
    image = np.asarray(Chart(episode).frame(2), int)
    # The reward's panel, right of where its last step begins.
    part = image[image.shape[0] * 2 // 3 :, image.shape[1] * 3 // 4 :]
    blue = part[..., 2] - part[..., 0] > 60
    assert blue.any(axis=0).sum() > 20


@pytest.mark.parametrize("name", NAMES)
def test_names_of_observed_numbers_fit_the_task(name):
    environment = make_env(name)
    assert environment.observation_space.shape == (len(NAMES[name]),)
    still = constant_policy(jnp.zeros(environment.action_space.shape))
    episode = record_episode(jax.random.key(0), environment, still, max_steps=3)
    anonymous = Chart(episode._replace(name="any")).frame(3)
    assert np.any(np.asarray(Chart(episode).frame(3)) != np.asarray(anonymous))


def trees(length):
    return {"a": np.zeros((length + 1, 2)), "b": np.arange(length + 1)}


@pytest.mark.parametrize(
    ("name", "observations"),
    [
        ("CartPole-v1", np.zeros((6, 4))),
        # A wrapper changed what is observed: the drawing would be wrong.
        ("CartPole-v1", np.zeros((6, 5))),
        ("Breakout-MinAtar", np.zeros((6, 10, 10, 4), bool)),
        ("FrozenLake-misc", np.arange(6)),
        ("tree", trees(5)),
    ],
)
def test_every_kind_of_episode_becomes_a_film(name, observations, tmp_path):
    episode = Episode(name, observations, np.zeros(5, int), np.arange(5.0), ended=True)
    out = render_episode(episode, tmp_path / "film.gif")
    with Image.open(out) as film:
        assert film.format == "GIF"
        assert film.size[0] >= 300


def test_a_long_episode_is_thinned_out_and_its_end_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(animation, "MOST_FRAMES", 10)
    observations = np.linspace([-2.0, 0, 0, 0], [2.0, 0, 0, 0], 96)
    episode = Episode("CartPole-v1", observations, np.zeros(95, int), np.ones(95), ended=True)
    out = render_episode(episode, tmp_path / "film.gif")
    assert frames(out) <= 11
    with Image.open(out) as film:
        film.seek(film.n_frames - 1)
        x, _ = orange_centre(film)
    assert x > 395


def test_where_a_film_cannot_be_written(tmp_path):
    episode = Episode("any", np.zeros((2, 1)), np.zeros(1), np.zeros(1), ended=True)
    for name, message in [("film.mp4", "try .*film.gif"), ("nowhere/film.gif", "does not exist")]:
        with pytest.raises(ValueError, match=message):
            render_episode(episode, tmp_path / name)
    (tmp_path / "folder.gif").mkdir()
    with pytest.raises(ValueError, match="it is a folder"):
        render_episode(episode, tmp_path / "folder.gif")


def test_the_canvas_points_upwards():
    canvas = Canvas((100, 50), x_range=(0.0, 10.0), y_bottom=0.0)
    canvas.disc((9.0, 4.0), 0.5, ORANGE)
    x, y = orange_centre(canvas.image())
    assert (x, y) == (pytest.approx(90, abs=1), pytest.approx(10, abs=1))

"""Pictures of trading show the numbers that they are given."""

import re

import jax.numpy as jnp
import matplotlib.figure
import numpy as np
import pytest

from jaxrl.environments import finance
from jaxrl.reports import plot_frontier, plot_inventory, plot_policy_map


@pytest.fixture
def figures(monkeypatch):
    """The figures that are written, in the place of files."""
    written = []
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda figure, *_, **__: written.append(figure)
    )
    return written


def test_pictures_are_written(tmp_path):
    frontier = finance.efficient_frontier(finance.AlmgrenChriss(), jnp.array([0.0, 1e-6, 1e-5]))
    path = plot_frontier(frontier, {"TWAP": (662_500.0, 1.083e12)}, tmp_path / "frontier.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    path = plot_inventory({"one": [2.0, 1.0, 0.0]}, tmp_path / "inventory.svg", start=3.0)
    assert "<svg" in path.read_text(encoding="utf-8")


def test_frontier_is_mean_over_deviation(figures):
    frontier = [3.0, 1.0, 2.0], [1.0, 9.0, 4.0]
    plot_frontier(frontier, {"TWAP": (4.0, 16.0), "learned": ([5.0, 6.0], [25.0, 36.0])}, "x.png")
    (axes,) = figures[0].axes
    data = [line.get_xydata().tolist() for line in axes.lines]
    # In the order of the deviations, so that the line does not cross itself.
    assert data[0] == [[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]
    assert data[1:] == [[[4.0, 4.0]], [[5.0, 5.0], [6.0, 6.0]]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "optimal",
        "TWAP",
        "learned",
    ]


def test_inventory_is_a_median_with_a_band(figures):
    episodes = np.arange(101.0)[:, None] * np.array([1.0, 2.0])
    held = {"many": episodes, "one": [7.0, 0.0]}
    plot_inventory(held, "x.png", start=10.0, period=0.5)
    (axes,) = figures[0].axes
    data = [line.get_xydata().tolist() for line in axes.lines]
    assert data == [
        [[0.0, 10.0], [0.5, 50.0], [1.0, 100.0]],
        [[0.0, 10.0], [0.5, 7.0], [1.0, 0.0]],
    ]
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices
    assert [corners[corners[:, 0] == 1.0, 1].min(), corners[:, 1].max()] == [10.0, 190.0]


def test_map_has_inventories_upwards_and_one_scale(figures):
    actions = {
        "skew": lambda inventory, time: inventory * (1.0 - time),
        "limit": lambda inventory, time: jnp.where(inventory > 0, jnp.inf, 10.0 * time),
    }
    plot_policy_map(actions, "x.png", inventories=[-1.0, 0.0, 1.0], times=[0.0, 0.5])
    meshes = [axes.collections[0] for axes in figures[0].axes[:2]]
    np.testing.assert_allclose(meshes[0].get_array(), [[-1.0, -0.5], [0.0, 0.0], [1.0, 0.5]])
    assert meshes[1].get_array().mask.tolist() == [[False, False], [False, False], [True, True]]
    assert [mesh.get_clim() for mesh in meshes] == [(-1.0, 5.0)] * 2


def test_map_of_a_policy(figures):
    market = {"num_steps": 4, "inventory_limit": 2}
    quotes = finance.avellaneda_stoikov_quotes(**market)
    policy = finance.quote_policy(quotes, **market)

    def bid(inventory, time):
        observation = jnp.stack([inventory / 5.0, 1.0 - time, jnp.zeros_like(time)])
        return policy.act(None, (), observation)[1][0]

    plot_policy_map({"bid": bid}, "x.png", inventories=range(-2, 3), times=[0.0, 0.25, 0.5, 0.75])
    mesh = figures[0].axes[0].collections[0]
    np.testing.assert_allclose(mesh.get_array(), quotes[:, :, 0].T, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: plot_frontier(([1.0], [1.0, 2.0]), {}, "x.png"),
            "the frontier: mean and variance must be finite numbers, as many of one as of the",
        ),
        (
            lambda: plot_frontier(([1.0], [1.0]), {"mine": (1.0, -4.0)}, "x.png"),
            "mine: a variance of -4 is below 0",
        ),
        (lambda: plot_inventory({}, "x.png", start=0.0), "there is nothing to draw"),
        (
            lambda: plot_inventory({"mine": np.zeros((2, 3, 4))}, "x.png", start=0.0),
            "mine: inventories must be finite numbers [time] or [episodes, time]; their shape is "
            "(2, 3, 4)",
        ),
        (lambda: plot_inventory({"mine": [1.0]}, "x.doc", start=0.0), "try x.png"),
        (
            lambda: plot_policy_map({}, "x.png", inventories=[0.0], times=[0.0]),
            "there is nothing to draw",
        ),
        (
            lambda: plot_policy_map(
                {"both": lambda q, t: jnp.stack([q, t])}, "x.png", inventories=[0.0], times=[0.0]
            ),
            "both: an action must be one number; its shape is (2,)",
        ),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()

"""The picture of population-based training shows what the lineage says."""

import jax.numpy as jnp
import jaxtyping
import matplotlib.figure
import numpy as np
import pytest

from jaxrl.reports import plot_lineage
from jaxrl.reports.lineage import ancestors
from jaxrl.sweeps import Lineage, PopulationBasedState

# Three generations of three members, of four that there is room for: in the second, member 0 copied
# member 2; in the third, member 1 copied member 0.
PARENTS = jnp.array([[0, 1, 2], [2, 1, 2], [0, 0, 2], [-1, -1, -1]])
RATES = jnp.array([[0.1, 0.2, 0.4], [0.8, 0.2, 0.4], [0.8, 0.64, 0.4], [jnp.nan] * 3])


def state_of(scores=(5.0, 7.0, 6.0)):
    lineage = Lineage(
        steps=jnp.array([0, 30, 60, -1]),
        parents=PARENTS,
        settings={"discount": 0.9 + RATES / 10, "rate": RATES},
        scores=jnp.zeros((4, 3)),
    )
    return PopulationBasedState(
        members=(),
        settings={name: values[2] for name, values in lineage.settings.items()},
        scores=jnp.array(scores),
        return_sum=jnp.zeros(3),
        episodes=jnp.zeros(3, jnp.int32),
        member_steps=jnp.zeros(3, jnp.int32),
        iteration=jnp.int32(5),
        steps=jnp.int32(75),
        lineage=lineage,
    )


@pytest.fixture
def figures(monkeypatch):
    """The figures that are written, in the place of files."""
    written = []
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda figure, *_, **__: written.append(figure)
    )
    return written


def test_ancestors_are_followed_to_the_start():
    marked = ancestors(np.asarray(PARENTS[:3]), 1)
    np.testing.assert_array_equal(
        marked, [[False, False, True], [True, False, False], [False, True, False]]
    )


def lines_of(axes, colour):
    found = [line for line in axes.lines if line.get_color() == colour]
    return [np.round(line.get_xydata(), 4).tolist() for line in found]


def test_the_picture_shows_who_descends_from_whom(figures):
    plot_lineage(state_of(), "x.png", settings=("rate",))
    (axes,) = figures[0].axes
    assert lines_of(axes, "#0072B2") == [
        [[0.0, 0.4], [30.0, 0.4]],
        [[30.0, 0.8], [60.0, 0.8]],
        [[30.0, 0.4], [30.0, 0.8]],
        [[60.0, 0.64], [75.0, 0.64]],
        [[60.0, 0.8], [60.0, 0.64]],
    ]
    # The best one, and who was replaced.
    assert lines_of(axes, "#D55E00") == [[[75.0, 0.64]]]
    grey = lines_of(axes, "#9A9A9A")
    assert [point for point in grey if len(point) == 1] == [[[30.0, 0.1]], [[60.0, 0.2]]]
    assert len(grey) == 6 + 2


def test_every_setting_has_an_axis(tmp_path):
    path = plot_lineage(state_of(), tmp_path / "lineage.png", title="a title")
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("state", "given", "message"),
    [
        (3, {}, "the State of population_based is needed, .*, not int"),
        (state_of(), {"settings": ("x",)}, "'x' is not one of discount, rate"),
        (state_of(), {"settings": ()}, "names nothing to draw"),
        (state_of()._replace(steps=jnp.zeros(2)), {}, r"the state is of \(2,\) runs"),
    ],
)
def test_what_cannot_be_drawn_is_refused(state, given, message, monkeypatch):
    # Users run without the checks of annotations.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=message):
        plot_lineage(state, "x.png", **given)


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="does not end as a picture does"):
        plot_lineage(state_of(), "lineage.txt")

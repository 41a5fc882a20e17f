"""Pictures of curves."""

import numpy as np
import pytest
from PIL import Image

from jaxrl.reports import Curve, plot_curves, resample
from jaxrl.reports.curves import _draw_curve

NAN = float("nan")


def axes():
    from matplotlib.figure import Figure

    return Figure().add_subplot()


def curve(label="a", seeds=3):
    values = np.arange(5.0)[None] + np.arange(seeds)[:, None]
    return Curve(label, np.arange(5.0) * 1000, values)


def test_seeds_on_the_same_axis_keep_it_and_bridge_gaps():
    x = np.array([[0.0, 10.0, 20.0, 30.0]] * 2)
    values = np.array([[NAN, 1.0, NAN, 3.0], [5.0, 6.0, 7.0, NAN]])
    grid, resampled = resample(x, values)
    np.testing.assert_array_equal(grid, x[0])
    np.testing.assert_allclose(resampled, [[NAN, 1.0, 2.0, 3.0], [5.0, 6.0, 7.0, NAN]])


def test_seeds_on_different_axes_are_interpolated():
    x = np.array([[0.0, 10.0, 20.0], [0.0, 5.0, NAN]])
    values = np.array([[0.0, 10.0, 20.0], [1.0, 2.0, NAN]])
    grid, resampled = resample(x, values)
    np.testing.assert_allclose(grid, [0.0, 2.5, 5.0])
    np.testing.assert_allclose(resampled, [[0.0, 2.5, 5.0], [1.0, 1.5, 2.0]])


def test_a_stretch_that_all_seeds_have_in_common_is_shown_whole():
    """Iterations of whole episodes end elsewhere for every seed."""
    x = np.array([[40.0, 100.0], [50.0, 90.0]])
    grid, resampled = resample(x, np.array([[4.0, 10.0], [1.0, 5.0]]))
    np.testing.assert_allclose(grid, [50.0, 90.0])
    np.testing.assert_allclose(resampled, [[5.0, 9.0], [1.0, 5.0]])


@pytest.mark.parametrize("rows", [1, 2])
def test_seeds_without_a_common_stretch_are_a_point(rows):
    x = np.array([[10.0, 20.0], [30.0, 50.0]])[:, 2 - rows :]
    values = np.array([[1.0, 2.0], [3.0, 4.0]])[:, 2 - rows :]
    grid, resampled = resample(x, values)
    np.testing.assert_allclose(grid, [35.0])
    np.testing.assert_allclose(resampled, [[2.0], [4.0]])


def test_what_is_drawn_is_the_mean_its_band_and_each_seed():
    target = axes()
    _draw_curve(target, curve(), 0, statistic="mean")
    *seeds, mean = target.lines
    assert len(seeds) == 3
    np.testing.assert_allclose(mean.get_ydata(), np.arange(5.0) + 1)
    (band,) = target.collections
    heights = band.get_paths()[0].vertices[:, 1]
    # Student's interval of x, x + 1 and x + 2: the quantile 4.3027 times 1 / sqrt(3).
    half = 4.3026527 / 3**0.5
    assert heights.min() == pytest.approx(1 - half)
    assert heights.max() == pytest.approx(5 + half)


def test_rows_in_which_a_seed_has_nothing_are_left_out():
    values = np.array([[NAN, 1.0, 2.0], [1.0, 2.0, 3.0]])
    target = axes()
    _draw_curve(target, Curve("a", np.arange(3.0), values), 0, statistic="mean")
    np.testing.assert_array_equal(target.lines[-1].get_xdata(), [1.0, 2.0])


def test_a_single_row_is_a_point_with_its_interval():
    target = axes()
    values = np.array([[1.0], [3.0]])
    _draw_curve(target, Curve("a", np.array([5.0]), values), 0, statistic="mean")
    assert target.lines[-1].get_marker() == "o"
    bar = target.collections[-1].get_segments()[0]
    # Student's interval of 1 and 3: the quantile 12.7062 times the standard error 1.
    np.testing.assert_allclose(bar, [[5.0, 2 - 12.7062047], [5.0, 2 + 12.7062047]])


def test_the_picture_is_large_enough_to_read_and_not_blank(tmp_path):
    out = plot_curves([curve("a"), curve("b", seeds=1)], tmp_path / "c.png", x_label="steps")
    with Image.open(out) as picture:
        assert picture.size == (1400, 840)
        assert len(picture.convert("RGB").getcolors(1_000_000)) > 50


@pytest.mark.parametrize("ending", [".pdf", ".svg", ".PNG"])
def test_other_formats(tmp_path, ending):
    assert plot_curves([curve()], tmp_path / f"c{ending}").stat().st_size > 1000


def test_more_curves_than_colours_differ_in_style(tmp_path):
    target = axes()
    for position in range(8):
        _draw_curve(target, curve(seeds=1), position, statistic="mean")
    first, last = target.lines[0], target.lines[7]
    assert first.get_color() == last.get_color()
    assert first.get_linestyle() != last.get_linestyle()


def test_what_cannot_be_drawn(tmp_path):
    with pytest.raises(ValueError, match=r"try .*curve\.png"):
        plot_curves([curve()], tmp_path / "curve.docx")
    with pytest.raises(ValueError, match="cannot write"):
        plot_curves([curve()], tmp_path / "nowhere" / "curve.png")
    empty = Curve("hollow", np.arange(2.0), np.array([[NAN, 1.0], [1.0, NAN]]))
    with pytest.raises(ValueError, match="hollow: no row in which every seed"):
        plot_curves([empty], tmp_path / "curve.png")
    assert list(tmp_path.iterdir()) == []

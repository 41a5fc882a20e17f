"""The pictures of a sweep."""

import pytest
from PIL import Image
from runs import toy

from jaxrl import reports, runs, sweeps
from jaxrl.reports.sweep_pictures import _is_logarithmic, _most_telling
from jaxrl.sweeps.results import BlockResult, write_block


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A finished sweep over a number, an environment's number and a tuple."""
    toy.install(monkeypatch.setattr, monkeypatch.setitem)
    base = toy.specification(
        total_steps=64, members=runs.make_members(range(2)), checkpoint_minutes=None
    )
    space = {"learning_rate": [0.01, 0.1, 1.0], "env.wind": [0.0, 5.0], "sizes": [(2, 3), (4, 5)]}
    sweep = sweeps.make_sweep(base, space, sampler="grid", halving=2, rungs=2, validation_seeds=2)
    sweeps.start(sweep, tmp_path / "sweep")
    return tmp_path / "sweep"


def test_a_panel_per_setting_the_pair_and_the_curves(folder):
    picture = reports.plot_sweep(folder, folder / "sweep.png")
    with Image.open(picture) as image:
        # Five panels in two rows of three.
        assert image.width > 1.5 * image.height
    with pytest.raises(ValueError, match="does not end as a picture does"):
        reports.plot_sweep(folder, folder / "sweep.txt")


def test_a_sweep_without_a_return_is_said_to_be_one(folder):
    for path in (folder / "blocks").glob("*-result.json"):
        path.unlink()
    with pytest.raises(ValueError, match="no trial with a return yet"):
        reports.plot_sweep(folder, folder / "sweep.png")
    failure = BlockResult.of_failure(range(12), rung=0, reason="no memory")
    write_block(folder, "rung0-group000-failed", failure)
    with pytest.raises(ValueError, match="no trial with a return yet"):
        reports.plot_sweep(folder, folder / "sweep.png")


def test_the_two_settings_that_tell_most():
    rows = [
        {"values": {"dull": (7 * i) % 5, "strong": i, "weak": i + 3 * (-1) ** i}, "mean": 2.0 * i}
        for i in range(10)
    ]
    assert _most_telling(rows, ["dull", "weak", "strong"]) == ("strong", "weak")
    assert _most_telling(rows, ["strong"]) is None
    assert _most_telling(rows[:2], ["dull", "strong"]) is None


def test_axes_are_logarithmic_where_the_values_are():
    assert _is_logarithmic(sweeps.log_uniform(1e-4, 1e-2))
    assert not _is_logarithmic(sweeps.uniform(1e-4, 1e-2))
    assert _is_logarithmic(sweeps.choice(1e-4, 1e-3, 1e-2))
    assert not _is_logarithmic(sweeps.choice(16, 32, 64))
    assert not _is_logarithmic(sweeps.choice(0.0, 1.0, 100.0))

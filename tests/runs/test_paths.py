"""Names of folders that are strange, too long, or no names at all."""

import pathlib

import pytest
from runs import toy

from jaxrl.runs import ExperimentError, checkpoints, load, resume, start
from jaxrl.runs.folder import check_path

STRANGE = [
    "lr[1e-3]",
    "a\\b",
    "what?*",
    "{x,y}",
    "100 %",
    "ß→∞",
    "~",
    "$HOME",
    "a:b",
    "-x",
    "#1",
    "'\"",
]


@pytest.fixture(autouse=True)
def shared_programs(monkeypatch):
    toy.share_programs(monkeypatch.setattr)


@pytest.mark.parametrize("name", STRANGE)
def test_a_run_in_a_folder_of_a_strange_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = pathlib.Path(name)
    assert start(toy.specification(seeds=1), folder).finished
    assert resume(folder).steps == 104
    start(toy.specification(seeds=1), tmp_path / "plain")
    toy.same_state(load(folder).states, load(tmp_path / "plain").states)
    assert sorted(x.name for x in tmp_path.iterdir()) == sorted([name, "plain"])


def test_without_the_systems_names_of_open_folders(tmp_path, monkeypatch):
    is_dir = pathlib.Path.is_dir
    monkeypatch.setattr(
        pathlib.Path, "is_dir", lambda path: str(path) != "/proc/self/fd" and is_dir(path)
    )
    assert start(toy.specification(seeds=1), tmp_path / "lr[1e-3]").finished
    assert load(tmp_path / "lr[1e-3]").steps == 104


WRONG = [
    ("a" * 256, "holds a name of 256 bytes, aaaa"),
    ("é" * 128, "holds a name of 256 bytes"),
    ("a\nb", r"'a\\nb' holds a line break"),
    ("a\x1b[2Jb", "holds a line break or the like"),
    ("a\0b", "holds a line break or the like"),
    ("a\udcffb", r"'a\\udcffb' is not UTF-8"),
    ("/".join(["a" * 200] * 20), "has 4019 bytes"),
]


@pytest.mark.parametrize(("name", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_what_is_no_name_is_refused_in_one_line(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExperimentError, match=message) as caught:
        start(toy.specification(), pathlib.Path(name))
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []


def test_what_systems_allow_passes(tmp_path):
    check_path(tmp_path / ("a" * 255) / "ordinary")


@pytest.mark.parametrize("spoil", [lambda x: x + 1, lambda x: x[:1]])
def test_the_first_checkpoint_is_read_back_before_it_is_trusted(tmp_path, monkeypatch, spoil):
    read = checkpoints._read_arrays

    def other(*arguments):
        arrays = read(*arguments)
        return arrays | {"leaf_00002": spoil(arrays["leaf_00002"])}

    monkeypatch.setattr(checkpoints, "_read_arrays", other)
    with pytest.raises(ExperimentError, match="does not give back the checkpoint"):
        start(toy.specification(), tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [".unfinished"]


def test_only_the_first_is_read_back(tmp_path, monkeypatch):
    compare, compared = checkpoints._compare, []
    monkeypatch.setattr(
        checkpoints, "_compare", lambda *given: compared.append(given) or compare(*given)
    )
    start(toy.specification(), tmp_path)
    assert len(compared) == 1

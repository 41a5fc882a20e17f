import json
import math
import multiprocessing
import os

import pytest

from jaxrl.runs import ExperimentError
from jaxrl.runs.folder import check_free, create, locked, write_atomically

CONFIG = {"algorithm": "toy", "environment": "toy", "settings": {}}


def make_run(folder):
    folder.mkdir()
    create(folder, CONFIG)
    (folder / "metrics.jsonl").write_text("old")
    (folder / "checkpoints" / "1").mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")


def contents(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_free_folders(tmp_path):
    check_free(tmp_path / "new", overwrite=False)
    check_free(tmp_path, overwrite=False)
    # What is left when a process is killed before config.json is there.
    (tmp_path / ".lock").touch()
    (tmp_path / "config.json.partial").touch()
    check_free(tmp_path, overwrite=False)


def test_a_run_is_replaced_only_when_allowed(tmp_path):
    make_run(tmp_path / "run")
    with pytest.raises(ExperimentError, match=r"already holds a run.*--overwrite"):
        check_free(tmp_path / "run", overwrite=False)
    check_free(tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == "old"


@pytest.mark.parametrize("config", [None, "{}", "[1]", "no json", '{"algorithm": 1}'])
def test_other_folders_are_never_replaced(tmp_path, config):
    (tmp_path / "thesis.tex").write_text("years of work")
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    before = contents(tmp_path)
    for overwrite in (False, True):
        with pytest.raises(ExperimentError, match="is not empty and is not a run"):
            check_free(tmp_path, overwrite=overwrite)
    assert contents(tmp_path) == before


def test_create_removes_what_runs_write_and_nothing_else(tmp_path):
    folder = tmp_path / "run"
    make_run(folder)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").touch()
    (folder / "tensorboard").symlink_to(tmp_path / "elsewhere")
    create(folder, CONFIG | {"seeds": 3})
    assert contents(folder) == ["config.json", "notes.txt"]
    assert json.loads((folder / "config.json").read_text())["seeds"] == 3
    assert (tmp_path / "elsewhere" / "precious").exists()


def test_a_config_that_cannot_be_written_removes_nothing(tmp_path):
    make_run(tmp_path / "run")
    before = contents(tmp_path / "run")
    with pytest.raises(ValueError, match="not JSON compliant"):
        create(tmp_path / "run", CONFIG | {"wind": math.inf})
    assert contents(tmp_path / "run") == before


def hold_lock(folder, ready, release):
    with locked(folder):
        ready.set()
        release.wait(60)


def test_a_second_process_is_kept_out_until_the_first_is_dead(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=hold_lock, args=(tmp_path, ready, release))
    holder.start()
    try:
        assert ready.wait(60)
        with (
            pytest.raises(ExperimentError, match="another process is working on"),
            locked(tmp_path),
        ):
            pass
    finally:
        holder.kill()
        holder.join()
    with locked(tmp_path):
        pass


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("text")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        check_free(folder, overwrite=True)
        with pytest.raises(ExperimentError, match="a file is in the way"), locked(folder):
            pass
    assert (tmp_path / "file").read_text() == "text"


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with (
        pytest.raises(ExperimentError, match=r"cannot write to .*: Permission denied"),
        locked(tmp_path),
    ):
        pass


def test_atomic_writes_leave_the_former_text_when_they_fail(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "former")

    def fail(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "former"

"""Folders that are damaged, changed or made by somebody who wishes us no good."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
from runs import damage, toy

from jaxrl.runs import (
    ExperimentError,
    checkpoints,
    load,
    make_members,
    read_evaluations,
    read_metrics,
    resume,
    start,
)
from jaxrl.runs import _reading as reading


@pytest.fixture(autouse=True)
def shared_programs(monkeypatch):
    toy.share_programs(monkeypatch.setattr)


def judged(base, monkeypatch, share):
    monkeypatch.setenv("JAXRL_ELSEWHERE", "")
    return damage.main(base, share, patch=monkeypatch.setattr)


def test_a_sample_of_damages_is_found_or_harmless(tmp_path, monkeypatch):
    cases = judged(tmp_path, monkeypatch, 0.05)
    assert len(cases) > 10
    assert [case for case in cases if case["verdict"] not in ("found", "harmless")] == []


@pytest.mark.learning
def test_all_damages_are_found_or_harmless(tmp_path, monkeypatch):
    cases = judged(tmp_path, monkeypatch, 1.0)
    assert len(cases) >= 300
    assert [case for case in cases if case["verdict"] not in ("found", "harmless")] == []
    # Both are among them: the judge can tell them apart.
    assert {case["verdict"] for case in cases} == {"found", "harmless"}


@pytest.fixture(scope="module")
def half_run(tmp_path_factory):
    """A run in the middle."""
    folder = tmp_path_factory.mktemp("half") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        toy.install(monkeypatch.setattr, monkeypatch.setitem)
        toy.share_programs(monkeypatch.setattr)
        damage.make_run(folder, monkeypatch.setattr)
    return folder


@pytest.fixture
def half(half_run, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(half_run, tmp_path / "run")


def edit(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


CHANGES = [
    ({"members": [{"seed": 9}, {"seed": 6}]}, "members"),
    ({"settings": {"total_steps": 100, "learning_rate": 0.2}}, "settings"),
    ({"settings": {"total_steps": 400}}, "total_steps"),
    ({"environment_parameters": {"wind": 0.5}}, "environment_parameters"),
    ({"stop_steps": 60}, "stop_steps"),
    ({"log_interval": 8}, "log_interval"),
]


@pytest.mark.parametrize(("changes", "part"), CHANGES)
def test_another_runs_state_is_not_gone_on_with(half, changes, part):
    edit(half, **changes)
    message = f"is not the run that its checkpoint .* was written by: {part} in its config.json"
    with pytest.raises(ExperimentError, match=message):
        resume(half)
    with pytest.raises(ExperimentError, match=message):
        load(half)


def test_how_often_it_saves_may_be_changed(half):
    edit(half, checkpoint_interval=None, keep_checkpoints=1)
    assert resume(half).finished


@pytest.mark.parametrize("name", ["metrics.jsonl", "evaluations.jsonl"])
def test_a_row_of_the_same_length_is_noticed(half, name):
    text = (half / name).read_text()
    assert '"seed": 5' in text
    (half / name).write_text(text.replace('"seed": 5', '"seed": 4', 1))
    with pytest.warns(UserWarning, match=f"{name} has been changed since"):
        resume(half)


def newest(folder):
    return max(path for path in (folder / "checkpoints").iterdir() if path.name.isdigit())


def rewrite_manifest(path, **changes):
    """A manifest of the right digest, with other fields."""
    content = json.loads((path / "manifest.json").read_text())["content"] | changes
    digest = checkpoints._content_digest(content)
    (path / "manifest.json").write_text(json.dumps({"content": content, "sha256": digest}))


WRONG_FIELDS = [
    {"iteration": "6"},
    {"iteration": -1},
    {"iteration": 2**40},
    {"iteration": [[1]]},
    {"iteration": [1, 2, 3]},
    {"steps": None},
    {"steps": 1.5},
    {"file_sizes": {"metrics.jsonl": "many"}},
    {"file_sizes": {"metrics.jsonl": -5}},
    {"file_sizes": 3},
    {"file_digests": {"metrics.jsonl": 7}},
    {"leaves": {}},
    {"keys": {"leaf_00000": "no such kind"}},
    {"keys": []},
    {"sha256": {"arrays/../../config.json": "0"}},
    {"sha256": None},
    {"total_steps": 48},
    {"run": {"settings": 3}},
]


@pytest.mark.parametrize("changes", WRONG_FIELDS, ids=map(str, WRONG_FIELDS))
def test_a_manifest_of_the_right_digest_with_wrong_fields(half, changes):
    rewrite_manifest(newest(half), **changes)
    with pytest.warns(UserWarning, match=f"{newest(half).name} cannot be used: "):
        run = load(half)
    assert run.steps < int(newest(half).name)
    assert len(run.left_out) == 1
    assert run.left_out[0].isprintable()


@pytest.mark.parametrize("name", ["²", "①", "٣", "-1", "1" * 30, "7", "000000000000.x", " 1"])
def test_strange_names_beside_the_checkpoints(half, name):
    (half / "checkpoints" / name).mkdir()
    assert load(half).left_out == ()


def test_a_link_in_the_place_of_a_checkpoint(half, tmp_path):
    path = newest(half)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.warns(UserWarning, match="it is a symbolic link"):
        load(half)
    with pytest.raises(ExperimentError, match="is a symbolic link, and nothing is written"):
        resume(half)


def test_checkpoints_that_are_a_link(half, tmp_path):
    (half / "checkpoints").rename(tmp_path / "elsewhere")
    (half / "checkpoints").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ExperimentError, match="checkpoints cannot be used: it is a symbolic link"):
        load(half)


def test_a_file_in_a_checkpoint_that_nobody_may_wait_for(half):
    arrays = newest(half) / "arrays.npz"
    arrays.unlink()
    os.mkfifo(arrays)
    with pytest.warns(UserWarning, match="is no regular file"):
        load(half)


def test_arrays_of_another_shape_are_not_made(half):
    """Its digests are right, and it announces arrays that nobody asked for."""
    path = newest(half)
    (path / "arrays.npz").unlink()
    arrays = {f"leaf_{i:05d}": np.zeros((3, 50)) for i in range(8)}
    checkpoints._write_arrays(path / "arrays.npz", arrays)
    digests = {name: checkpoints._digest(path / name) for name in checkpoints._files(path)}
    rewrite_manifest(path, sha256=digests)
    with pytest.warns(UserWarning, match="its arrays are not those of the State"):
        load(half)


BAD_ROWS = [
    b"null\n",
    b"3\n",
    b'{"member": null, "seed": 5, "steps": 16}\n',
    b'{"member": 0, "seed": 5, "steps": null}\n',
    b'{"member": "0", "seed": 5, "steps": 16}\n',
    b'{"member": 0, "seed": 5, "steps": 16, "policy_loss": [1]}\n',
    b'{"member": 0, "seed": 5, "steps": 16, "policy_loss": "nan"}\n',
    b'{"member": 0, "seed": 5, "steps": 16, "policy_loss": NaN}\n',
    b'{"member": 0, "seed": 5, "steps": 16, "policy_loss": 1e999}\n',
    b'{"member": -1, "seed": 5, "steps": 16}\n',
    b'{"member": 0, "seed": 5, "steps": 1' + b"0" * 5000 + b"}\n",
    b'{"seed": 5}\n{"member": 0}\n',
    b"[" * 100_000 + b"\n",
    b"\xff\xfe\n",
    b"\0" * 50 + b"\n",
]


@pytest.mark.parametrize("row", BAD_ROWS, ids=[str(row[:70]) for row in BAD_ROWS])
def test_rows_that_are_none(half, row):
    for name, read in [("metrics.jsonl", read_metrics), ("evaluations.jsonl", read_evaluations)]:
        (half / name).write_bytes(row)
        with pytest.raises(ExperimentError) as caught:
            read(half)
        assert "cannot be used" in str(caught.value)
        assert str(caught.value).isprintable()


def test_a_line_without_end(half, monkeypatch):
    monkeypatch.setattr(reading, "MOST_OF_A_LINE", 1000)
    (half / "metrics.jsonl").write_bytes(b"1" * 5000)
    with pytest.raises(ExperimentError, match="line 1 has no end"):
        read_metrics(half)


def test_a_file_that_is_too_large(half, monkeypatch):
    monkeypatch.setattr(reading, "MOST_BYTES", 1000)
    (half / "config.json").write_bytes(b" " * 1001)
    with pytest.raises(ExperimentError, match="has more than 1,000 bytes"):
        load(half)


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "evaluations.jsonl"])
@pytest.mark.parametrize(
    ("replace", "reason"),
    [
        (lambda path: path.mkdir(), "it is no regular file"),
        (os.mkfifo, "it is no regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a symbolic link"),
        (lambda path: path.symlink_to(path.name), "it is a symbolic link"),
    ],
    ids=["folder", "fifo", "device", "circle"],
)
def test_what_lies_in_a_files_place(half, name, replace, reason):
    (half / name).unlink()
    replace(half / name)
    read = {"config.json": load, "metrics.jsonl": read_metrics}.get(name, read_evaluations)
    with pytest.raises(ExperimentError, match=f"cannot read .*{name}: {reason}"):
        read(half)


LINKS = ["metrics.jsonl", "evaluations.jsonl", ".lock", "config.json.partial", "tensorboard"]
LINKS += ["learning_curve.png", "wandb", "checkpoints/.unfinished", "tensorboard/mean"]


@pytest.mark.parametrize("name", LINKS)
def test_nothing_is_written_through_a_link(half, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("keep me")
    path = half / name
    target = elsewhere if name.startswith(("tensor", "check", "wandb")) else elsewhere / "file"
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    with pytest.raises(ExperimentError, match="is a symbolic link"):
        resume(half)
    assert [(x.name, x.read_text()) for x in elsewhere.iterdir()] == [("file", "keep me")]


def test_a_new_run_does_not_write_through_links_either(tmp_path):
    target = tmp_path / "target"
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json.partial").symlink_to(target)
    with pytest.raises(ExperimentError, match="is a symbolic link"):
        start(toy.specification(), folder)
    assert not target.exists()


def test_the_folder_itself_may_be_a_link(half, tmp_path):
    (tmp_path / "link").symlink_to(half)
    assert resume(tmp_path / "link").finished


def test_counts_in_a_configuration_are_judged_before_anything_is_made(half):
    config = json.loads((half / "config.json").read_text())
    del config["members"]
    (half / "config.json").write_text(json.dumps(config | {"seed": 0, "seeds": 4_000_000_000}))
    with pytest.raises(ExperimentError, match="4,000,000,000 members are too many"):
        load(half)


def test_members_of_another_number(half):
    edit(half, members=[{"seed": 5}])
    with pytest.raises(ExperimentError, match=r"members in its config\.json have changed"):
        load(half)


def test_a_state_that_is_too_large_is_refused_before_it_is_read(half, monkeypatch):
    config = json.loads((half / "config.json").read_text())
    edit(half, settings=config["settings"] | {"sizes": [100_000, 10_000_000]})
    for use in (load, resume):
        with pytest.raises(ValueError, match="GiB of memory"):
            use(half)


def test_a_run_without_its_checkpoints_says_that_it_begins_anew(half, capsys):
    shutil.rmtree(half / "checkpoints")
    assert resume(half).steps_before == 0
    assert "has no checkpoint: the run begins anew" in capsys.readouterr().err


def test_every_field_of_a_specification_is_in_the_fingerprint_or_may_change():
    from jaxrl.runs.specification import _MAY_CHANGE, BUDGETS, fingerprint

    run = toy.specification(members=make_members([1]))
    names = {field.name for field in dataclasses.fields(run)}
    assert (fingerprint(run).keys() - {BUDGETS}) | _MAY_CHANGE == names

import struct

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from jaxrl.runs import Group
from jaxrl.runs.charts import TensorBoard, mean_over_seeds

ROWS = [
    {"member": 0, "seed": 0, "steps": 8, "loss": 1.0, "episode_return": None},
    {"member": 1, "seed": 1, "steps": 10, "loss": 4.0, "episode_return": 7.0},
]


def events(folder):
    """The events of every file of a folder, the oldest first."""
    found = []
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("Q", data, at)
            found.append(Event.FromString(data[at + 12 : at + 12 + length]))
            at += 16 + length
    return found


def scalars(folder):
    return [
        (event.step, {value.tag: value.simple_value for value in event.summary.value})
        for event in events(folder)
        if event.summary.value
    ]


def test_mean_over_the_seeds_that_know():
    assert mean_over_seeds(ROWS) == {"steps": 9.0, "loss": 2.5, "episode_return": 7.0}


def test_tensorboard_has_every_seed_and_the_mean(tmp_path):
    charts = TensorBoard(tmp_path, [Group("", (0, 1))], range(2), first_step=0)
    charts.write(ROWS)
    charts.write([])
    charts.close()
    assert scalars(tmp_path / "seed_0") == [(8, {"train/loss": 1.0})]
    assert scalars(tmp_path / "seed_1") == [
        (10, {"train/loss": 4.0, "rollout/episode_return": 7.0})
    ]
    assert scalars(tmp_path / "mean") == [(9, {"train/loss": 2.5, "rollout/episode_return": 7.0})]


def test_charts_are_in_sections_and_say_how_fast_training_is(tmp_path, monkeypatch):
    clock = iter([0.0, 1.0, 1.5, 3.0, 3.5, 4.0, 4.5, 5.0])
    monkeypatch.setattr("jaxrl.runs.charts.time.monotonic", lambda: next(clock))
    charts = TensorBoard(tmp_path, [Group("", (0, 1))], range(2), first_step=0)
    for steps in (8, 12):
        charts.write([{**row, "steps": steps} for row in ROWS])
    charts.write([{"member": 0, "seed": 0, "steps": 12, "evaluation_return": 3.0}])
    charts.close()
    written = dict(scalars(tmp_path / "mean")[1:2])
    # Two agents took 4 steps each in 2 seconds.
    assert written[12]["time/steps_per_second"] == 4.0
    assert set(written[12]) == {"train/loss", "rollout/episode_return", "time/steps_per_second"}
    assert scalars(tmp_path / "mean")[2] == (12, {"eval/return": 3.0})
    assert "time/steps_per_second" not in dict(scalars(tmp_path / "mean")[:1])[8]


def test_the_speed_is_of_those_that_still_train(tmp_path, monkeypatch):
    clock = iter([0.0, 1.0, 1.5, 3.0, 3.5])
    monkeypatch.setattr("jaxrl.runs.charts.time.monotonic", lambda: next(clock))
    charts = TensorBoard(tmp_path, [Group("", (0, 1))], range(2), first_step=0)
    charts.write([{**row, "steps": 8} for row in ROWS])
    # The other one has ended.
    charts.write([{**ROWS[0], "steps": 12}])
    charts.close()
    assert scalars(tmp_path / "mean")[1][1]["time/steps_per_second"] == 2.0


def test_a_resumed_part_purges_what_came_after_its_checkpoint(tmp_path, monkeypatch):
    TensorBoard(tmp_path, [Group("", (0, 1))], range(2), first_step=0).close()
    # Another process, within the same second.
    monkeypatch.setattr("os.getpid", lambda: 1)
    charts = TensorBoard(tmp_path, [Group("", (0, 1))], range(2), first_step=8)
    charts.close()
    starts = [e.step for e in events(tmp_path / "mean") if e.session_log.status == SessionLog.START]
    assert starts == [1, 9]


def test_many_seeds_do_not_exhaust_the_files_of_a_process(tmp_path):
    charts = TensorBoard(tmp_path, [Group("", tuple(range(1995)))], range(5, 2000), first_step=0)
    charts.write([{"member": i, "seed": 5 + i, "steps": 8, "loss": 1.0} for i in range(1995)])
    charts.close()
    assert len(list(tmp_path.iterdir())) == 65
    assert scalars(tmp_path / "seed_68") == [(8, {"train/loss": 1.0})]
    assert scalars(tmp_path / "mean") == [(8, {"train/loss": pytest.approx(1.0)})]

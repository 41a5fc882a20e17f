"""The trials of a sweep as TensorBoard and Weights & Biases get them."""

import struct
import sys
import types

import pytest
from runs import toy
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from jaxrl import runs, sweeps

SPACE = {"learning_rate": [0.1, 0.2], "sizes": [(2, 3), (4, 3)]}


def make(*, wandb_project=None, **options):
    base = toy.specification(
        total_steps=80,
        members=runs.make_members(range(2)),
        evaluation_episodes=3,
        checkpoint_minutes=None,
        wandb_project=wandb_project,
    )
    return sweeps.make_sweep(base, SPACE, sampler="grid", **options)


def events_of(folder):
    """The events of the only file: each behind its length and a checksum, and before another."""
    (path,) = folder.iterdir()
    data, events = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        events.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    return events


def hparams_of(folder):
    """The hyperparameters of a trial's session, and its scalars."""
    values, scalars = {}, {}
    for event in events_of(folder):
        for value in event.summary.value:
            if value.tag == "_hparams_/session_start_info":
                content = HParamsPluginData.FromString(value.metadata.plugin_data.content)
                for name, given in content.session_start_info.hparams.items():
                    values[name] = getattr(given, given.WhichOneof("kind"))
            elif value.WhichOneof("value") == "simple_value":
                scalars[value.tag] = value.simple_value
    return values, scalars


def test_every_trial_is_on_the_page_of_hyperparameters(tmp_path):
    outcome = sweeps.start(make(halving=2, rungs=2), tmp_path / "sweep")
    folder = tmp_path / "sweep" / "tensorboard"
    assert sorted(path.name for path in folder.iterdir()) == [f"trial_{i}" for i in range(4)]
    assert {row["status"] for row in outcome.trials} == {"complete", "stopped"}
    for row in outcome.trials:
        values, scalars = hparams_of(folder / f"trial_{row['trial']}")
        assert values == {
            "learning_rate": row["values"]["learning_rate"],
            "sizes": "x".join(map(str, row["values"]["sizes"])),
            "status": row["status"],
        }
        assert scalars == {"mean_return": pytest.approx(row["mean"])}


class FakeClient(types.ModuleType):
    """It keeps what it is given, as a service that several processes talk to."""

    def __init__(self):
        super().__init__("wandb")
        self.__spec__ = types.SimpleNamespace(name="wandb")
        self.runs = {}
        self.configs = {}

    def init(self, **given):
        self.configs[given["id"]] = given
        steps = self.runs.setdefault(given["id"], {})

        def log(values, step):
            # A step that has passed is left as it is.
            if step > max(steps, default=-1):
                steps[step] = values

        return types.SimpleNamespace(log=log, finish=lambda: None)


def test_every_trial_is_a_run_of_one_group(tmp_path, monkeypatch):
    client = FakeClient()
    monkeypatch.setitem(sys.modules, "wandb", client)
    outcome = sweeps.start(make(halving=2, rungs=2, wandb_project="p"), tmp_path / "sweep")
    assert len(client.runs) == 4
    by_name = {given["name"]: given for given in client.configs.values()}
    for row in outcome.trials:
        given = by_name[f"trial_{row['trial']}"]
        assert (given["project"], given["group"]) == ("p", "sweep")
        assert given["config"]["learning_rate"] == row["values"]["learning_rate"]
        logged = client.runs[given["id"]]
        assert max(logged) == row["steps"] + 1
        assert logged[max(logged)]["mean_return"] == pytest.approx(row["mean"])
        # One that went on has the rows of both of its blocks.
        steps = [step for step, values in logged.items() if "policy_loss" in values]
        assert min(steps) <= 40
        assert (max(steps) > 40) == (row["status"] == "complete")
    before = {name: dict(steps) for name, steps in client.runs.items()}
    block = outcome.trials[0]["block"]
    (tmp_path / "sweep" / "blocks" / f"{block}-result.json").unlink()
    assert sweeps.resume(tmp_path / "sweep").finished
    assert client.runs == before


def test_a_missing_client_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'pip install "jaxrl\[wandb\]"'):
        sweeps.start(make(wandb_project="p"), tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()

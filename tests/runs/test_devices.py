"""Members over several devices: the same bits as on one. Environments: the same parameters."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import Mesh
from runs import toy
from tiers import lengthy

import jaxrl
from jaxrl import runs
from jaxrl.runs import devices
from jaxrl.sharding import over_devices

HERE = pathlib.Path(__file__).parent


def run_on(count, script, *words):
    flags = f"--xla_force_host_platform_device_count={count}"
    answer = subprocess.run(
        [sys.executable, str(HERE / script), *map(str, words)],
        env=os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=600,
    )
    return answer.stdout


@pytest.mark.full
def test_four_devices_leave_the_same_bits_as_one(tmp_path):
    one, four = tmp_path / "one", tmp_path / "four"
    run_on(1, "on_devices.py", one)
    run_on(4, "on_devices.py", four, one)
    names = sorted(path.name for path in one.iterdir())
    assert len(names) == 7
    for name in names:
        for file in ("metrics.jsonl", "evaluations.jsonl"):
            assert (four / name / file).read_bytes() == (one / name / file).read_bytes(), name
    # What began on one device goes on over four.
    for file in ("metrics.jsonl", "evaluations.jsonl"):
        continued = four / "continued" / file
        assert continued.read_bytes() == (one / "toy-4-True" / file).read_bytes()


@pytest.mark.parametrize(
    ("members", "present", "used"), [(8, 4, 4), (6, 4, 3), (5, 4, 1), (2, 8, 2), (1, 1, 1)]
)
def test_devices_share_the_members_evenly(monkeypatch, members, present, used):
    monkeypatch.setattr(devices.jax, "local_devices", lambda: [None] * present)
    assert devices.num_devices(members) == used


@pytest.mark.full
@pytest.mark.parametrize(
    "name", lengthy(["ppo", "a2c", "impala", "trpo", "pqn", "reinforce"], "ppo", "a2c")
)
def test_environments_over_four_devices_come_to_the_parameters_of_one(monkeypatch, tmp_path, name):
    row = json.loads(run_on(4, "on_environments.py", tmp_path, name))
    assert row["name"] == name
    assert row["devices"] == 4
    assert row["steps"][0] == row["steps"][1]
    assert row["distance"] < 1e-5
    assert row["moved"] > 1e-3
    # A checkpoint of four devices is read where there is one; its task is a real one.
    monkeypatch.undo()
    assert runs.load(tmp_path / name).specification.shard == "envs"


def ppo_run(**changes):
    settings = jaxrl.PPOConfig(total_steps=64, num_envs=8, num_steps=4, hidden_sizes=(4,))
    return runs.Specification(
        algorithm="ppo", environment="CartPole-v1", settings=settings, **changes
    )


def test_environments_need_several_devices_and_an_even_share(monkeypatch, tmp_path):
    run = ppo_run(shard="envs", evaluation_episodes=0)
    with pytest.raises(ValueError, match="does nothing with one device"):
        runs.start(run, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    # A run that began on several devices goes on with one.
    prepared = runs.prepare(run)
    assert "sharding_constraint" in str(prepared.advance.jaxpr)
    assert "sharding_constraint" in str(prepared.init.jaxpr)
    whole = runs.prepare(ppo_run(evaluation_episodes=0))
    assert "sharding_constraint" not in str(whole.advance.jaxpr)
    monkeypatch.setattr(devices.jax, "local_devices", lambda: [None] * 3)
    with pytest.raises(ValueError, match="num_envs=8 cannot be shared out evenly over 3 devices"):
        devices._over_environments("ppo", prepared.state_type)


def test_other_algorithms_have_no_environments_to_share(monkeypatch):
    toy.install(monkeypatch.setattr, monkeypatch.setitem)
    with pytest.raises(ValueError, match="shard='envs' does nothing for toy"):
        runs.prepare(toy.specification(shard="envs"))


def test_what_is_shared_is_a_word():
    with pytest.raises(ValueError, match="shard='hosts' must be members or envs"):
        ppo_run(shard="hosts")


def test_an_axis_over_devices():
    mesh = Mesh(np.array(jax.devices()[:1]), ("envs",))
    x = np.ones((3, 4), np.float32)

    def doubled(x):
        return 2 * over_devices(x, axis=1, name="num_envs")

    assert "sharding_constraint" not in str(jax.make_jaxpr(doubled)(x))
    with jax.set_mesh(mesh):
        assert "sharding_constraint" in str(jax.make_jaxpr(doubled)(x))
        np.testing.assert_array_equal(jax.jit(doubled)(x), 2 * x)
    with jax.set_mesh(Mesh(np.array(jax.devices()[:1]), ("others",))):
        assert "sharding_constraint" not in str(jax.make_jaxpr(doubled)(x))
    abstract = jax.sharding.AbstractMesh((3,), ("envs",))
    with (
        jax.sharding.use_abstract_mesh(abstract),
        pytest.raises(ValueError, match="num_envs=4 cannot be shared out evenly over 3 devices"),
    ):
        jax.eval_shape(doubled, x)

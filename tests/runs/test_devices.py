"""Members over several devices: the same bits as on one."""

import os
import pathlib
import subprocess
import sys

import pytest

from jaxrl.runs import devices

SCRIPT = pathlib.Path(__file__).parent / "on_devices.py"


def run_on(count, *folders):
    flags = f"--xla_force_host_platform_device_count={count}"
    subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, folders)],
        env=os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}"},
        check=True,
        timeout=600,
    )


@pytest.mark.full
def test_four_devices_leave_the_same_bits_as_one(tmp_path):
    one, four = tmp_path / "one", tmp_path / "four"
    run_on(1, one)
    run_on(4, four, one)
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

"""The provenance of a run: the versions and the device that the same bits need."""

import datetime
import importlib.metadata
import os
import platform
import warnings
from pathlib import Path
from typing import Any

import jax

from jaxrl.runs._reading import read_json

_PACKAGES = ("jaxrl", "jax", "jaxlib", "numpy", "optax", "flax", "gymnax")
# By the name in config.json, what people read of it.
_CIRCUMSTANCES = {
    "device": "the device",
    "devices": "the number of devices",
    "cores": "the number of CPU cores",
    "xla_flags": "XLA_FLAGS",
}


def provenance() -> dict[str, Any]:
    """Versions, device, cores and time, as config.json records them beside the specification."""
    versions = {"python": platform.python_version()}
    versions |= {package: _version(package) for package in _PACKAGES}
    device = jax.local_devices()[0]
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": f"{device.platform}: {device.device_kind}",
        "devices": jax.local_device_count(),
        # The order in which a CPU adds depends on how many work at it.
        "cores": _num_cores(),
        "xla_flags": " ".join(sorted(os.environ.get("XLA_FLAGS", "").split())),
        "versions": versions,
    }


def warn_of_changes(config: Path) -> None:
    """Warns if a run goes on with another provenance than config.json recorded."""
    recorded = read_json(config)
    present = provenance()
    pairs = {
        words: (recorded[name], present[name])
        for name, words in _CIRCUMSTANCES.items()
        if name in recorded
    }
    versions = recorded.get("versions")
    if isinstance(versions, dict):
        now = present["versions"]
        pairs |= {name: (then, now.get(name)) for name, then in versions.items() if name in now}
    changes = [
        f"{name} was {_shown(then)} and is {_shown(now)}"
        for name, (then, now) in pairs.items()
        if then != now
    ]
    if changes:
        warnings.warn(
            f"the run goes on, but perhaps not to the same bits: {', '.join(changes)}", stacklevel=2
        )


def _num_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _shown(value: Any) -> str:
    return str(value)[:100] if value not in ("", None) else "not set"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

"""The provenance of a run: the versions and the device that the same bits need."""

import datetime
import importlib.metadata
import json
import platform
import warnings
from pathlib import Path
from typing import Any

import jax

_PACKAGES = ("jaxrl", "jax", "jaxlib", "numpy", "optax", "flax", "gymnax")


def provenance() -> dict[str, Any]:
    """Versions, device and time, as config.json records them beside the specification."""
    versions = {"python": platform.python_version()}
    versions |= {package: _version(package) for package in _PACKAGES}
    device = jax.local_devices()[0]
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": f"{device.platform}: {device.device_kind}",
        "versions": versions,
    }


def warn_of_changes(config: Path) -> None:
    """Warns if a run goes on with another provenance than config.json recorded."""
    recorded = json.loads(config.read_text(encoding="utf-8"))
    present = provenance()
    pairs = {"the device": (recorded.get("device"), present["device"])}
    versions = recorded.get("versions")
    if isinstance(versions, dict):
        pairs |= {name: (versions.get(name), now) for name, now in present["versions"].items()}
    changes = [
        f"{name} was {then} and is {now}" for name, (then, now) in pairs.items() if then != now
    ]
    if changes:
        warnings.warn(
            f"the run goes on, but perhaps not to the same bits: {', '.join(changes)}", stacklevel=2
        )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

"""What a run launches on its device, read from a trace of `jax.profiler`."""

import collections
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.profiler import ProfileData

# On the CPU these last as long as what is in them.
ENCLOSING = ("while", "call", "conditional")


def launched(run: Callable[[], None], *, num_listed: int = 10) -> dict[str, Any]:
    """Traces one run: how many kernels it launches, how long the device is busy, and with what.

    Args:
        run: () -> None; waits until it is done.
        num_listed: of the costliest kernels, how many are named.
    """
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            start = time.perf_counter()
            run()
            seconds = time.perf_counter() - start
        (file,) = pathlib.Path(folder).rglob("*.xplane.pb")
        events = list(device_events(ProfileData.from_file(str(file))))
    times: dict[str, list[float]] = collections.defaultdict(list)
    for name, duration in events:
        times[name].append(duration)
    costliest = sorted(times, key=lambda name: sum(times[name]), reverse=True)[:num_listed]
    return {
        "seconds": seconds,
        "launches": len(events),
        "busy_seconds": sum(duration for _, duration in events),
        "costliest": [
            {"name": name, "launches": len(times[name]), "seconds": sum(times[name])}
            for name in costliest
        ],
    }


def device_events(data: ProfileData) -> Iterator[tuple[str, float]]:
    """Names and seconds of what ran on the device; on the CPU, of XLA's own operations."""
    planes = list(data.planes)
    devices = [plane for plane in planes if plane.name.startswith("/device:")]
    if devices:
        for plane in devices:
            # A GPU's streams; its other lines tell the same in other words. A TPU has no streams.
            lines = list(plane.lines)
            streams = [line for line in lines if line.name.startswith("Stream")]
            for line in streams or [line for line in lines if line.name == "XLA Ops"]:
                yield from ((event.name, event.duration_ns / 1e9) for event in line.events)
        return
    for plane in planes:
        for line in plane.lines:
            for event in line.events:
                operation = dict(event.stats).get("hlo_op")
                if operation == event.name and not event.name.startswith(ENCLOSING):
                    yield event.name, event.duration_ns / 1e9

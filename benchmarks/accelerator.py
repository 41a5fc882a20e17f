"""Measures whatever device is there, in stages, within minutes.

    python benchmarks/accelerator.py
    python benchmarks/accelerator.py --stages ppo rejax --minutes 3
    python benchmarks/accelerator.py --tiny                  # a dry run: everything, at toy sizes

Each stage's programs are compiled side by side, each in a process of its own, and then run one
after the other; a row is written as soon as it is measured. rejax runs in its own environment
(`make_environments.py`), or here, from the folder that `--rejax` names. What a bare machine needs
is gathered by `collect_wheels.py`.
"""

import argparse
import contextlib
import datetime
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from accelerator_table import table
from machine import describe_machine, device_slug
from stages import Row, Stage, iterations_of, on_the_cpu, stages, tiny, updates_of
from worker_process import WORKERS, Worker, is_available

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
CHECKS = "checks"
# Runs of a row after the one that warms up; fewer where they take long.
REPEATS = 3
SECONDS_OF_REPEATS = 10.0
# Of one request to a worker at most, so that a row that is too large for a device leaves time for
# the others; and what a request gets at least, when the time is nearly over.
MOST_SECONDS, LEAST_SECONDS = 100.0, 5.0


class Plan(NamedTuple):
    """How the stages are run.

    Attributes:
        deadline: by `time.monotonic`; what would begin later is left out.
        at_a_time: programs that are compiled side by side.
        paths: folders whose packages the workers import before the installed ones.
        rejax: a folder with rejax and its gymnax; None: its own environment.
        tiny: a dry run.
    """

    deadline: float
    at_a_time: int
    paths: tuple[pathlib.Path, ...]
    rejax: pathlib.Path | None
    tiny: bool

    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    def seconds_of_request(self) -> float:
        """How long a worker may take to answer; a dry run measures nothing, and has time."""
        most = math.inf if self.tiny else MOST_SECONDS
        return min(most, max(LEAST_SECONDS, self.seconds_left()))


def run_stage(stage: Stage, plan: Plan, record: "Record") -> None:
    """Measures a stage's rows, a handful at a time."""
    for first in range(0, len(stage.rows), plan.at_a_time):
        rows = stage.rows[first : first + plan.at_a_time]
        if plan.seconds_left() <= 0:
            for row in rows:
                record.add(stage.name, row, {"left_out": "no time was left"})
            continue
        with contextlib.ExitStack() as stack, ThreadPoolExecutor(2 * plan.at_a_time) as pool:
            contenders = [(row, name) for row in rows for name in contenders_of(row, plan)]
            workers = {
                (row.label, name): stack.enter_context(started(name, plan))
                for row, name in contenders
            }
            builds = {
                (row.label, name): pool.submit(
                    build, workers[row.label, name], row.settings, plan.seconds_of_request()
                )
                for row, name in contenders
            }
            for build_of_worker in builds.values():
                build_of_worker.exception()
            for row in rows:
                sides = {
                    name: (workers[row.label, name], builds[row.label, name])
                    for name in contenders_of(row, plan)
                }
                record.add(stage.name, row, measured(row, sides, plan))


def contenders_of(row: Row, plan: Plan) -> list[str]:
    """Who runs a row: ours, and the peer where it is there."""
    if row.beside is None:
        return [row.worker]
    is_there = is_available(row.beside) or (row.beside == "rejax" and plan.rejax is not None)
    return [row.worker, row.beside] if is_there else [row.worker]


def started(name: str, plan: Plan) -> Worker:
    """A worker's process."""
    if name == "rejax":
        here = plan.rejax is not None
        paths = (plan.rejax, *plan.paths) if plan.rejax is not None else ()
        return Worker(name, paths=paths, in_this_environment=here)
    return Worker(name, paths=plan.paths)


def build(worker: Worker, settings: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Prepares and compiles a worker's program: its facts and the seconds of each stage."""
    facts = worker.ask("prepare", seconds=seconds, settings=settings)
    return facts | worker.ask("compile", seconds=seconds)


def measured(row: Row, sides: dict[str, tuple[Worker, Any]], plan: Plan) -> dict[str, Any]:
    """Times a row's contenders in turns, and asks for their costs; or says why it failed."""
    result: dict[str, Any] = {}
    # Where only the peer fails, ours is measured alone.
    if row.beside in sides and sides[row.beside][1].exception() is not None:
        result["peer_failed"] = str(sides[row.beside][1].exception())
        sides = {row.worker: sides[row.worker]}
    try:
        facts = {name: built.result() for name, (_, built) in sides.items()}
        seconds = timed({name: worker for name, (worker, _) in sides.items()}, plan)
        for name, times in seconds.items():
            result[name] = side(facts[name], times)
        if row.beside in result:
            pairs = zip(seconds[row.beside], seconds[row.worker], strict=True)
            result["ratios"] = [theirs / ours for theirs, ours in pairs]
        limit = plan.seconds_of_request()
        if row.worker == "ours":
            for name, (worker, _) in sides.items():
                result[name]["costs"] = worker.ask("costs", seconds=limit)
        if row.profiled:
            result["profile"] = sides[row.worker][0].ask("profile", seconds=limit)
    except (RuntimeError, ValueError) as error:
        result["failed"] = str(error)
    return result


def timed(workers: dict[str, Worker], plan: Plan) -> dict[str, list[float]]:
    """Seconds of the runs of each worker, in turns; the first of a short one does not count."""

    def turn(order: Sequence[str]) -> dict[str, float]:
        limit = plan.seconds_of_request()
        return {name: workers[name].ask("run", seconds=limit)["seconds"] for name in order}

    names = list(workers)
    first = turn(names)
    spent = sum(first.values())
    repeats = 1 if plan.tiny else min(REPEATS, int(SECONDS_OF_REPEATS // max(spent, 1e-3)))
    turns = [turn(names[:: 1 if index % 2 else -1]) for index in range(repeats)] or [first]
    return {name: [times[name] for times in turns] for name in names}


def side(facts: dict[str, Any], seconds: list[float]) -> dict[str, Any]:
    """What was seen of one contender."""
    median = statistics.median(seconds)
    return {
        "seconds": median,
        "all_seconds": seconds,
        "steps": facts["steps"],
        "steps_per_second": facts["steps"] / median,
        "trace_seconds": facts["trace"],
        "compile_seconds": facts["compile"],
        "device": facts["device"],
        "versions": facts["versions"],
    }


class Record:
    """What has been measured so far, kept in a file that is whole after each row.

    Args:
        folder: for the file, which is named after the device.
        arguments: that were given, for the reader.
    """

    def __init__(self, folder: pathlib.Path, arguments: dict[str, Any]) -> None:
        self.folder = folder
        self.content: dict[str, Any] = {
            "machine": describe_machine(),
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "arguments": arguments,
            "device": None,
            "rows": [],
            "checks": [],
        }

    @property
    def file(self) -> pathlib.Path:
        device = self.content["device"] or "unknown device"
        return self.folder / f"accelerator-{device_slug(device)}.json"

    def add(self, stage: str, row: Row, result: dict[str, Any]) -> None:
        """Adds a row, prints a line, and writes the file."""
        kept = {"stage": stage, "label": row.label, "worker": row.worker, "beside": row.beside}
        kept |= {"settings": row.settings, "of_steps": row.of_steps} | result
        if row.worker == "ours":
            kept |= {"iterations": iterations_of(row.settings), "updates": updates_of(row.settings)}
        self.content["rows"].append(kept)
        ours = result.get(row.worker)
        self.content["device"] = self.content["device"] or (ours and ours["device"])
        reason = result.get("failed") or result.get("left_out") or result.get("peer_failed")
        if reason:
            print(f"{stage}: {row.label}: {reason}", flush=True)
        elif ours:
            print(f"{stage}: {row.label}: {ours['seconds']:.3f} s", flush=True)
        self.write()

    def add_check(self, check: dict[str, Any]) -> None:
        """Adds the outcome of a check, prints a line, and writes the file."""
        self.content["checks"].append(check)
        verdict = "passed" if check["passed"] else "FAILED"
        print(f"check: {check['check']}: {verdict}, {check['detail']}", flush=True)
        self.write()

    def write(self) -> None:
        """Writes what there is; the file is never half of it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        half = self.file.with_suffix(".half")
        half.write_text(json.dumps(self.content, indent=1) + "\n")
        half.replace(self.file)


def run_checks(plan: Plan, record: Record) -> None:
    """Runs `workers/device_checks.py`, which prints a line for each check."""
    if plan.seconds_left() <= 0:
        record.add_check({"check": "all", "passed": False, "detail": "no time was left"})
        return
    command = [sys.executable, str(WORKERS / "device_checks.py"), *["--tiny"] * plan.tiny]
    variables = dict(os.environ)
    if plan.paths:
        variables["PYTHONPATH"] = os.pathsep.join(map(str, plan.paths))
    try:
        answer = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            text=True,
            env=variables,
            timeout=plan.seconds_of_request(),
            check=False,
        )
        output = answer.stdout
    except subprocess.TimeoutExpired as error:
        printed = error.stdout or b""
        output = printed.decode() if isinstance(printed, bytes) else printed
        record.add_check({"check": "the rest", "passed": False, "detail": "no time was left"})
    for line in output.splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            record.add_check(json.loads(line))


def stages_for(plan: Plan) -> tuple[Stage, ...]:
    """The stages at sizes that suit the device that is there."""
    if plan.tiny:
        return tiny(stages())
    with started("ceilings", plan) as worker:
        settings = {"kind": "copy", "size": 4_096}
        device = worker.ask("prepare", seconds=plan.seconds_of_request(), settings=settings)
    return on_the_cpu() if device["device"].startswith("cpu") else stages()


def import_paths() -> tuple[pathlib.Path, ...]:
    """Where the workers find what this process would import: this checkout first."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return (ROOT, *(pathlib.Path(path) for path in given if path))


def main() -> None:
    names = [stage.name for stage in stages()]
    order = [*names[:4], CHECKS, *names[4:]]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", nargs="+", default=order, choices=order, metavar="STAGE")
    parser.add_argument("--minutes", type=float, default=7.0, help="begin nothing later")
    parser.add_argument("--at-a-time", type=int, help="programs compiled side by side")
    parser.add_argument("--rejax", type=pathlib.Path, help="a folder with rejax and its gymnax")
    parser.add_argument("--tiny", action="store_true", help="a dry run at toy sizes")
    parser.add_argument(
        "--out", type=pathlib.Path, help="a folder; by default results/, of a dry run a new one"
    )
    arguments = parser.parse_args()
    if not arguments.minutes > 0:
        parser.error(f"--minutes {arguments.minutes:g} must be positive")
    if arguments.at_a_time is not None and arguments.at_a_time < 1:
        parser.error(f"--at-a-time {arguments.at_a_time} must be at least 1")
    if arguments.rejax is not None and not (arguments.rejax / "rejax").is_dir():
        parser.error(f"--rejax {arguments.rejax} has no rejax in it")
    # Workers share the device: none may take all of its memory at its start.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    plan = Plan(
        deadline=time.monotonic() + 60 * arguments.minutes,
        at_a_time=arguments.at_a_time or max(1, min(8, len(os.sched_getaffinity(0)) // 2)),
        paths=import_paths(),
        rejax=arguments.rejax and arguments.rejax.resolve(),
        tiny=arguments.tiny,
    )
    # Toy figures must not take the place of real ones.
    results = pathlib.Path(tempfile.mkdtemp()) if arguments.tiny else HERE / "results"
    shown = {name: getattr(arguments, name) for name in ("stages", "minutes", "tiny")}
    record = Record(arguments.out or results, shown | {"at_a_time": plan.at_a_time})
    all_stages = {stage.name: stage for stage in stages_for(plan)}
    for name in order:
        if name not in arguments.stages:
            continue
        if name == CHECKS:
            run_checks(plan, record)
        else:
            run_stage(all_stages[name], plan, record)
    print(f"\n{table(record.content)}\n\nwritten to {record.file}")
    rows = record.content["rows"]
    failed = [row["label"] for row in rows if {"failed", "peer_failed"} & row.keys()]
    failed += [check["check"] for check in record.content["checks"] if not check["passed"]]
    if failed:
        sys.exit(f"failed: {'; '.join(failed)}")


if __name__ == "__main__":
    main()

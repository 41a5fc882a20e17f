"""Runs where something runs out, then goes on: `python scarcity.py FOLDER [KIND ...]`.

The kinds: disk and inodes (a small file system in memory, which needs the right to mount), size (of
a file), descriptors, memory (address space). Whatever runs out, the run must end with one line, and
must go on to the same bits when there is enough. Prints one JSON line per case.
"""

import contextlib
import io
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import traceback

import jax

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from runs import damage, toy

from jaxrl.runs import ExperimentError, resume, start

CASES = {
    "disk": [4 * x for x in (*range(1, 11), 12, 14, 16, 20, 24, 28, 32, 40, 64, 96)],
    "inodes": [2, 4, 6, 8, 12, 16, 24, 32],
    "size": [64, 256, 400, 700, 1000, 1500, 2000],
    "descriptors": [0, 1, 2, 3, 5, 8],
    "memory": [0, 1, 8, 64],
}


def in_process(function, *arguments):
    """Calls a function in a process of its own; what it returns, and what it wrote to stderr."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.close(reading)
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            try:
                answer = function(*arguments)
            except ExperimentError as error:
                answer = {"refused": str(error)}
            except BaseException:
                answer = {"crashed": traceback.format_exc()[-1500:]}
        data = json.dumps(answer | {"errors": errors.getvalue()}).encode()
        for name in (resource.RLIMIT_FSIZE, resource.RLIMIT_AS, resource.RLIMIT_NOFILE):
            resource.setrlimit(name, (resource.getrlimit(name)[1],) * 2)
        os.write(writing, data[-60_000:] if len(data) > 60_000 else data)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    os.waitpid(process, 0)
    return json.loads(data) if data else {"crashed": "the process ended"}


def run_with(folder, limit):
    """The run, with a limit that begins when everything is compiled and its thread has started.

    A thread of Python's that finds no memory at its very start is waited for without end.
    """
    from jaxrl.runs import session

    save = session.Session._save

    def limited(*arguments):
        session.Session._save = save
        limit()
        return save(*arguments)

    session.Session._save = limited
    return {"finished": start(toy.specification(), folder).finished}


def finish(folder):
    outcome = (
        resume(folder) if (folder / "config.json").exists() else start(toy.specification(), folder)
    )
    return {"finished": outcome.finished, "digest": damage.digest(folder)}


def soft(name, value):
    return lambda: resource.setrlimit(name, (value, resource.getrlimit(name)[1]))


def descriptors(spare):
    """Room for so many more."""

    def limit():
        taken = set(map(int, os.listdir("/proc/self/fd")))
        free = [number for number in range(len(taken) + spare + 1) if number not in taken]
        most = free[spare]
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (most, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        )

    return limit


def memory(megabytes):
    def limit():
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))

    return limit


def mount(folder, *options):
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def case(folder, kind, value):
    """The run's folder, the limit, and what gives it enough again."""
    if kind not in ("disk", "inodes"):
        limits = {
            "size": lambda: soft(resource.RLIMIT_FSIZE, value),
            "descriptors": lambda: descriptors(value),
            "memory": lambda: memory(value),
        }
        yield folder / "run", limits[kind](), lambda: None
        return
    option = f"size={value}k" if kind == "disk" else f"nr_inodes={value}"
    mount(folder, option)
    try:
        more = ["mount", "-o", "remount,size=64m,nr_inodes=0", str(folder)]
        yield folder / "run", lambda: None, lambda: subprocess.run(more, check=True)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def lines_of(answer):
    """What a user would see of how it ended."""
    return [x for x in answer.get("refused", "").splitlines() if x]


def main(base, kinds):
    jax.config.update("jax_compilation_cache_dir", str(base / "cache"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    expected = in_process(finish, base / "whole")["digest"]
    # Imported here: afterwards there may be no descriptor for it.
    verdicts = []
    for kind in kinds:
        for value in CASES[kind]:
            place = base / f"{kind}-{value}"
            place.mkdir()
            with case(place, kind, value) as (folder, limit, enough):
                answer = in_process(run_with, folder, limit)
                enough()
                after = in_process(finish, folder)
            noise = len(answer.get("errors", "").splitlines())
            good = (len(lines_of(answer)) == 1 or answer.get("finished")) and noise <= 4
            verdict = {
                "kind": kind,
                "value": value,
                "said": answer.get("refused") or answer.get("crashed") or "finished",
                "noise": noise,
                "one_line": bool(good),
                "same": after.get("digest") == expected,
            }
            if not verdict["same"]:
                verdict["after"] = after
            if noise > 4:
                verdict["errors"] = answer["errors"][-1500:]
            verdicts.append(verdict)
            print(json.dumps(verdict), flush=True)
            shutil.rmtree(place, ignore_errors=True)
    return verdicts


if __name__ == "__main__":
    toy.install()
    all_of_them = main(pathlib.Path(sys.argv[1]), sys.argv[2:] or list(CASES))
    right = [x for x in all_of_them if x["one_line"] and x["same"]]
    print(f"{len(right)} of {len(all_of_them)}")

"""Kills sweeps at random moments and resumes them: `python killing.py FOLDER COUNT`.

Every sweep is a process of its own, forked before JAX starts any thread. Prints one JSON line per
sweep: the blocks that had ended at each kill, and whether it came to the same table and the same
rows in every block, byte for byte.
"""

import hashlib
import json
import os
import pathlib
import random
import signal
import sys
import time

import jax

from jaxrl import sweeps
from jaxrl.runs import make_members

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from runs import toy
from runs.killing import finish, forked


def make_sweep():
    """12 trials x 2 seeds in two programs, of which four go on after a rung."""
    base = toy.specification(
        total_steps=160, members=make_members(range(2)), checkpoint_interval=16, keep_checkpoints=1
    )
    space = {"learning_rate": [0.1, 0.2, 0.4], "sizes": [(2, 3), (4, 3)], "env.wind": [0.0, 2.0]}
    return sweeps.make_sweep(base, space, sampler="grid", halving=3, rungs=2, validation_seeds=2)


def digest(folder):
    """Of the table, of the rows of every block, and of its results."""
    names = [folder / "trials.jsonl", *folder.rglob("*-result.json")]
    for rows in ("metrics.jsonl", "evaluations.jsonl"):
        names += folder.rglob(rows)
    found = hashlib.sha256()
    for name in sorted(names):
        found.update(name.relative_to(folder).as_posix().encode())
        found.update(name.read_bytes())
    return found.hexdigest()


def ended(folder):
    return len(list((folder / "blocks").glob("*-result.json")))


def kill_and_resume(sweep, folder, chance, seconds):
    """Kills the sweep one to three times, each time at a random moment, then lets it end."""
    killed_at = []
    for _ in range(chance.randint(1, 3)):
        first = not (folder / sweeps.SWEEP).exists()
        process = forked(sweeps.start, sweep, folder) if first else forked(sweeps.resume, folder)
        time.sleep(chance.uniform(0.1, seconds))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        killed_at.append(ended(folder))
    exists = (folder / sweeps.SWEEP).exists()
    finish(forked(sweeps.resume, folder) if exists else forked(sweeps.start, sweep, folder))
    return killed_at


def main():
    base, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    jax.config.update("jax_compilation_cache_dir", str(base / "cache"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    toy.install()
    sweep = make_sweep()
    finish(forked(sweeps.start, sweep, base / "whole"))
    # Timed with a full cache, as the sweeps that are killed have one.
    began = time.monotonic()
    finish(forked(sweeps.start, sweep, base / "again"))
    seconds = time.monotonic() - began
    whole = digest(base / "whole")
    assert digest(base / "again") == whole
    chance = random.Random(0)
    for i in range(count):
        folder = base / f"killed_{i}"
        killed_at = kill_and_resume(sweep, folder, chance, seconds)
        same = digest(folder) == whole
        print(json.dumps({"killed_at": killed_at, "same": same}), flush=True)


if __name__ == "__main__":
    main()

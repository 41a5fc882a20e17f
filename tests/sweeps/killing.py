"""Kills sweeps at random moments and resumes them: `python killing.py FOLDER KIND COUNT`.

Every sweep is a process of its own, forked before JAX starts any thread. Of the kinds "grid" and
"tpe", prints a JSON line per sweep: the blocks that had ended at each kill, and whether it came to
the same table and the same rows in every block, byte for byte. Of the kind "workers", two sweeps
share a study and one of them is killed; each line has what the study and the two tables then hold.
"""

import hashlib
import importlib
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


def grid_sweep():
    """12 trials x 2 seeds in two programs, of which four go on after a rung."""
    space = {"learning_rate": [0.1, 0.2, 0.4], "sizes": [(2, 3), (4, 3)], "env.wind": [0.0, 2.0]}
    return sweeps.make_sweep(
        make_base(), space, sampler="grid", halving=3, rungs=2, validation_seeds=2
    )


def tpe_sweep(**options):
    """Six batches of four trials, of which two each go on; from the fourth on TPE adapts."""
    space = {
        "learning_rate": sweeps.log_uniform(0.05, 0.5),
        "sizes": [(2, 3), (4, 3)],
        "env.wind": sweeps.uniform(0.0, 2.0),
    }
    given = {"trials": 24, "batch": 4, "halving": 2, "rungs": 2, "validation_seeds": 2} | options
    return sweeps.make_sweep(make_base(), space, sampler="tpe", **given)


def make_base():
    return toy.specification(
        total_steps=160, members=make_members(range(2)), checkpoint_interval=16, keep_checkpoints=1
    )


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


def compare(make_sweep, base, count):
    """Kills sweeps and compares them with one that was never killed."""
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


def share(base, count):
    """Two workers on one study, begun at once; one is killed in the middle and resumed."""
    options = {"trials": 12, "halving": None, "validation_seeds": 0}
    began = time.monotonic()
    finish(forked(sweeps.start, tpe_sweep(**options), base / "alone"))
    seconds = time.monotonic() - began
    chance = random.Random(1)
    for i in range(count):
        storage = f"sqlite:///{base}/shared_{i}.db" if i % 2 == 0 else str(base / f"shared_{i}.log")
        folders = [base / f"worker_{i}_{j}" for j in range(2)]
        own = [tpe_sweep(**options, storage=storage, sampler_seed=j) for j in range(2)]
        pair = [
            forked(sweeps.start, sweep, folder) for sweep, folder in zip(own, folders, strict=True)
        ]
        time.sleep(chance.uniform(0.3, seconds))
        os.kill(pair[0], signal.SIGKILL)
        os.waitpid(pair[0], 0)
        begun = (folders[0] / sweeps.SWEEP).exists()
        killed_at = ended(folders[0])
        finish(pair[1])
        if begun:
            finish(forked(sweeps.resume, folders[0]))
        else:
            finish(forked(sweeps.start, own[0], folders[0]))
        print(json.dumps({"killed_at": killed_at} | count_trials(storage, folders)), flush=True)


def count_trials(storage, folders):
    """The trials of the study by their state, and those that stand in the two tables."""
    import optuna

    place = storage
    if "://" not in storage:
        journal = optuna.storages.journal
        place = optuna.storages.JournalStorage(journal.JournalFileBackend(storage))
    study = optuna.load_study(study_name="toy-toy", storage=place)
    values = {trial.number: trial.value for trial in study.trials}
    tables = [sweeps.trial_rows(sweeps.read_sweep(folder), folder) for folder in folders]
    numbers = [list(sweeps.read_sweep(folder).study.numbers) for folder in folders]
    told = [
        values[number] == row["mean"]
        for own, rows in zip(numbers, tables, strict=True)
        for number, row in zip(own, rows, strict=True)
    ]
    return {
        "states": sorted({trial.state.name for trial in study.trials}),
        "in_study": sorted(values),
        "in_tables": sorted(numbers[0] + numbers[1]),
        "told": all(told),
    }


def main():
    base, kind, count = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    jax.config.update("jax_compilation_cache_dir", str(base / "cache"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    toy.install()
    if kind != "grid":
        # Once for all, before the processes are forked.
        importlib.import_module("jaxrl.sweeps.asking")
    if kind == "workers":
        share(base, count)
    else:
        compare({"grid": grid_sweep, "tpe": tpe_sweep}[kind], base, count)


if __name__ == "__main__":
    main()

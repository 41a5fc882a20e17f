"""Kills runs at random moments and resumes them: `python killing.py FOLDER KIND COUNT`.

The kinds are `toy`, `grid`, `ppo`, `gru` and the name of any algorithm. Every run is a process of
its own, forked before JAX starts any thread, so that none pays for the imports. Beside every third
run another process reads its folder over and over, while checkpoints come and go. Prints one JSON
line per run.
"""

import hashlib
import json
import os
import pathlib
import random
import signal
import sys
import time
import traceback
from functools import partial

import jax
import numpy as np

from jaxrl import PPOConfig, registry
from jaxrl.runs import ExperimentError, Specification, load, make_members, resume, start

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from runs import toy
from small_runs import SMALL


def ppo_specification():
    return Specification(
        algorithm="ppo",
        environment="CartPole-v1",
        settings=PPOConfig(
            total_steps=60_000, num_envs=8, num_steps=32, normalize_observations=True
        ),
        members=make_members(range(4)),
        evaluation_interval=9_000,
        evaluation_episodes=5,
        checkpoint_interval=5_000,
    )


def grid_specification():
    """3 learning rates x 2 gravities x 4 seeds, in one program."""
    return Specification(
        algorithm="ppo",
        environment="CartPole-v1",
        settings=PPOConfig(total_steps=8_000, num_envs=4, num_steps=32, hidden_sizes=(16,)),
        members=make_members(
            range(4),
            settings={"learning_rate": [1e-4, 1e-3, 1e-2]},
            environment_parameters={"gravity": [9.8, 20.0]},
        ),
        evaluation_interval=2_000,
        evaluation_episodes=2,
        checkpoint_interval=1_000,
    )


def small_specification(algorithm, **settings):
    """Two members of any algorithm, some twenty rows each and as many checkpoints."""
    entry = registry.get(algorithm)
    in_whole_episodes = "num_envs" not in entry.settings.__dataclass_fields__
    steps = 40_000 if in_whole_episodes else 4_000
    own = SMALL.get(algorithm, {}) | settings
    return Specification(
        algorithm=algorithm,
        environment="Pendulum-v1" if algorithm in ("ddpg", "td3", "sac") else "CartPole-v1",
        settings=entry.settings(total_steps=steps, **own),
        members=make_members(range(2)),
        log_interval=steps // 20,
        evaluation_interval=steps // 5,
        evaluation_episodes=2,
        checkpoint_interval=steps // 20,
        keep_checkpoints=1,
    )


SPECIFICATIONS = {
    "gru": lambda: small_specification("ppo", core="gru", core_size=4),
    "toy": lambda: toy.specification(
        total_steps=160,
        members=make_members(range(2), settings={"learning_rate": [0.1, 1.0]}),
    ),
    "grid": grid_specification,
    "ppo": ppo_specification,
}


def forked(function, *arguments):
    """Calls a function in a process of its own and returns its id."""
    process = os.fork()
    if process:
        return process
    try:
        function(*arguments)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def finish(process):
    _, status = os.waitpid(process, 0)
    assert status == 0, f"exit status {status}"


def digest_after(function, *arguments):
    """Runs to the end, then leaves a digest of the final state beside the folder."""
    folder = function(*arguments).folder
    state = load(folder).states
    leaves = [
        jax.random.key_data(leaf)
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        else leaf
        for leaf in jax.tree.leaves(state)
    ]
    data = b"".join(np.asarray(leaf).tobytes() for leaf in leaves)
    folder.with_suffix(".digest").write_text(hashlib.sha256(data).hexdigest())


def outcome(folder):
    names = [folder / "metrics.jsonl", folder / "evaluations.jsonl", folder.with_suffix(".digest")]
    return [hashlib.sha256(name.read_bytes()).hexdigest() for name in names]


def rows(folder):
    path = folder / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_a_moment(process, folder, chance, seconds, total):
    """Half of the kills come at any time, half as soon as some number of rows is there."""
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0, seconds))
        return
    wanted = chance.randrange(1, total)
    while rows(folder) < wanted and not os.waitid(
        os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT
    ):
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.02))


def read_over_and_over(folder):
    """Loads a run until the process is ended; what cannot be read yet is one clear error."""
    while True:
        try:
            load(folder)
        except ExperimentError:
            time.sleep(0.01)


def end_reader(process):
    """Whether it was still at work."""
    ended, _ = os.waitpid(process, os.WNOHANG)
    if not ended:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    return not ended


def kill_and_resume(specification, folder, chance, seconds, total):
    """Kills the run one to three times, each time at a random moment, then lets it end."""
    killed_at = []
    for _ in range(chance.randint(1, 3)):
        first = not (folder / "config.json").exists()
        process = forked(start, specification, folder) if first else forked(resume, folder)
        wait_for_a_moment(process, folder, chance, seconds, total)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        killed_at.append(rows(folder))
    exists = (folder / "config.json").exists()
    last = (resume, folder) if exists else (start, specification, folder)
    finish(forked(digest_after, *last))
    return killed_at


def main():
    base, algorithm, count = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    jax.config.update("jax_compilation_cache_dir", str(base / "cache"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    if algorithm == "toy":
        toy.install()
    specification = SPECIFICATIONS.get(algorithm, partial(small_specification, algorithm))()
    whole = base / "whole"
    finish(forked(digest_after, start, specification, whole))
    # Timed with a full cache, as the runs that are killed have one.
    began = time.monotonic()
    finish(forked(digest_after, start, specification, base / "again"))
    seconds = time.monotonic() - began
    assert outcome(base / "again") == outcome(whole)
    chance = random.Random(0)
    for i in range(count):
        folder = base / f"killed_{i}"
        reader = forked(read_over_and_over, folder) if i % 3 == 2 else None
        killed_at = kill_and_resume(specification, folder, chance, seconds, rows(whole))
        was_reading = reader is None or end_reader(reader)
        same = was_reading and outcome(folder) == outcome(whole)
        print(json.dumps({"killed_at": killed_at, "of": rows(whole), "same": same}), flush=True)


if __name__ == "__main__":
    main()

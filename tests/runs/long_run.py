"""Prints how resident memory grows with checkpoints: `python long_run.py FOLDER COUNT`."""

import json
import pathlib
import sys

import jax

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from runs import toy

from jaxrl.runs import start


def resident():
    """Of this process, in KiB."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def main(folder, count):
    """A run that saves after every row; one JSON line per hundred of them."""
    from jaxrl.runs import checkpoints

    save, sizes = checkpoints.save, []

    def saving(*arguments, **keywords):
        save(*arguments, **keywords)
        sizes.append(resident())
        if len(sizes) % 100 == 0:
            print(json.dumps({"checkpoints": len(sizes), "kib": sizes[-1]}), flush=True)

    checkpoints.save = saving
    steps = toy.STEPS_PER_ITERATION
    start(
        toy.specification(
            total_steps=steps * count,
            log_interval=steps,
            checkpoint_interval=steps,
            evaluation_episodes=0,
        ),
        folder,
    )
    return sizes


if __name__ == "__main__":
    jax.config.update("jax_enable_compilation_cache", False)
    toy.install()
    grown = main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
    half = len(grown) // 2
    print(json.dumps({"kib_per_checkpoint": (grown[-1] - grown[half]) / (len(grown) - half)}))

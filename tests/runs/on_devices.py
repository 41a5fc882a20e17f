"""Runs of the toy and of PPO, on all devices that there are: `python on_devices.py FOLDER [FROM]`.

With FROM, the folder of another such call, its toy run also goes on from an earlier checkpoint.
"""

import pathlib
import shutil
import sys

from jaxrl import PPOConfig, runs

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from runs import toy


def ppo_specification():
    """8 members: more than one for each of four devices."""
    return runs.Specification(
        algorithm="ppo",
        environment="CartPole-v1",
        settings=PPOConfig(total_steps=2_048, num_steps=32, hidden_sizes=(8,)),
        members=runs.make_members(
            range(2),
            settings={"learning_rate": [1e-3, 3e-3]},
            environment_parameters={"gravity": [9.8, 12.0]},
        ),
        evaluation_episodes=0,
    )


def main():
    folder = pathlib.Path(sys.argv[1])
    runs.start(ppo_specification(), folder / "ppo")
    toy.install()
    for count in (4, 6, 5):
        for varies in (False, True):
            specification = toy.specification(
                varies=varies, members=runs.make_members(range(count))
            )
            runs.start(specification, folder / f"toy-{count}-{varies}")
    if len(sys.argv) > 2:
        copy = folder / "continued"
        shutil.copytree(pathlib.Path(sys.argv[2]) / "toy-4-True", copy)
        shutil.rmtree(max((copy / "checkpoints").iterdir(), key=lambda path: int(path.name)))
        runs.resume(copy)


if __name__ == "__main__":
    main()

"""Trains with the environments over all devices, and on one: `python on_environments.py FOLDER`.

Prints one JSON line per algorithm: how far the parameters are apart in the end.
"""

import dataclasses
import json
import pathlib
import sys

import jax
import numpy as np

import jaxrl
from jaxrl import runs

ITERATIONS = 10
NUM_ENVS = 1024
CONFIGS = {
    "ppo": jaxrl.PPOConfig(num_envs=NUM_ENVS, num_steps=8, normalize_observations=True),
    "a2c": jaxrl.A2CConfig(num_envs=NUM_ENVS, num_steps=5, normalize_rewards=True),
    "impala": jaxrl.IMPALAConfig(num_envs=NUM_ENVS, num_steps=5),
    "trpo": jaxrl.TRPOConfig(num_envs=NUM_ENVS, num_steps=8),
    "pqn": jaxrl.PQNConfig(num_envs=NUM_ENVS, num_steps=8),
    "reinforce": jaxrl.ReinforceConfig(num_episodes=64, baseline="value"),
}


def specification(name, config):
    steps = ITERATIONS * 64 * 20
    if name != "reinforce":
        steps = ITERATIONS * config.num_envs * config.num_steps
    return runs.Specification(
        algorithm=name,
        environment="CartPole-v1",
        settings=dataclasses.replace(config, total_steps=steps),
        environment_parameters={"max_steps_in_episode": 50},
        evaluation_episodes=4 if name == "ppo" else 0,
        shard="envs",
    )


def trained(run, folder):
    runs.start(run, folder)
    return runs.load(folder)


def distance(one, other):
    """The largest difference of any parameter."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(np.abs(np.asarray(x) - np.asarray(y)).max()) for x, y in pairs)


def parameters(agent):
    """The parameters in an agent's state, which may be inside of others."""
    while not hasattr(agent, "params"):
        agent = agent.learner if hasattr(agent, "learner") else agent.agent
    return agent.params


def main():
    folder = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or CONFIGS:
        run = specification(name, CONFIGS[name])
        over = trained(run, folder / name)
        alone = trained(dataclasses.replace(run, shard="members"), folder / f"{name}-one")
        first = alone.algorithm_of(0).init(jax.random.split(jax.random.key(0), 3)[0])
        one = parameters(alone.state_of(0).agent)
        answer = {
            "name": name,
            "devices": len(jax.local_devices()),
            "steps": [int(np.max(x.progress.steps)) for x in (over, alone)],
            "distance": distance(parameters(over.state_of(0).agent), one),
            "moved": distance(parameters(first.agent), one),
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

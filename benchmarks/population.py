"""Environment steps per second of a population's episodes, beside a rollout and a NumPy loop.

    python benchmarks/population.py

Beside PPO's pure rollout (`loops.worlds.collect`) the network and the number of environments are
the same. In Pendulum every episode lasts as long as the others; in CartPole the program runs until
the last episode has ended, and only the steps of unfinished episodes count: that costs much between
random policies, which last 20 steps and now and then 500, and little around a trained one. The loop
of NumPy plays linear greedy policies in Gymnasium's CartPole, one episode after the other.

The candidates are drawn before the clock starts, as PPO's parameters are there before its rollout.
All are timed in one process, in turns; a ratio is taken within a turn. The result goes into
`benchmarks/results/population.json`.
"""

import argparse
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import numpy as np
from machine import describe_machine

import jaxrl
from jaxrl.environments import clip_actions, flatten_actions, record_episode_statistics
from jaxrl.loops.episodes import play_population
from jaxrl.loops.population import vector_policy
from jaxrl.loops.worlds import collect, start_worlds
from jaxrl.networks import policy_network
from jaxrl.policy_gradient import make_actor

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "population.json"
# Environment, candidates, episodes of each, widths of the hidden layers, around what.
CASES = (
    ("Pendulum-v1", 64, 1, (64, 64), "random"),
    ("Pendulum-v1", 64, 8, (64, 64), "random"),
    ("Pendulum-v1", 64, 8, (), "random"),
    ("Pendulum-v1", 24, 1, (32, 32), "random"),
    ("CartPole-v1", 64, 1, (64, 64), "trained"),
    ("CartPole-v1", 64, 8, (64, 64), "trained"),
    ("CartPole-v1", 64, 8, (), "trained"),
    ("CartPole-v1", 1024, 1, (), "trained"),
    ("CartPole-v1", 1024, 1, (), "random"),
    ("CartPole-v1", 64, 1, (), "random"),
)
ROLLOUT_STEPS = 200
Run = Callable[[int], int]


def population_run(
    name: str,
    num_candidates: int,
    num_episodes: int,
    hidden_sizes: tuple[int, ...],
    around: str,
    num_seeds: int,
) -> Run:
    """A function of a seed that plays a whole population and gives the steps that count."""
    center = trained_vector(name, hidden_sizes) if around == "trained" else 0.0
    noise_scale = 0.05 if around == "trained" else 0.5
    environment = clip_actions(flatten_actions(jaxrl.make_env(name)))
    network = policy_network(
        environment.observation_space, environment.action_space, hidden_sizes=hidden_sizes
    )
    policy = vector_policy(network, environment.observation_space)
    size = jax.eval_shape(policy.init, jax.random.key(0)).size

    def draw(key: jax.Array) -> jax.Array:
        return center + noise_scale * jax.random.normal(key, (num_candidates, size))

    @jax.jit
    def play(key: jax.Array, candidates: jax.Array) -> Any:
        params = jax.vmap(policy.unravel)(candidates)
        played = play_population(key, environment, policy.act, params, num_episodes=num_episodes)
        return played.lengths.sum(), played.returns

    keys = [jax.random.split(jax.random.key(seed)) for seed in range(num_seeds)]
    candidates = [jax.block_until_ready(jax.jit(draw)(key)) for key, _ in keys]

    def run(seed: int) -> int:
        return int(jax.block_until_ready(play(keys[seed][1], candidates[seed]))[0])

    return run


def trained_vector(name: str, hidden_sizes: tuple[int, ...]) -> jax.Array:
    """Parameters that OpenES finds in 20 iterations."""
    config = jaxrl.OpenESConfig(
        total_steps=500_000, hidden_sizes=hidden_sizes, noise_scale=0.05, learning_rate=0.05
    )
    algorithm = jaxrl.openes(jaxrl.make_env(name), config)
    return jax.jit(lambda key: jaxrl.train(key, algorithm).state.search.mean)(jax.random.key(0))


def rollout_run(name: str, num_envs: int, hidden_sizes: tuple[int, ...]) -> Run:
    """A function of a seed that collects PPO's rollout and gives its steps."""
    environment = flatten_actions(jaxrl.make_env(name))
    spaces = environment.observation_space, environment.action_space
    actor = make_actor(*spaces, jaxrl.PPOConfig(hidden_sizes=hidden_sizes))
    recorded = record_episode_statistics(clip_actions(environment))
    key_params, key_worlds = jax.random.split(jax.random.key(0))
    params = jax.jit(actor.init)(key_params)
    worlds = start_worlds(key_worlds, recorded, actor.start, num_envs=num_envs)

    @jax.jit
    def run(key: jax.Array) -> Any:
        def act(key: jax.Array, carry: Any, observation: Any) -> Any:
            return actor.act(key, params, carry, observation)

        return collect(key, recorded, act, actor.start, worlds, num_steps=ROLLOUT_STEPS)[1:]

    def timed(seed: int) -> int:
        jax.block_until_ready(run(jax.random.key(seed)))
        return num_envs * ROLLOUT_STEPS

    return timed


def numpy_run(num_steps: int = 20_000) -> Run:
    """A function of a seed that plays random linear policies in Gymnasium's CartPole."""
    environment = gymnasium.make("CartPole-v1").unwrapped

    def run(seed: int) -> int:
        generator = np.random.default_rng(seed)
        steps = 0
        while steps < num_steps:
            weights = 0.5 * generator.normal(size=(2, 4))
            observation, _ = environment.reset(seed=int(generator.integers(2**31)))
            for _ in range(500):
                observation, _, terminated, _, _ = environment.step(
                    (weights @ observation).argmax()
                )
                steps += 1
                if terminated:
                    break
        return steps

    return run


def compare(ours: Run, theirs: Run, *, pairs: int) -> dict[str, Any]:
    """Steps per second of both, in turns, and the median of the turns' ratios."""
    speeds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for run in (ours, theirs):
        run(0)
    for seed in range(1, pairs + 1):
        for side, run in (("ours", ours), ("theirs", theirs))[:: 1 if seed % 2 else -1]:
            start = time.perf_counter()
            steps = run(seed)
            speeds[side].append(steps / (time.perf_counter() - start))
    ratios = [a / b for a, b in zip(speeds["ours"], speeds["theirs"], strict=True)]
    medians = {f"{side}_steps_per_second": float(np.median(x)) for side, x in speeds.items()}
    return medians | {"ratio": float(np.median(ratios)), "ratios": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    rows = []
    for name, candidates, episodes, sizes, around in CASES:
        case = {"environment": name, "candidates": candidates, "episodes": episodes}
        ours = population_run(
            name, candidates, episodes, sizes, around, num_seeds=arguments.pairs + 1
        )
        rivals = {"PPO's pure rollout": rollout_run(name, candidates * episodes, sizes)}
        if name == "CartPole-v1" and not sizes:
            rivals["NumPy and Gymnasium"] = numpy_run()
        for beside, theirs in rivals.items():
            row = case | {"hidden_sizes": sizes, "around": around, "beside": beside}
            rows.append(row | compare(ours, theirs, pairs=arguments.pairs))
            print(
                f"{name}, {candidates} x {episodes}, hidden {sizes}, {around}: "
                f"{rows[-1]['ours_steps_per_second']:,.0f} steps/s beside "
                f"{rows[-1]['theirs_steps_per_second']:,.0f} of {beside}: {rows[-1]['ratio']:.2f}",
                flush=True,
            )
    content = {"machine": describe_machine(), "jax": jax.__version__, "results": rows}
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

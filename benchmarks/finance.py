"""How fast orders are sold: steps of a TWAP policy, and PPO on liquidation beside CartPole.

    python benchmarks/finance.py

The first number is of a scan over vmapped steps, each with its policy and a fresh start where an
order has ended; random numbers are drawn from a key per environment and step. PPO trains on both
tasks with the same settings, in runs right after one another whose order alternates; its ratio is
the median of those within a pair. Above 1, liquidation is faster.
"""

import argparse
import json
import pathlib
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
from machine import describe_machine

import jaxrl
from jaxrl.environments.finance import twap_policy
from jaxrl.loops.worlds import where_ended

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "finance.json"
TASK, OTHER = "finance/liquidation", "CartPole-v1"


def seconds_of(run: Any, seed: int) -> float:
    start = time.perf_counter()
    jax.block_until_ready(run(jax.random.key(seed)))
    return time.perf_counter() - start


def twap_rate(num_envs: int, num_steps: int, repeats: int) -> list[float]:
    """Steps per second of TWAP, one number a run."""
    environment, policy = jaxrl.make_env(TASK), twap_policy()

    def act_and_step(key: jax.Array, state: Any, observation: Any) -> Any:
        _, action = policy.act(key, (), observation)
        state, step = environment.step(key, state, action)
        fresh = environment.reset(key)
        state, observation = where_ended(step.terminated, fresh, (state, step.observation))
        return state, observation, step.reward

    @jax.jit
    def run(key: jax.Array) -> jax.Array:
        key_reset, key_steps = jax.random.split(key)
        world = jax.vmap(environment.reset)(jax.random.split(key_reset, num_envs))

        def step(world: Any, key: jax.Array) -> Any:
            keys = jax.random.split(key, num_envs)
            state, observation, reward = jax.vmap(act_and_step)(keys, *world)
            return (state, observation), jnp.sum(reward)

        return jax.lax.scan(step, world, jax.random.split(key_steps, num_steps))[1]

    seconds_of(run, 0)  # Compiles.
    return [num_envs * num_steps / seconds_of(run, seed + 1) for seed in range(repeats)]


def ppo_rates(
    num_envs: int, num_steps: int, total_steps: int, pairs: int
) -> dict[str, list[float]]:
    """Steps per second of PPO's training on both tasks, one number a run."""
    config = jaxrl.PPOConfig(num_envs=num_envs, num_steps=num_steps, total_steps=total_steps)

    def training(name: str) -> Any:
        algorithm = jaxrl.ppo(jaxrl.make_env(name), config)
        return jax.jit(lambda key: jaxrl.train(key, algorithm).state.agent)

    runs = {name: training(name) for name in (TASK, OTHER)}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        seconds_of(run, 0)
    for pair in range(pairs):
        for name in list(runs)[:: -1 if pair % 2 else 1]:
            rates[name].append(total_steps / seconds_of(runs[name], pair + 1))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-envs", type=int, default=4096)
    parser.add_argument("--num-steps", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--ppo-steps", type=int, default=262_144)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    twap = twap_rate(arguments.num_envs, arguments.num_steps, arguments.pairs)
    print(
        f"TWAP, {arguments.num_envs} environments: {statistics.median(twap):.3g} steps/s",
        flush=True,
    )
    ppo = ppo_rates(64, 128, arguments.ppo_steps, arguments.pairs)
    ratios = [one / other for one, other in zip(ppo[TASK], ppo[OTHER], strict=True)]
    for name, rates in ppo.items():
        print(f"PPO on {name}: {statistics.median(rates):.3g} steps/s")
    ratio = statistics.median(ratios)
    print(f"ratio {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    content = {
        "num_envs": arguments.num_envs,
        "twap_steps_per_second": twap,
        "ppo_steps_per_second": ppo,
        "ratio": ratio,
        "ratios": ratios,
        "device": jax.devices()[0].device_kind,
        "versions": {"jaxrl": jaxrl.__version__, "jax": jax.__version__},
        "machine": describe_machine(),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

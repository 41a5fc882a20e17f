"""Population-based training beside random search: PPO on Acrobot, learning rates over four decades.

    python benchmarks/population_based.py                     # seeds 1000 to 1009
    python benchmarks/population_based.py --first-seed 2000 --repetitions 2 --out /tmp/x.json

Both train the same number of members for the same number of environment steps, and begin with the
same learning rates. Random search leaves them alone. Either's winner is the member whose training
episodes were best in the last generation; what counts is its policy, on fresh episodes. The result
is `benchmarks/results/population-based.json`.
"""

import argparse
import json
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from intervals import interval_of
from machine import describe_machine

import jaxrl
from jaxrl.sweeps import best_member, log_uniform, population_based

RESULT = pathlib.Path(__file__).resolve().parent / "results" / "population-based.json"
ENVIRONMENT = "Acrobot-v1"
RANGE = (1e-5, 1e-1)
MEMBERS = 8
GENERATION = 10  # iterations
EPISODES = 256
SETTINGS: dict[str, Any] = {
    "total_steps": 102_400,
    "num_envs": 8,
    "num_steps": 128,
    "hidden_sizes": (32, 32),
    "normalize_observations": True,
}
POPULATION: dict[str, Any] = {"exploitation": "truncation", "fraction": 0.25}


def member(settings: dict[str, Any]) -> jaxrl.training.Algorithm:
    return jaxrl.ppo(jaxrl.make_env(ENVIRONMENT), jaxrl.PPOConfig(**SETTINGS, **settings))


def returns_of(key: jax.Array, algorithm: Any, state: Any) -> jax.Array:
    """Mean return of fresh episodes of an algorithm's policy."""
    policy = algorithm.policy(state)
    played = jaxrl.evaluate(key, algorithm.environment, policy, num_episodes=EPISODES)
    return jnp.mean(played.returns)


def train_population(key: jax.Array) -> dict[str, jax.Array]:
    """One repetition of population-based training; `start` holds its first learning rates."""
    key_train, key_evaluation = jax.random.split(key)
    space = {"learning_rate": log_uniform(*RANGE)}
    algorithm = population_based(
        member, space, population_size=MEMBERS, interval=GENERATION, **POPULATION
    )
    state = jaxrl.train(key_train, algorithm).state
    best = best_member(state)
    return {
        "return": returns_of(key_evaluation, algorithm, state),
        "training_return": state.scores[best],
        "learning_rate": state.settings["learning_rate"][best],
        "start": state.lineage.settings["learning_rate"][0],
        "mean_training_return": jnp.mean(state.scores),
        "copies": jnp.sum(state.lineage.parents != jnp.arange(MEMBERS)),
    }


def search_randomly(key: jax.Array, learning_rates: jax.Array) -> dict[str, jax.Array]:
    """One repetition of random search with given learning rates [MEMBERS]."""
    key_train, key_evaluation = jax.random.split(key)

    def train(key: jax.Array, learning_rate: jax.Array) -> Any:
        result = jaxrl.train(key, member({"learning_rate": learning_rate}))
        last = {name: rows[-GENERATION:] for name, rows in result.metrics.items()}
        total = jnp.sum(
            jnp.where(last["episodes"] > 0, last["episode_return"], 0.0) * last["episodes"]
        )
        return result.state, total / jnp.sum(last["episodes"])

    states, scores = jax.vmap(train)(jax.random.split(key_train, MEMBERS), learning_rates)
    best = jnp.argmax(jnp.where(jnp.isfinite(scores), scores, -jnp.inf))
    state = jax.tree.map(lambda x: x[best], states)
    winner = member({"learning_rate": learning_rates[best]})
    return {
        "return": returns_of(key_evaluation, winner, state),
        "training_return": scores[best],
        "learning_rate": learning_rates[best],
        "mean_training_return": jnp.mean(scores),
    }


def measure(seeds: range) -> dict[str, Any]:
    """Both methods, one program each for all repetitions."""
    keys = jax.vmap(jax.random.key)(np.array(seeds, np.uint32))
    began = time.perf_counter()
    population = jax.device_get(jax.jit(jax.vmap(train_population))(keys))
    middle = time.perf_counter()
    found = jax.device_get(jax.jit(jax.vmap(search_randomly))(keys, population["start"]))
    ended = time.perf_counter()
    difference = population["return"] - found["return"]
    means = {"population_based": population, "random_search": found}
    return {
        "population_based": {name: values.tolist() for name, values in population.items()},
        "random_search": {name: values.tolist() for name, values in found.items()},
        "mean_return": {name: float(values["return"].mean()) for name, values in means.items()},
        "least_return": {name: float(values["return"].min()) for name, values in means.items()},
        "difference": interval_of(difference),
        "seconds_with_compilation": [middle - began, ended - middle],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--out", type=pathlib.Path, default=RESULT)
    arguments = parser.parse_args()
    if arguments.repetitions < 2:
        parser.error(f"--repetitions {arguments.repetitions} must be at least 2, for an interval")
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.repetitions)
    facts = {
        "environment": ENVIRONMENT,
        "settings": SETTINGS,
        "learning_rates": RANGE,
        "members": MEMBERS,
        "interval": GENERATION,
        "population": POPULATION,
        "seeds": [seeds.start, seeds.stop - 1],
        "episodes": EPISODES,
        "versions": {"jaxrl": jaxrl.__version__, "jax": jax.__version__},
        "machine": describe_machine(),
    }
    results = measure(seeds)
    arguments.out.write_text(json.dumps(facts | {"results": results}, indent=1) + "\n")
    print(
        json.dumps({name: results[name] for name in ("mean_return", "least_return", "difference")})
    )


if __name__ == "__main__":
    main()

"""Whether training is right on the device that is there: one line of JSON for each check.

python benchmarks/workers/device_checks.py
python benchmarks/workers/device_checks.py --tiny
"""

import argparse
import functools
import json
import time
import traceback
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl
from jaxrl.presets import preset_settings
from jaxrl.replay.sum_tree import find, init_sum_tree, set_weights, total_weight
from jaxrl.types import Algorithm

# What the two devices' means may differ by, in standard errors of their difference.
STANDARD_ERRORS = 3.0
RESUMED = ("ppo", "dqn")


def same_bits_twice() -> str:
    """The same key gives the same bits twice."""
    for name in algorithms():
        first, second = (bits(solo(name)(jax.random.key(0))) for _ in range(2))
        require(equal(first, second), f"{name} gives other bits the second time")
    return ", ".join(algorithms())


def a_member_is_its_solo_run() -> str:
    """Seed 3 of 8 ends as it does alone, within rounding; with products in full precision."""
    worst = 0.0
    keys = jax.random.split(jax.random.key(0), 8)
    for name in algorithms():
        together = jax.tree.map(lambda x: x[3], jax.jit(jax.vmap(solo(name)))(keys))
        difference = largest_difference(bits(together), bits(solo(name)(keys[3])))
        require(difference < 1e-2, f"{name} differs by {difference:.1e}")
        worst = max(worst, difference)
    return f"largest difference {worst:.1e}"


def resumed_is_uncut() -> str:
    """A run that is cut in two, its state carried through the host, ends with the same bits."""
    for name in RESUMED:
        algorithm = algorithms()[name]
        count = min(algorithm.max_iterations, 8)
        start = algorithm.init(jax.random.key(0))
        progress = jaxrl.Progress(jnp.int32(0), jnp.int32(algorithm.first_steps))

        @jax.jit
        def advance(state: Any, progress: Any, until: Any, algorithm: Algorithm = algorithm) -> Any:
            rows = min(algorithm.max_iterations, 8)
            return jaxrl.advance(
                jax.random.key(1), algorithm, state, progress, num_rows=rows, until_steps=until
            )[:2]

        step = algorithm.steps_per_iteration or 1
        end = algorithm.first_steps + count * step
        middle = algorithm.first_steps + count // 2 * step
        uncut = advance(start, progress, end)
        half = through_host(advance(start, progress, middle))
        require(equal(bits(uncut), bits(advance(*half, end))), f"{name} ends with other bits")
    return ", ".join(RESUMED)


def priorities_are_found() -> str:
    """Each of 100,000 equal leaves is found at the middle of its share."""
    count = 100_000
    tree = set_weights(init_sum_tree(count), jnp.arange(count), jnp.ones(count))
    found, weight = jax.jit(find)(tree, jnp.arange(count) + 0.5)
    require(float(total_weight(tree)) == count, "the sum of the leaves is not exact")
    wrong = int((np.asarray(found) != np.arange(count)).sum())
    require(wrong == 0, f"{wrong} of {count} leaves were not found")
    require(bool((weight == 1).all()), "a weight is not that of its leaf")
    return f"{count:,} leaves"


def returns_are_those_of_the_cpu(*, num_seeds: int = 8, total_steps: int = 100_000) -> str:
    """PPO's returns in CartPole on this device and on the CPU lie within their errors."""
    environment = jaxrl.make_env("CartPole-v1")
    algorithm = jaxrl.ppo(
        environment, preset_settings("ppo", environment.name, total_steps=total_steps)
    )

    def returns(key: jax.Array) -> jax.Array:
        key_train, key_evaluate = jax.random.split(key)
        policy = algorithm.policy(jaxrl.train(key_train, algorithm).state)
        return jaxrl.evaluate(key_evaluate, environment, policy, num_episodes=32).returns.mean()

    seeds = {"here": 0, "cpu": num_seeds}
    samples = {}
    for where, device in (("here", jax.devices()[0]), ("cpu", jax.devices("cpu")[0])):
        with jax.default_device(device):
            keys = jax.vmap(jax.random.key)(seeds[where] + jnp.arange(num_seeds))
            samples[where] = np.asarray(jax.jit(jax.vmap(returns))(keys), np.float64)
    here, cpu = samples["here"], samples["cpu"]
    error = np.sqrt((here.var(ddof=1) + cpu.var(ddof=1)) / num_seeds)
    difference = abs(here.mean() - cpu.mean())
    require(difference <= STANDARD_ERRORS * error + 1.0, f"{here.mean():.1f}, CPU {cpu.mean():.1f}")
    return f"{here.mean():.1f}, on the CPU {cpu.mean():.1f}, of {num_seeds} seeds each"


@functools.cache
def solo(name: str) -> Callable[[jax.Array], Any]:
    """A compiled run of one seed, with products in full precision: (key) -> state."""

    def train(key: jax.Array) -> Any:
        with jax.default_matmul_precision("highest"):
            return jaxrl.train(key, algorithms()[name]).state

    return jax.jit(train)


@functools.cache
def algorithms() -> dict[str, Algorithm]:
    """Small runs of one algorithm of each loop."""
    cart_pole, pendulum = jaxrl.make_env("CartPole-v1"), jaxrl.make_env("Pendulum-v1")
    small = {"hidden_sizes": (16,), "batch_size": 16, "buffer_size": 256, "random_steps": 32}
    rollout = jaxrl.PPOConfig(total_steps=8 * 64, num_envs=4, num_steps=16, hidden_sizes=(16,))
    prioritized = jaxrl.DQNConfig(total_steps=64, prioritized=True, **small)
    search = jaxrl.CEMConfig(total_steps=2_000, population_size=8, hidden_sizes=(8,))
    return {
        "ppo": jaxrl.ppo(cart_pole, rollout),
        "dqn": jaxrl.dqn(cart_pole, prioritized),
        "sac": jaxrl.sac(pendulum, jaxrl.SACConfig(total_steps=64, **small)),
        "cem": jaxrl.cem(cart_pole, search),
    }


def require(holds: bool, message: str) -> None:
    """Fails a check."""
    if not holds:
        raise RuntimeError(message)


def bits(tree: Any) -> list[np.ndarray]:
    """A state's leaves on the host, keys as their numbers."""
    return [np.asarray(leaf) for leaf in jax.tree.leaves(without_keys(tree))]


def without_keys(tree: Any) -> Any:
    """A tree with its typed keys as plain numbers."""

    def plain(leaf: jax.Array) -> jax.Array:
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(leaf) if is_key else leaf

    return jax.tree.map(plain, tree)


def through_host(tree: Any) -> Any:
    """A tree whose arrays were copied to the host and back."""

    def carried(leaf: jax.Array) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(np.asarray(jax.random.key_data(leaf)))
        return jnp.asarray(np.asarray(leaf))

    return jax.tree.map(carried, tree)


def equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    """Whether all bits are the same."""
    return all(x.tobytes() == y.tobytes() for x, y in zip(first, second, strict=True))


def largest_difference(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    """Of the floats, beside the larger of 1 and their size."""
    differences = [
        np.max(np.abs(x - y) / np.maximum(1.0, np.abs(y)), initial=0.0)
        for x, y in zip(first, second, strict=True)
        if np.issubdtype(x.dtype, np.floating)
    ]
    return float(max(differences))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="train for a moment only")
    sizes = {"num_seeds": 2, "total_steps": 1_000} if parser.parse_args().tiny else {}
    checks: dict[str, Callable[[], str]] = {
        "the same key gives the same bits twice": same_bits_twice,
        "a member of a batch is its solo run": a_member_is_its_solo_run,
        "a resumed run ends with the same bits": resumed_is_uncut,
        "every priority is found": priorities_are_found,
        "returns are those of the CPU": lambda: returns_are_those_of_the_cpu(**sizes),
    }
    for name, check in checks.items():
        start = time.perf_counter()
        try:
            result = {"passed": True, "detail": check()}
        except Exception as error:
            traceback.print_exc()
            result = {"passed": False, "detail": f"{type(error).__name__}: {error}"}
        seconds = time.perf_counter() - start
        print(json.dumps({"check": name, "seconds": seconds} | result), flush=True)


if __name__ == "__main__":
    main()

"""Draws how each policy search moves over a landscape of two parameters.

    python docs/draw_policy_search.py        # writes docs/images/policy_search.png

One panel for each method: what it evaluated, from dark (first) to bright (last), over the contours
of the landscape, and the path of what it recommended.
"""

import pathlib

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from jaxrl import (
    ARSConfig,
    CEMConfig,
    HillClimbingConfig,
    OpenESConfig,
    SimulatedAnnealingConfig,
    SteepestAscentConfig,
)
from jaxrl.search.ars import ars_strategy
from jaxrl.search.cem import cem_strategy
from jaxrl.search.hill_climbing import hill_climbing_strategy
from jaxrl.search.openes import openes_strategy
from jaxrl.search.simulated_annealing import simulated_annealing_strategy
from jaxrl.search.steepest_ascent import steepest_ascent_strategy
from jaxrl.types import Strategy

PICTURE = pathlib.Path(__file__).parent / "images" / "policy_search.png"
START = jnp.array([-2.2, -1.6])
EVALUATIONS = 400
# Of each hill: where its top is, its height and its width.
HILLS = ((-1.2, -1.0, 0.6, 0.8), (1.6, 1.4, 1.0, 1.0), (-1.4, 1.8, 0.5, 0.6), (1.6, -1.6, 0.4, 0.7))


def landscape(x: jax.Array) -> jax.Array:
    """Four hills on a dome, the highest of which is not the nearest."""
    return -0.03 * jnp.sum(jnp.square(x)) + sum(
        height * jnp.exp(-((x[0] - left) ** 2 + (x[1] - top) ** 2) / (2 * width**2))
        for left, top, height, width in HILLS
    )


def strategies() -> dict[str, Strategy]:
    """The methods, with radii that suit a square of side 6."""
    climbing = {"noise_scale": 0.3, "min_noise_scale": 0.05, "reevaluate_best": False}
    annealing = {"noise_scale": 0.8, "noise_decay": 0.995, "temperature": 0.2}
    return {
        "hill climbing, adaptive noise": hill_climbing_strategy(HillClimbingConfig(**climbing)),
        "steepest ascent, 8 neighbours": steepest_ascent_strategy(SteepestAscentConfig(**climbing)),
        "simulated annealing": simulated_annealing_strategy(
            SimulatedAnnealingConfig(reevaluate_best=False, temperature_decay=0.985, **annealing)
        ),
        "cross-entropy method": cem_strategy(
            CEMConfig(population_size=20, noise_scale=1.5, min_noise_scale=0.05)
        ),
        "OpenES": openes_strategy(
            OpenESConfig(population_size=20, noise_scale=0.5, learning_rate=0.3)
        ),
        "augmented random search": ars_strategy(
            ARSConfig(num_directions=10, noise_scale=0.5, learning_rate=0.3)
        ),
    }


def search(key: jax.Array, strategy: Strategy) -> tuple[jax.Array, jax.Array]:
    """All candidates, [iterations, N, 2], and what was recommended after each iteration."""

    def iterate(state, key):
        key_ask, key_tell = jax.random.split(key)
        state, candidates = strategy.ask(key_ask, state)
        fitness = jax.vmap(landscape)(candidates)
        state, _ = strategy.tell(key_tell, state, candidates, fitness)
        return state, (candidates, strategy.solution(state))

    keys = jax.random.split(key, EVALUATIONS // strategy.population_size)
    _, (candidates, path) = jax.lax.scan(iterate, strategy.init(START), keys)
    return candidates, jnp.concatenate([START[None], path])


def main() -> None:
    side = jnp.linspace(-3, 3, 121)
    grid = jnp.stack(jnp.meshgrid(side, side), axis=-1)
    heights = np.asarray(jax.vmap(jax.vmap(landscape))(grid))
    figure, axes = plt.subplots(2, 3, figsize=(11, 7.4), sharex=True, sharey=True)
    for panel, (title, strategy) in zip(axes.flat, strategies().items(), strict=True):
        found = jax.jit(search, static_argnums=1)(jax.random.key(5), strategy)
        candidates, path = map(np.asarray, found)
        age = np.repeat(np.arange(len(candidates)), strategy.population_size)
        panel.contour(side, side, heights, levels=12, colors="0.8", linewidths=0.8)
        panel.scatter(*candidates.reshape(-1, 2).T, c=age, s=9, cmap="viridis", alpha=0.8)
        panel.plot(*path.T, color="crimson", linewidth=1.5)
        panel.plot(*path[-1], marker="*", color="crimson", markersize=13, markeredgecolor="white")
        panel.set(title=title, xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
    figure.suptitle(f"{EVALUATIONS} evaluations each; the path and the star are the solution")
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=80)


if __name__ == "__main__":
    main()

"""A3C beside A2C for 1, 4 and 16 workers, at equal environment steps.

On CartPole, with one environment and five steps per worker. A2C has as many environments as A3C has
workers: both see the same variety, but A2C averages it into one gradient of the newest parameters,
where A3C applies one gradient per worker, of parameters that are stale. Each contender has the best
of several learning rates, by its mean over the seeds, since one step of A2C stands for W of A3C's.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl
from studies.intervals import errors_of, interval

WORKERS = (1, 4, 16)
LEARNING_RATES = (3e-4, 7e-4, 2e-3, 5e-3)
TOTAL_STEPS = 150_000


def measure(num_seeds: int) -> dict[str, Any]:
    """Trains every seed with every learning rate, asynchronously and not."""
    environment = jaxrl.make_env("CartPole-v1")
    rows: dict[str, dict[str, Any]] = {"A3C": {}, "A2C": {}}
    for workers in WORKERS:
        sizes = {"total_steps": TOTAL_STEPS, "learning_rate_schedule": "linear"}

        def a3c(rate: Any, workers: int = workers, sizes: Any = sizes) -> jaxrl.A3CConfig:
            return jaxrl.A3CConfig(num_workers=workers, learning_rate=rate, **sizes)

        def a2c(rate: Any, workers: int = workers, sizes: Any = sizes) -> jaxrl.A2CConfig:
            return jaxrl.A2CConfig(num_envs=workers, learning_rate=rate, **sizes)

        for name, build, config in (("A3C", jaxrl.a3c, a3c), ("A2C", jaxrl.a2c, a2c)):

            def run(key: jax.Array, rate: Any, build: Any = build, config: Any = config) -> Any:
                algorithm = build(environment, config(rate))
                result = jaxrl.train(key, algorithm, num_evaluations=10, evaluation_episodes=20)
                staleness = result.metrics.get("staleness", jnp.zeros(2))
                return result.evaluations.returns.mean(axis=-1), staleness[1:].mean()

            over_rates = jax.vmap(run, in_axes=(None, 0))
            keys = jax.random.split(jax.random.key(0), num_seeds)
            program = jax.jit(jax.vmap(over_rates, in_axes=(0, None)))
            returns, staleness = map(np.asarray, program(keys, jnp.array(LEARNING_RATES)))
            # The area under the curve: fast and stable learning count alike.
            area = returns.mean(axis=-1)
            best = int(area.mean(axis=0).argmax())
            rows[name][str(workers)] = {
                "learning_rate": LEARNING_RATES[best],
                "final_return": interval(returns[:, best, -1]),
                "mean_return": interval(area[:, best]),
                "staleness": float(staleness[:, best].mean()),
                "curve": [interval(returns[:, best, i]) for i in range(returns.shape[-1])],
            }
    return {"environment": "CartPole-v1", "total_steps": TOTAL_STEPS, "rows": rows}


def draw(results: dict[str, Any]) -> Any:
    """Learning curves for each number of workers."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(WORKERS), figsize=(13, 4), sharey=True)
    for axis, workers in zip(axes, WORKERS, strict=True):
        for name, by_workers in results["rows"].items():
            row = by_workers[str(workers)]
            means, errors = errors_of(row["curve"])
            steps = np.arange(1, len(means) + 1) / len(means) * results["total_steps"] / 1_000
            label = f"{name}, learning rate {row['learning_rate']:g}"
            line = axis.plot(steps, means, label=label)[0]
            low, high = means - errors[0], means + errors[1]
            axis.fill_between(steps, low, high, color=line.get_color(), alpha=0.2)
        axis.set_title(f"W = {workers}")
        axis.set_xlabel("environment steps, thousands")
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("return, greedy policy")
    figure.tight_layout()
    return figure

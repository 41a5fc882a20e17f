"""What clipping keeps PPO from, the more often it passes over each rollout.

PPO on CartPole with 1 to 32 epochs per rollout, with its clip range of 0.2 and without any. A step
too far along the surrogate of old data is a step off the cliff: the divergence from the policy that
acted grows, and the return falls. Both contenders of a seed begin with the same parameters.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl
from studies.intervals import errors_of, interval

EPOCHS = (1, 4, 16, 32)
UNLIMITED = 1e9
CLIPS = {"clipped at 0.2": 0.2, "not clipped": UNLIMITED}
TOTAL_STEPS = 60_000
# The last part of a run, over which its metrics are averaged.
LAST = 0.2


def measure(num_seeds: int) -> dict[str, Any]:
    """Trains every seed with every number of epochs, with and without clipping."""
    environment = jaxrl.make_env("CartPole-v1")
    rows: dict[str, dict[str, Any]] = {name: {} for name in CLIPS}
    for epochs in EPOCHS:

        def run(key: jax.Array, clip_epsilon: Any, epochs: int = epochs) -> Any:
            config = jaxrl.PPOConfig(
                total_steps=TOTAL_STEPS,
                num_envs=8,
                num_steps=128,
                num_epochs=epochs,
                learning_rate=1e-3,
                learning_rate_schedule="constant",
                entropy_coefficient=0.0,
                clip_epsilon=clip_epsilon,
            )
            result = jaxrl.train(
                key,
                jaxrl.ppo(environment, config),
                num_evaluations=1,
                evaluation_episodes=50,
            )
            return result.metrics, result.evaluations.returns.mean()

        over_clips = jax.vmap(run, in_axes=(None, 0))
        program = jax.jit(jax.vmap(over_clips, in_axes=(0, None)))
        keys = jax.random.split(jax.random.key(0), num_seeds)
        metrics, final = program(keys, jnp.array(list(CLIPS.values())))
        last = -max(1, round(LAST * metrics["steps"].shape[-1]))
        for i, name in enumerate(CLIPS):
            kl = np.asarray(metrics["approximate_kl"])[:, i, last:].mean(axis=1)
            returns = np.asarray(metrics["episode_return"])[:, i, last:]
            rows[name][str(epochs)] = {
                "final_return": interval(np.asarray(final)[:, i]),
                "return_while_learning": interval(np.nanmean(returns, axis=1)),
                # Of the values, not of their logarithms: a policy that has collapsed onto one
                # action diverges by nothing, and would be the whole of a geometric mean.
                "approximate_kl": interval(kl),
            }
    return {"environment": "CartPole-v1", "total_steps": TOTAL_STEPS, "rows": rows}


def draw(results: dict[str, Any]) -> Any:
    """Return and divergence against the number of epochs."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2))
    panels = (
        ("return_while_learning", "return over the last fifth of the run"),
        ("approximate_kl", "KL divergence within an update, nats"),
    )
    for axis, (quantity, title) in zip(axes, panels, strict=True):
        for name, by_epochs in results["rows"].items():
            means, errors = errors_of([row[quantity] for row in by_epochs.values()])
            epochs = [int(x) for x in by_epochs]
            axis.errorbar(epochs, means, errors, marker="o", capsize=3, label=name)
        axis.set_xscale("log", base=2)
        axis.set_xticks(epochs, epochs)
        axis.set_xlabel("epochs per rollout")
        axis.set_title(title)
        axis.grid(alpha=0.3)
    axes[0].legend()
    axes[1].set_yscale("log")
    figure.tight_layout()
    return figure

"""Bias against variance of value targets: n-step, lambda-returns and Monte Carlo.

The random walk of Sutton and Barto (2018, example 7.1): 19 states in a row, an episode begins
anywhere, ends beyond either border, and pays 1 on the right and -1 on the left. The true values are
known in closed form. The value function that bootstraps is the truth with an error: each seed draws
its own, of standard deviation 0.3 per state. Targets of the first state of many episodes then have
a bias and a variance per state, which are averaged over the states.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.ops.returns import discounted_returns, lambda_returns, n_step_returns
from studies.intervals import errors_of, interval

NUM_STATES = 19
# Longer than all but one in ten thousand episodes; what is left then is bootstrapped.
HORIZON = 1_000
EPISODES_PER_STATE = 400
VALUE_ERROR = 0.3
STEPS = (1, 2, 4, 8, 16, 32, 64)
LAMBDAS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)
# Undiscounted, the value is linear between -1 beyond the left border and 1 beyond the right one.
TRUE_VALUES = np.linspace(-1, 1, NUM_STATES + 2)[1:-1]

Target = Callable[..., jax.Array]
TARGETS: dict[str, dict[str, Target]] = {
    "n-step": {str(n): lambda *step, n=n: n_step_returns(*step, n=n, discount=1.0) for n in STEPS},
    "lambda": {
        str(x): lambda *step, x=x: lambda_returns(*step, discount=1.0, lambda_=x) for x in LAMBDAS
    },
    "Monte Carlo": {"": lambda *step: discounted_returns(*step, discount=1.0)},
}


def measure(num_seeds: int) -> dict[str, Any]:
    """Each seed has a value function and episodes of its own; all targets see the same ones."""
    names = [(family, name) for family, members in TARGETS.items() for name in members]
    program = jax.jit(first_targets)
    errors: dict[tuple[str, str], list[tuple[float, float]]] = {name: [] for name in names}
    for seed in range(num_seeds):
        targets = program(jax.random.key(seed))
        for name in names:
            sample = np.asarray(targets[name[0]][name[1]], np.float64)
            # The mean of a finite sample is off by its own variance, which is taken out.
            noise = sample.var(axis=1, ddof=1) / EPISODES_PER_STATE
            squared_bias = np.square(sample.mean(axis=1) - TRUE_VALUES) - noise
            errors[name].append((squared_bias.mean(), sample.var(axis=1, ddof=1).mean()))
    rows: dict[str, dict[str, Any]] = {family: {} for family in TARGETS}
    for family, name in names:
        squared_bias, variance = np.array(errors[family, name]).T
        rows[family][name] = {
            "squared_bias": interval(squared_bias),
            "variance": interval(variance),
            "squared_error": interval(squared_bias + variance),
        }
    return {"task": f"random walk of {NUM_STATES} states", "rows": rows}


def first_targets(key: jax.Array) -> dict[str, dict[str, jax.Array]]:
    """Every target of the first states of many episodes, [states, episodes]."""
    key_value, key_walk = jax.random.split(key)
    errors = VALUE_ERROR * jax.random.normal(key_value, (NUM_STATES,))
    values = jnp.asarray(TRUE_VALUES) + errors
    keys = jax.random.split(key_walk, (NUM_STATES, EPISODES_PER_STATE))

    def of_one_episode(key: jax.Array, start: jax.Array) -> dict[str, dict[str, jax.Array]]:
        moves = jax.random.rademacher(key, (HORIZON,), jnp.int32)
        place = start + jnp.cumsum(moves)
        is_outside = (place < 0) | (place >= NUM_STATES)
        terminated = is_outside & (jnp.cumsum(is_outside) == 1)
        reward = jnp.where(terminated, jnp.where(place < 0, -1.0, 1.0), 0.0)
        next_value = values[jnp.clip(place, 0, NUM_STATES - 1)]
        step = (reward, next_value, terminated, jnp.zeros_like(terminated))
        return jax.tree.map(lambda target: target(*step)[0], TARGETS)

    starts = jnp.arange(NUM_STATES)
    return jax.vmap(jax.vmap(of_one_episode, (0, None)), (0, 0))(keys, starts)


def draw(results: dict[str, Any]) -> Any:
    """Squared bias against variance, and the sum of both."""
    from matplotlib import pyplot as plt

    figure, (plane, total) = plt.subplots(1, 2, figsize=(11.5, 4.6), width_ratios=(1.2, 1))
    place = 0
    labels: list[str] = []
    for family, members in results["rows"].items():
        bias = np.array([row["squared_bias"]["mean"] for row in members.values()])
        variance = np.array([row["variance"]["mean"] for row in members.values()])
        # A squared bias whose noise was taken out may come out below zero.
        plane.plot(variance, np.maximum(bias, 1e-5), "o-", label=family)
        for x, y, name in zip(variance, np.maximum(bias, 1e-5), members, strict=True):
            plane.annotate(name, (x, y), textcoords="offset points", xytext=(5, 4), fontsize=8)
        means, errors = errors_of([row["squared_error"] for row in members.values()])
        places = np.arange(place, place + len(members))
        total.bar(places, means, yerr=errors, capsize=2, label=family)
        labels += [name or "MC" for name in members]
        place += len(members)
    plane.set_yscale("log")
    plane.set_xlabel("variance of the target")
    plane.set_ylabel("squared bias of the target")
    plane.legend()
    total.set_xticks(range(place), labels, rotation=60, fontsize=8)
    total.set_title("squared bias + variance")
    for axis in (plane, total):
        axis.grid(alpha=0.3)
    figure.tight_layout()
    return figure

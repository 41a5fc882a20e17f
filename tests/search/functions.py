"""Functions of a vector with known maxima, and what several tests do with a strategy."""

import jax
import jax.numpy as jnp


def sphere(x):
    """-|x - 1|^2: the maximum, 0, is at ones."""
    return -jnp.sum(jnp.square(x - 1.0))


def rosenbrock(x):
    """The maximum, 0, is at ones, at the end of a bent ridge."""
    return -jnp.sum(100.0 * jnp.square(x[1:] - jnp.square(x[:-1])) + jnp.square(1.0 - x[:-1]))


def tell(strategy, state, candidates, fitness, seed=0):
    """One `tell` with plain lists."""
    state, metrics = strategy.tell(
        jax.random.key(seed), state, jnp.asarray(candidates, float), jnp.asarray(fitness, float)
    )
    return state, metrics

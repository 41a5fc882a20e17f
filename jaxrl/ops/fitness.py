"""Ranks, elites and failures in the fitness of a population."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def failures_last(fitness: Float[Array, " N"]) -> Float[Array, " N"]:
    """Gives failed candidates (nan) the fitness minus infinity, so that no comparison picks them.

    Args:
        fitness: the higher the better.
    """
    return jnp.where(jnp.isnan(fitness), -jnp.inf, fitness)


def finite_fitness(fitness: Float[Array, " N"]) -> Float[Array, " N"]:
    """Lets arithmetic use a fitness: what is not finite becomes the worst of what is.

    Args:
        fitness: the higher the better; nan is a failure.

    Returns:
        Finite numbers; zeros where no candidate has any. Plus infinity becomes the best.
    """
    finite = jnp.isfinite(fitness)
    worst = jnp.min(jnp.where(finite, fitness, jnp.inf))
    best = jnp.max(jnp.where(finite, fitness, -jnp.inf))
    replacement = jnp.where(fitness == jnp.inf, best, worst)
    return jnp.where(jnp.any(finite), jnp.where(finite, fitness, replacement), 0.0)


def centered_ranks(fitness: Float[Array, " N"]) -> Float[Array, " N"]:
    """Ranks from -1/2 (the worst) to 1/2 (the best); equals share the mean of their ranks.

    Shared ranks make the sum zero and keep the order of candidates that are worth the same from
    looking like a gradient; in the source, which sorts, it does.

    Args:
        fitness: the higher the better; nan is worst; N at least 2.

    Source: Salimans et al. (2017), "Evolution Strategies as a Scalable Alternative to Reinforcement
    Learning", section 2.1.
    """
    values = failures_last(fitness)
    ordered = jnp.sort(values)
    below = jnp.searchsorted(ordered, values, side="left")
    not_above = jnp.searchsorted(ordered, values, side="right")
    rank = jnp.float32(below + not_above - 1) / 2
    return rank / (fitness.shape[0] - 1) - 0.5


def elite_weights(
    fitness: Float[Array, " N"], fraction: Float[Array, ""] | float
) -> Float[Array, " N"]:
    """Weights of a mean over the best candidates: 1 / k for the k fittest, 0 for the others.

    k = round(fraction * N), at least 1, and at most the number of candidates that did not fail; of
    equals, those that come first are taken. As weights, and not as a shorter array, k can depend on
    a traced fraction.

    Args:
        fitness: the higher the better; nan and minus infinity are failures.
        fraction: of the candidates, in (0, 1].

    Returns:
        Weights that sum to 1; all 0 where every candidate failed.
    """
    count = fitness.shape[0]
    values = failures_last(fitness)
    order = jnp.argsort(-values, stable=True)
    place = jnp.zeros(count, jnp.int32).at[order].set(jnp.arange(count, dtype=jnp.int32))
    num_valid = jnp.sum(values > -jnp.inf, dtype=jnp.int32)
    num_elites = jnp.clip(jnp.round(jnp.float32(fraction) * count), 1.0, jnp.maximum(num_valid, 1))
    num_elites = jnp.where(num_valid == 0, 0.0, num_elites)
    return (place < num_elites) / jnp.maximum(num_elites, 1.0)

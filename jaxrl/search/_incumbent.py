"""The best parameters so far: when they are evaluated, and what their evaluations say."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def beside_the_best(
    neighbors: Float[Array, "N D"],
    best: Float[Array, " D"],
    evaluations: Int[Array, ""],
    reevaluate_best: bool,
) -> Float[Array, "M D"]:
    """The candidates of an iteration.

    Args:
        neighbors: the challengers.
        best: the best parameters so far, at first the start.
        evaluations: of the best, so far.
        reevaluate_best: puts the best in front of the challengers in every iteration (M = N + 1);
            otherwise it takes the first one's place before anything was evaluated (M = N).
    """
    if reevaluate_best:
        return jnp.concatenate([best[None], neighbors])
    return jnp.where(evaluations == 0, neighbors.at[0].set(best), neighbors)


def mean_of_evaluations(
    mean: Float[Array, ""], evaluations: Int[Array, ""], fitness: Float[Array, ""]
) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """The mean with one more evaluation, and how many there are now.

    The first one replaces the mean, which is minus infinity before any. So does the next one after
    a failure: whatever was better has taken the place by then, and nothing can be averaged with it.
    """
    starts_over = (evaluations == 0) | ~jnp.isfinite(mean)
    count = jnp.where(starts_over, 1, evaluations + 1)
    return jnp.where(starts_over, fitness, mean + (fitness - mean) / count), count

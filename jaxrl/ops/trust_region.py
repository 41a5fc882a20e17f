"""The pieces of a step within a trust region, for any functions of a parameter vector."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg
from jaxtyping import Array, Bool, Float, Int

Scalar: TypeAlias = Float[Array, ""]
Function: TypeAlias = Callable[[Float[Array, " D"]], Scalar]


class SearchResult(NamedTuple):
    """Result of a line search.

    Attributes:
        x: [D], the new point, or exactly the old one.
        loss: there.
        distance: there; 0 at the old point.
        accepted: whether any step was.
        trials: steps tried.
    """

    x: Float[Array, " D"]
    loss: Scalar
    distance: Scalar
    accepted: Bool[Array, ""]
    trials: Int[Array, ""]


def hessian_vector_product(
    function: Function, x: Float[Array, " D"], vector: Float[Array, " D"]
) -> Float[Array, " D"]:
    """H(x) v without H, by two reverse passes.

    Of the KL divergence from the distribution at x, the Hessian at x is Fisher's matrix. Forward
    over reverse would be cheaper, but dense layers have a reverse mode only
    (`networks.matmul`).
    """
    return jax.grad(lambda y: _dot(jax.grad(function)(y), vector))(x)


def _dot(x: Float[Array, " D"], y: Float[Array, " D"]) -> Scalar:
    """In full precision, which an accelerator's default is not: steps are measured by it."""
    return jnp.dot(x, y, precision="highest")


def trust_region_step(
    gradient: Float[Array, " D"],
    curvature_product: Callable[[Float[Array, " D"]], Float[Array, " D"]],
    *,
    radius: Scalar | float,
    num_iterations: int,
) -> Float[Array, " D"]:
    """The step down a gradient to the border of { s: s^T H s / 2 <= radius }.

        s = -sqrt(2 radius / (g^T H^-1 g)) H^-1 g

    Args:
        gradient: g.
        curvature_product: v -> H v, with H positive definite.
        radius: positive.
        num_iterations: of the conjugate gradients that solve H s = -g.

    Returns:
        The step; zeros where the gradient is zero.

    Source: Schulman et al. (2015), "Trust Region Policy Optimization", appendix C.
    """
    # Nothing but the iterations ends the solver: gradients have no scale of their own.
    direction, _ = cg(curvature_product, -gradient, maxiter=num_iterations, tol=1e-10)
    curvature = _dot(direction, curvature_product(direction))
    smallest = jnp.finfo(jnp.float32).tiny
    return jnp.sqrt(2 * radius / jnp.maximum(curvature, smallest)) * direction


def line_search(
    loss: Function,
    distance: Function,
    start: Float[Array, " D"],
    step: Float[Array, " D"],
    *,
    start_loss: Scalar,
    max_distance: Scalar | float,
    shrinkage: Scalar | float,
    max_trials: int,
) -> SearchResult:
    """The first of ever shorter steps that lowers the loss and keeps the distance.

    Args:
        loss: to be lowered.
        distance: from the start.
        start: where the search begins.
        step: the longest step.
        start_loss: the loss at the start.
        max_distance: the bound that is kept.
        shrinkage: factor from one step to the next, in (0, 1].
        max_trials: after so many steps without success the start itself is the result.
    """

    def searching(state: SearchResult) -> Bool[Array, ""]:
        return ~state.accepted & (state.trials < max_trials)

    def attempt(state: SearchResult) -> SearchResult:
        candidate = start + jnp.float32(shrinkage) ** state.trials * step
        new_loss, new_distance = loss(candidate), distance(candidate)
        # Not-a-number fails both comparisons.
        accepted = (new_loss < start_loss) & (new_distance <= max_distance)
        return SearchResult(
            x=jnp.where(accepted, candidate, start),
            loss=jnp.where(accepted, new_loss, start_loss),
            distance=jnp.where(accepted, new_distance, 0.0),
            accepted=accepted,
            trials=state.trials + 1,
        )

    nothing = SearchResult(start, start_loss, jnp.float32(0), jnp.array(False), jnp.int32(0))
    return jax.lax.while_loop(searching, attempt, nothing)

"""A gradient of predicted action values towards what they should be."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.ops.value_losses import huber_loss, squared_loss
from jaxrl.types import Metrics, Params


def regress(
    predict: Callable[[Params], Float[Array, "N M"]],
    params: Params,
    target: Float[Array, " M"],
    *,
    weight: Float[Array, " M"],
    loss: str = "squared",
) -> tuple[Params, Float[Array, " M"], Metrics]:
    """The gradient of the losses of N predictions of the same targets, added up.

    Args:
        predict: (params) -> the values that each of N networks gives.
        params: of all N.
        target: what they should be.
        weight: of each transition in the loss.
        loss: "squared" or "huber", of each error.

    Returns:
        The gradient, the mean absolute error of each transition, and metrics.
    """
    loss_of = squared_loss if loss == "squared" else huber_loss

    def total_loss(params: Params) -> tuple[Array, Array]:
        values = predict(params)
        losses = (loss_of(value, target, weight=weight) for value in values)
        return sum(losses, start=jnp.zeros(())), values

    (value, values), gradient = jax.value_and_grad(total_loss, has_aux=True)(params)
    error = jnp.mean(jnp.abs(values - target), axis=0)
    return gradient, error, {"value_loss": value, "q_value": jnp.mean(values)}

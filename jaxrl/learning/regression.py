"""A gradient of predicted action values towards what they should be."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.ops.value_losses import huber_loss, squared_loss
from jaxrl.types import Metrics, Params


def regress(
    predict: Callable[[Params], Sequence[Float[Array, " M"]]],
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

    def total_loss(params: Params) -> tuple[Array, Sequence[Array]]:
        values = predict(params)
        return sum((loss_of(x, target, weight=weight) for x in values), jnp.float32(0)), values

    (value, values), gradient = jax.value_and_grad(total_loss, has_aux=True)(params)
    # Not stacked: taking a stack apart again costs the gradient some operations.
    error = sum((jnp.abs(x - target) for x in values), jnp.float32(0)) / len(values)
    average = sum(map(jnp.mean, values), jnp.float32(0)) / len(values)
    return gradient, error, {"value_loss": value, "q_value": average}

"""From any library's module to a `Network`, and from a network to a batch of examples."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from jaxrl.types import Network, Params


def from_flax(module: nn.Module) -> Network:
    """Turns a linen module into a `Network`: `init` gives its variables, `apply` calls it."""
    return Network(init=module.init, apply=module.apply)


def over_batch(network: Network, function: Callable[..., Any]) -> Callable[..., Any]:
    """Lets a function of (params, *one example) that applies a network take a batch [M, ...].

    Args:
        network: that `function` applies; where it takes batches itself, nothing is done.
        function: whose arguments after the first are examples.
    """

    def vmapped(params: Params, *examples: Any) -> Any:
        return jax.vmap(function, (None, *(0 for _ in examples)))(params, *examples)

    return function if network.batched else vmapped

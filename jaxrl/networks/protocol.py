"""Networks of any library's modules, and their application to batches of examples."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from jaxrl.types import Network, Params


def from_flax(module: nn.Module) -> Network:
    """Turns a linen module into a `Network`: `init` gives its variables, `apply` calls it."""
    return Network(init=module.init, apply=module.apply)


def require_network(network: Any, *kinds: type) -> None:
    """Lets a network pass, and says how to make one of anything else.

    Args:
        network: what a user gave.
        kinds: that are taken, besides `Network`.

    Raises:
        ValueError: it is none of these, such as a flax module.
    """
    if not isinstance(network, (Network, *kinds)):
        names = " or ".join(kind.__name__ for kind in (Network, *kinds))
        raise ValueError(
            f"network={type(network).__name__}(...) is no {names}: of a flax module, "
            "jaxrl.networks.from_flax(module) makes one"
        )


def require_distribution(distribution: Any, *methods: str) -> None:
    """Lets a network's distribution over actions pass that can do what is asked of it.

    Args:
        distribution: what a user's network returned.
        methods: that it needs, by the names of `jaxrl.distributions`.

    Raises:
        ValueError: it is an array of logits, another library's distribution, or something else.
    """
    missing = [name for name in methods if not callable(getattr(distribution, name, None))]
    if not missing:
        return
    given = type(distribution).__name__
    if isinstance(distribution, jax.Array):
        given = f"an array {distribution.dtype}{list(distribution.shape)}"
    raise ValueError(
        "a network's actions are a distribution of jaxrl.distributions, such as "
        "Categorical(logits=...) or DiagonalGaussian(mean=..., log_std=...), or one of your own "
        f"with the same methods; this is {given}, which lacks {', '.join(missing)}"
    )


def require_array(value: Any, what: str) -> None:
    """Lets an array pass.

    Raises:
        ValueError: a network returns something else; `what` says what it should.
    """
    if not isinstance(value, jax.Array):
        raise ValueError(f"{what} is one array, but this network returns {_kinds(value)}")


def _kinds(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {', '.join(type(part).__name__ for part in value)}"
    return f"a {type(value).__name__}"


def over_batch(network: Network, function: Callable[..., Any]) -> Callable[..., Any]:
    """Lets a function of (params, *one example) that applies a network take a batch [M, ...].

    Args:
        network: that `function` applies; where it takes batches itself, nothing is done.
        function: whose arguments after the first are examples.
    """

    def vmapped(params: Params, *examples: Any) -> Any:
        return jax.vmap(function, (None, *(0 for _ in examples)))(params, *examples)

    return function if network.batched else vmapped

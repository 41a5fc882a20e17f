"""Optimisers of searches that estimate a gradient, by name."""

from collections.abc import Callable
from typing import Any, TypeAlias

import optax

MakeOptimizer: TypeAlias = Callable[..., optax.GradientTransformation]

OPTIMIZERS: dict[str, MakeOptimizer] = {
    "adam": optax.adam,
    "momentum": lambda learning_rate: optax.sgd(learning_rate, momentum=0.9),
    "rmsprop": optax.rmsprop,
    "sgd": optax.sgd,
}


def make_optimizer(choice: str | MakeOptimizer, learning_rate: Any) -> optax.GradientTransformation:
    """The optimiser of a name in `OPTIMIZERS`, or of a function such as `optax.lamb`.

    Args:
        choice: a name, or a function from a learning rate to an optax optimiser.
        learning_rate: may be traced.
    """
    make = OPTIMIZERS[choice] if isinstance(choice, str) else choice
    return make(learning_rate)

"""Gradient steps: their settings, optimiser, step and schedules."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from jaxrl.settings import number, settings, static
from jaxrl.types import Params

OPTIMIZERS = ("adam", "radam", "rmsprop")
_RMSPROP_DECAY = 0.99


@settings
class OptimizerSettings:
    """How a gradient becomes a step."""

    learning_rate: float = number(2.5e-4, minimum=0, open_minimum=True)
    """The optimiser's step size at the start."""
    learning_rate_schedule: str | Callable[[Array], Array] = static(
        "linear", choices=("constant", "linear")
    )
    """constant, linear (to zero over the run), or an optax schedule (a factor per iteration)."""
    optimizer: str = static("adam", choices=OPTIMIZERS)
    """adam, radam (Liu et al. 2020), or rmsprop with decay .99 (Mnih et al. 2016)."""
    optimizer_epsilon: float = number(1e-5, minimum=0, open_minimum=True)
    """Added to the root of the optimiser's second moment."""
    max_gradient_norm: float | None = number(0.5, minimum=0, open_minimum=True, optional=True)
    """The whole gradient is scaled down to this Euclidean norm; None: never."""


@settings
class ConstantOptimizerSettings(OptimizerSettings):
    """How a gradient becomes a step."""

    learning_rate: float = number(3e-4, minimum=0, open_minimum=True)
    """The optimiser's step size at the start."""
    learning_rate_schedule: str | Callable[[Array], Array] = static(
        "constant", choices=("constant", "linear")
    )
    """constant, linear (to zero over the run), or an optax schedule (a factor per iteration)."""
    optimizer_epsilon: float = number(1e-8, minimum=0, open_minimum=True)
    """Added to the root of the optimiser's second moment."""
    max_gradient_norm: float | None = number(None, minimum=0, open_minimum=True, optional=True)
    """The whole gradient is scaled down to this Euclidean norm; None: never."""


class LearnerState(NamedTuple):
    """What an agent with one network and one optimiser learns.

    Attributes:
        params: of the network.
        optimizer: optax's state.
        updates: int32 (), batches learnt from.
    """

    params: Params
    optimizer: optax.OptState
    updates: Int[Array, ""]


def make_optimizer(config: OptimizerSettings, *, clip: bool = True) -> optax.GradientTransformation:
    """The optimiser of the settings, without its step size.

    Args:
        config: the settings.
        clip: whether `max_gradient_norm` is for this one.
    """
    if config.optimizer == "adam":
        optimizer = optax.scale_by_adam(eps=config.optimizer_epsilon)
    elif config.optimizer == "radam":
        optimizer = optax.scale_by_radam(eps=config.optimizer_epsilon)
    else:
        optimizer = optax.scale_by_rms(
            decay=_RMSPROP_DECAY, eps=config.optimizer_epsilon, eps_in_sqrt=False
        )
    if clip and config.max_gradient_norm is not None:
        optimizer = optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), optimizer)
    # On one flat vector: many small arrays cost more in operations than in arithmetic.
    return optax.flatten(optimizer)


def gradient_step(
    optimizer: optax.GradientTransformation,
    params: Params,
    optimizer_state: optax.OptState,
    gradient: Params,
    learning_rate: Any,
) -> tuple[Params, optax.OptState]:
    """One step down a gradient."""
    change, optimizer_state = optimizer.update(gradient, optimizer_state)
    # A step size of more digits, as JAX's 64 bits give one, leaves the parameters their type.
    params = jax.tree.map(lambda p, c: p - (learning_rate * c).astype(p.dtype), params, change)
    return params, optimizer_state


def gradient_norm(gradient: Params) -> Float[Array, ""]:
    """The Euclidean norm of the whole gradient."""
    return optax.tree.norm(ravel_pytree(gradient)[0])


def learning_rate_at(
    config: Any, update: Array, num_updates: int, *, updates_per_iteration: int = 1
) -> Any:
    """The learning rate of the settings at an update; arguments as for `scheduled`."""
    return scheduled(
        config.learning_rate,
        config.learning_rate_schedule,
        update,
        num_updates,
        updates_per_iteration=updates_per_iteration,
    )


def scheduled(
    start: Any,
    schedule: str | Callable[[Array], Array],
    update: Array,
    num_updates: int,
    *,
    updates_per_iteration: int = 1,
) -> Any:
    """A setting's value at an update of a run; never of another sign than at the start.

    A run that is continued beyond its end stays at what a linear schedule comes to, zero.

    Args:
        start: the value that the schedule gives factors of.
        schedule: "constant", "linear" (to zero over the run), or a function from the iteration to
            a factor, as optax's are.
        update: how many updates there have been.
        num_updates: of the whole run.
        updates_per_iteration: of which a function counts one.
    """
    if callable(schedule):
        iteration = update if updates_per_iteration == 1 else update // updates_per_iteration
        return start * jnp.maximum(schedule(iteration), 0.0)
    if schedule == "linear":
        return start * jnp.clip(1.0 - jnp.float32(update) / num_updates, 0.0, 1.0)
    return start


def as_metric(x: Any) -> Float[Array, ""]:
    """A setting that may be a plain number, as a row of metrics needs it."""
    return jnp.asarray(x, jnp.float32)

"""Gradient steps: their settings, optimiser, step and schedules.

An optimiser is a name or any of optax's, from which the settings take the direction only: the
learning rate and its schedule scale it, and `max_gradient_norm` limits the gradient that it gets.

- An optax transformation that leaves the step size out, such as `optax.scale_by_lion()`, gives a
  direction, and the parameters go against it.
- A function from a learning rate to an optax optimiser, such as `optax.lion` or
  `functools.partial(optax.adamw, weight_decay=1e-3)`, is called with 1. With a learning rate of 1
  and a constant schedule, `lambda rate: optax.adam(1e-3)` takes its steps as they are.

A schedule is a name or a function from the iteration to a factor, as optax's are.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from jaxrl.settings import Need, number, settings, static
from jaxrl.types import Params

OPTIMIZERS = ("adam", "radam", "rmsprop")
_RMSPROP_DECAY = 0.99

MakeOptimizer: TypeAlias = Callable[[float], optax.GradientTransformation]
Optimizer: TypeAlias = str | optax.GradientTransformation | MakeOptimizer
Schedule: TypeAlias = str | Callable[[Array], Array]


def takes_optimizer(name: str, value: Any) -> bool:
    """Whether a setting's value is an optax transformation, or a function from a rate to one.

    Args:
        name: the setting's, for errors.
        value: no name of an optimiser.

    Raises:
        ValueError: it is one, but not one that the learning rate can scale.
    """
    if not (callable(value) or isinstance(value, optax.GradientTransformation)):
        return False
    _require_direction(name, _unchecked(value, name), jnp.ones((2, 2)), forgiving=True)
    return True


def takes_schedule(name: str, value: Any) -> bool:
    """Whether a setting's value is a function from the iteration to a factor.

    Args:
        name: the setting's, for errors.
        value: no name of a schedule.

    Raises:
        ValueError: it is a function, but not from one whole number to one number.
    """
    if not callable(value):
        return False
    try:
        factor = jax.eval_shape(value, jax.ShapeDtypeStruct((), jnp.int32))
        shape, dtype = jnp.shape(factor), jnp.result_type(factor)
    except Exception as error:
        raise ValueError(
            f"{name}={value!r} is no schedule, a function from the iteration to a factor, such as "
            f"optax.linear_schedule(1.0, 0.0, 100): {error}"
        ) from error
    if shape != () or not jnp.issubdtype(dtype, jnp.number):
        raise ValueError(
            f"{name}={value!r} is no schedule: it maps the iteration to {dtype}{list(shape)}, and "
            "not to one factor"
        )
    return True


NAMED_OPTIMIZER = Need(
    "an optimizer that is a name",
    lambda config, _: isinstance(config.optimizer, str),
    fields=("optimizer",),
)


@settings
class OptimizerSettings:
    """How a gradient becomes a step."""

    learning_rate: float = number(2.5e-4, minimum=0, open_minimum=True)
    """The optimiser's step size at the start."""
    learning_rate_schedule: Schedule = static(
        "linear", choices=("constant", "linear"), takes=takes_schedule
    )
    """constant, linear (to zero over the run), or an optax schedule (a factor per iteration)."""
    optimizer: Optimizer = static("adam", choices=OPTIMIZERS, takes=takes_optimizer)
    """adam, radam (Liu et al. 2020), rmsprop with decay .99 (Mnih et al. 2016), or one of optax's
    that leaves the step size to the learning rate: optax.scale_by_lion(), or the function
    optax.lion."""
    optimizer_epsilon: float = number(1e-5, minimum=0, open_minimum=True, needs=NAMED_OPTIMIZER)
    """Added to the root of the optimiser's second moment."""
    max_gradient_norm: float | None = number(0.5, minimum=0, open_minimum=True, optional=True)
    """The whole gradient is scaled down to this Euclidean norm; None: never."""


@settings
class ConstantOptimizerSettings(OptimizerSettings):
    """How a gradient becomes a step."""

    learning_rate: float = number(3e-4, minimum=0, open_minimum=True)
    """The optimiser's step size at the start."""
    learning_rate_schedule: Schedule = static("constant", choices=("constant", "linear"))
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
    is_named = isinstance(config.optimizer, str)
    if config.optimizer == "adam":
        optimizer = optax.scale_by_adam(eps=config.optimizer_epsilon)
    elif config.optimizer == "radam":
        optimizer = optax.scale_by_radam(eps=config.optimizer_epsilon)
    elif config.optimizer == "rmsprop":
        optimizer = optax.scale_by_rms(
            decay=_RMSPROP_DECAY, eps=config.optimizer_epsilon, eps_in_sqrt=False
        )
    else:
        optimizer = direction_of(config.optimizer)
    if clip and config.max_gradient_norm is not None:
        optimizer = optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), optimizer)
    # On one flat vector: many small arrays cost more in operations than in arithmetic. One of the
    # user's own may look at the single arrays.
    return optax.flatten(optimizer) if is_named else optimizer


def direction_of(optimizer: Any, name: str = "optimizer") -> optax.GradientTransformation:
    """The direction, against which the parameters go, of an optimiser that is no name.

    Args:
        optimizer: an optax transformation that gives a direction, or a function from a learning
            rate to an optax optimiser, which steps against its direction.
        name: the setting's, for errors.

    Raises:
        ValueError: the function gives something else. The `init` of what is returned raises it too
            where the steps go the wrong way.
    """
    made = _unchecked(optimizer, name)

    def init(params: Params) -> optax.OptState:
        _require_direction(name, made, params)
        return made.init(params)

    return optax.GradientTransformationExtraArgs(init, optax.with_extra_args_support(made).update)


def _unchecked(optimizer: Any, name: str) -> optax.GradientTransformation:
    """The direction of `direction_of`, whichever way it goes."""
    if isinstance(optimizer, optax.GradientTransformation):
        return optimizer
    try:
        made = optimizer(1.0)
    except Exception as error:
        raise ValueError(f"{name}={optimizer!r} takes no learning rate: {error}") from error
    if not isinstance(made, optax.GradientTransformation):
        raise ValueError(
            f"{name}={optimizer!r} is to give an optax optimiser for a learning rate, such as "
            f"optax.adam does, and not a {type(made).__name__}"
        )
    return optax.chain(made, optax.scale(-1.0))


def _require_direction(
    name: str, optimizer: optax.GradientTransformation, params: Params, *, forgiving: bool = False
) -> None:
    """Refuses an optimiser that turns a gradient round, or scales it itself.

    Args:
        name: the setting's.
        optimizer: said to give a direction.
        params: of whose shapes an example is made.
        forgiving: lets one pass that cannot take such an example.
    """
    # Shapes are known within somebody's jit too, and so is what becomes of ones.
    with jax.ensure_compile_time_eval():
        ones = jax.tree.map(lambda x: jnp.ones(jnp.shape(x), jnp.result_type(x)), params)
        try:
            along = _moved_along(optimizer, ones)
        except Exception:
            if forgiving:
                return
            raise
        if isinstance(along, Tracer):
            return
        along = float(along)
    if math.isnan(along):
        raise ValueError(f"{name} gives steps that are no numbers for a gradient of ones")
    if along < 0:
        raise ValueError(
            f"{name} gives steps down the gradient, and not a direction that the learning rate "
            "scales: instead of optax.adam(1e-3), say, give optax.scale_by_adam() or the function "
            "optax.adam, and the step size as learning_rate"
        )


def _moved_along(optimizer: optax.GradientTransformation, ones: Params) -> Any:
    """The sum of three directions; some optimisers begin with nothing."""
    state, along = optimizer.init(ones), 0.0
    for _ in range(3):
        direction, state = optimizer.update(ones, state, ones)
        along += sum(jnp.sum(x) for x in jax.tree.leaves(direction))
    return along


def gradient_step(
    optimizer: optax.GradientTransformation,
    params: Params,
    optimizer_state: optax.OptState,
    gradient: Params,
    learning_rate: Any,
) -> tuple[Params, optax.OptState]:
    """One step down a gradient."""
    change, optimizer_state = optimizer.update(gradient, optimizer_state, params)
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
    schedule: Schedule,
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

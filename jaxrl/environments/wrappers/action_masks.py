"""Masks of the allowed actions, beside the observations."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxrl.types import (
    Action,
    Box,
    Discrete,
    Environment,
    EnvState,
    Key,
    MaskedObservation,
    MaskedSpace,
    Observation,
    SpaceTree,
    TimeStep,
)

MaskOf: TypeAlias = Callable[[Observation], Any]


def mask_actions(
    environment: Environment,
    mask_of: MaskOf | None = None,
    *,
    first_mask_of: MaskOf | None = None,
) -> Environment:
    """Puts beside each observation which actions are allowed there.

    Observations become `MaskedObservation`s. A mask is True where the category is allowed; of
    MultiDiscrete actions, the masks of all factors lie behind one another. At least one action must
    be allowed. Policy-gradient agents draw allowed actions only, and their networks get the bare
    observation. Apply wrappers that change what is seen before this one.

    Args:
        environment: with Discrete or MultiDiscrete actions.
        mask_of: gives the mask from an observation. None: the masks are `info["action_mask"]` of
            the steps, where each is about the step's successor.
        first_mask_of: gives the mask from the first observation of an episode, which no info comes
            with; None: everything is allowed there. Not with `mask_of`, which says that too.

    Raises:
        ValueError: the actions are a Box, or there are no masks, or ones of the wrong shape.
    """
    size, name, seen = _mask_size(environment), environment.name, unmasked_space(environment)
    if mask_of is not None and first_mask_of is not None:
        raise ValueError("mask_of gives the first mask of an episode too: leave first_mask_of out")

    def first(observation: Observation) -> MaskedObservation:
        function = first_mask_of if mask_of is None else mask_of
        mask = jnp.ones(size, bool) if function is None else function(observation)
        return MaskedObservation(observation, _checked(mask, size, name))

    def later(time_step: TimeStep) -> MaskedObservation:
        observation = time_step.observation
        mask = _mask_of_info(time_step, name) if mask_of is None else mask_of(observation)
        return MaskedObservation(observation, _checked(mask, size, name))

    def reset(key: Key) -> tuple[EnvState, Observation]:
        state, observation = environment.reset(key)
        return state, first(observation)

    def step(key: Key, state: EnvState, action: Action) -> tuple[EnvState, TimeStep]:
        state, time_step = environment.step(key, state, action)
        return state, time_step._replace(observation=later(time_step))

    masked = environment._replace(observation_space=MaskedSpace(seen, size), reset=reset, step=step)
    _try_out(masked)
    return masked


def unmasked_space(environment: Environment) -> SpaceTree:
    """The space of the observations, for those who have no use for masks.

    Raises:
        ValueError: the observations carry masks of actions.
    """
    space = environment.observation_space
    if isinstance(space, MaskedSpace):
        raise ValueError(
            f"the observations of {environment.name} carry masks of actions, which have no place "
            "here: give the environment without them"
        )
    return space


def _mask_size(environment: Environment) -> int:
    """The number of categories of the actions, if they can be masked."""
    space, name = environment.action_space, environment.name
    if isinstance(space, Box):
        raise ValueError(
            f"the actions of {name} are a Box: only Discrete and MultiDiscrete ones can be masked"
        )
    return space.num_categories if isinstance(space, Discrete) else sum(space.num_categories)


def _mask_of_info(time_step: TimeStep, name: str) -> Any:
    if "action_mask" not in time_step.info:
        there_are = ", ".join(time_step.info) or "nothing"
        raise ValueError(
            f'the steps of {name} have no info["action_mask"] (info has {there_are}): give mask_of,'
            " a function from an observation to the mask of the allowed actions"
        )
    return time_step.info["action_mask"]


def _checked(mask: Any, size: int, name: str) -> Bool[Array, " K"]:
    mask = jnp.asarray(mask)
    if mask.shape != (size,):
        raise ValueError(
            f"a mask of the actions of {name} has shape {(size,)}, one entry per category, "
            f"but this one has shape {mask.shape}"
        )
    return mask.astype(bool)


def _try_out(environment: Environment) -> None:
    """Traces a reset and a step, which say what is wrong with the masks."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    state, _ = jax.eval_shape(environment.reset, key)
    space = environment.action_space
    jax.eval_shape(environment.step, key, state, jax.ShapeDtypeStruct(space.shape, space.dtype))

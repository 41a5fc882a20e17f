"""What an environment promises, checked before anything of it is compiled."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxrl.environments.resets import Step, change_step
from jaxrl.types import (
    Action,
    Box,
    Discrete,
    Environment,
    EnvState,
    Key,
    MaskedObservation,
    MaskedSpace,
    MultiDiscrete,
    Space,
    SpaceTree,
    TimeStep,
    is_nested,
    space_leaves,
)

_SPACES = (Discrete, MultiDiscrete, Box)


def require_environment(value: Any) -> Environment:
    """Lets an environment pass that keeps what it declares, and says what is wrong with another.

    Reset and step are traced once, which compiles nothing. The reward may be any real number and
    becomes float32; the ends of an episode may be truth values or whole numbers and become bool.

    Args:
        value: what a user gave as an environment.

    Returns:
        The environment, with a step of exact types.

    Raises:
        ValueError: it is a name, an environment of another library, or something else; or one whose
            spaces, time limit, observations, state, reward or ends are not what they should be.
    """
    if not isinstance(value, Environment):
        raise ValueError(
            f"an algorithm needs a jaxrl Environment, not {_kind(value)}: make one with "
            "jaxrl.make_env(...)"
        )
    _check_spaces(value)
    _check_limit(value)
    key = jax.eval_shape(lambda: jax.random.key(0))
    start = jax.eval_shape(value.reset, key)
    _expect_pair(start, "reset", "(state, observation)", value.name)
    state, observation = start
    _check_observation(observation, "observation of the reset", value)
    action = jax.ShapeDtypeStruct(value.action_space.shape, value.action_space.dtype)
    answer = jax.eval_shape(value.step, key, state, action)
    _expect_pair(answer, "step", "(state, TimeStep)", value.name)
    after, time_step = answer
    _check_state(state, after, value.name)
    if _check_time_step(time_step, value):
        return value
    return value._replace(step=change_step(value.step, _cast))


def _check_spaces(environment: Environment) -> None:
    """The kinds and the sizes of both spaces."""
    name, space = environment.name, environment.observation_space
    seen: Any = space.space if isinstance(space, MaskedSpace) else space
    parts = [(f"observation{path}", leaf) for path, leaf in space_leaves(seen)]
    if not parts:
        raise ValueError(f"the observation space of {name} is {seen!r}, which has no parts")
    parts.append(("action", environment.action_space))
    for what, part in parts:
        if not isinstance(part, _SPACES):
            raise ValueError(
                f"the {what} space of {name} is {_kind(part)}, but it must be a Discrete, a "
                "MultiDiscrete or a Box of jaxrl.types, and observations may be a pytree of them"
            )
        if 0 in part.shape:
            raise ValueError(
                f"the {what} space of {name} has shape {part.shape}, which holds no number: give "
                "it at least one, such as a constant"
            )
        counts = () if isinstance(part, Box) else np.atleast_1d(part.num_categories)
        if any(count < 1 for count in counts):
            raise ValueError(f"the {what} space of {name} is {part}: it needs categories")


def _check_limit(environment: Environment) -> None:
    """The time limit is a whole number from 1 on, where it is known."""
    limit = environment.max_episode_steps
    if limit is None or isinstance(limit, Tracer):
        return
    try:
        number = np.asarray(limit)
        is_right = number.shape == () and number.dtype.kind in "iuf"
        is_right = bool(is_right and np.isfinite(number) and number >= 1 and number % 1 == 0)
    except (TypeError, ValueError):
        is_right = False
    if not is_right:
        raise ValueError(
            f"max_episode_steps={limit!r} of {environment.name} must be a whole number, at least "
            "1, or None where no limit is known"
        )


def _check_observation(observation: Any, what: str, environment: Environment) -> None:
    """An observation is of its space, masked where that is."""
    name, space = environment.name, environment.observation_space
    if isinstance(space, MaskedSpace) != isinstance(observation, MaskedObservation):
        raise ValueError(
            f"the {what} of {name} is {_describe(observation)}, but its space is "
            f"{type(space).__name__}: a MaskedObservation and a MaskedSpace go together, as "
            "mask_actions makes them"
        )
    if isinstance(space, MaskedSpace):
        mask, wanted = observation.action_mask, (space.num_categories,)
        if jnp.shape(mask) != wanted or not _is_kind(mask, "b"):
            raise ValueError(
                f"the mask of {name} is {_describe(mask)}, but it must be bool{wanted}"
            )
        observation, space = observation.observation, space.space
    if is_nested(space):
        _check_parts(observation, space, what, name)
        return
    _check_part(observation, space, what, name)


def _check_parts(observation: Any, space: SpaceTree, what: str, name: str) -> None:
    """A nested observation has the parts of its space, and each is of its own."""
    try:
        parts = jax.tree.structure(space).flatten_up_to(observation)
    except (ValueError, TypeError):
        paths = ", ".join(path for path, _ in space_leaves(space))
        raise ValueError(
            f"the {what} of {name} is {_describe(observation)}, but its space is nested otherwise: "
            f"{_kind(space)} with {paths}"
        ) from None
    for part, (path, leaf) in zip(parts, space_leaves(space), strict=True):
        _check_part(part, leaf, f"{what} at {path}", name)


def _check_part(observation: Any, space: Space, what: str, name: str) -> None:
    if not _is_array(observation) or observation.shape != tuple(space.shape):
        raise ValueError(
            f"the {what} of {name} is {_describe(observation)}, but its space has shape "
            f"{tuple(space.shape)}: one array of that shape is needed"
        )
    if not _is_kind(observation, _kind_of(space.dtype)):
        raise ValueError(
            f"the {what} of {name} is {_describe(observation)}, but its space is of "
            f"{jnp.dtype(space.dtype).name}: declare dtype=jnp.{observation.dtype.name} in the "
            "space, or convert the observation"
        )


def _check_state(before: Any, after: Any, name: str) -> None:
    """A step keeps the form of the state, for a loop carries it."""
    same = jax.tree.structure(before) == jax.tree.structure(after)
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
    if not (same and all((x.shape, x.dtype) == (y.shape, y.dtype) for x, y in pairs)):
        raise ValueError(
            f"the state of {name} must keep its form from reset to step, but changes from "
            f"{_describe(before)} to {_describe(after)}"
        )


def _check_time_step(time_step: Any, environment: Environment) -> bool:
    """Whether reward and ends are of exact types; what cannot become so is an error."""
    name = environment.name
    if not isinstance(time_step, TimeStep):
        raise ValueError(
            f"the step of {name} returns (state, {_kind(time_step)}), but it must return "
            "(state, jaxrl.types.TimeStep(observation, reward, terminated, truncated, "
            "final_observation, info))"
        )
    _check_observation(time_step.observation, "observation of the step", environment)
    final = time_step.final_observation
    if final is None or not jax.tree.leaves(final):
        raise ValueError(
            f"the final_observation of {name} is missing: give the successor before any reset, "
            "which is the observation itself within an episode"
        )
    _check_observation(final, "final_observation of the step", environment)
    info: Any = time_step.info
    if not isinstance(info, dict):
        raise ValueError(f"the info of {name} is {_kind(info)}, but it must be a dict")
    for field, kinds, wanted in (
        ("reward", "fib", "a real number"),
        ("terminated", "bi", "a bool"),
        ("truncated", "bi", "a bool"),
    ):
        value = getattr(time_step, field)
        if not _is_array(value) or value.shape != () or not _is_kind(value, kinds):
            raise ValueError(
                f"the {field} of {name} is {_describe(value)}, but it must be {wanted} of shape ()"
            )
    ends = (time_step.terminated, time_step.truncated)
    return time_step.reward.dtype == jnp.float32 and all(end.dtype == jnp.bool_ for end in ends)


def _cast(step: Step) -> Step:
    """A step whose reward and ends are of exact types."""

    def function(key: Key, state: EnvState, action: Action) -> tuple[EnvState, TimeStep]:
        state, time_step = step(key, state, action)
        return state, time_step._replace(
            reward=jnp.asarray(time_step.reward, jnp.float32),
            terminated=jnp.asarray(time_step.terminated, bool),
            truncated=jnp.asarray(time_step.truncated, bool),
        )

    return function


def _expect_pair(value: Any, method: str, wanted: str, name: str) -> None:
    if type(value) is not tuple or len(value) != 2:
        count = f"{len(value)} values" if type(value) is tuple else _kind(value)
        raise ValueError(f"the {method} of {name} returns {count}, but it must return {wanted}")


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _is_kind(value: Any, kinds: str) -> bool:
    """Whether an array's type is among some kinds: b for bool, i for integers, f for floats."""
    dtype = value.dtype
    return (
        ("b" in kinds and jnp.issubdtype(dtype, jnp.bool_))
        or ("i" in kinds and jnp.issubdtype(dtype, jnp.integer))
        or ("f" in kinds and jnp.issubdtype(dtype, jnp.floating))
    )


def _kind_of(dtype: Any) -> str:
    if jnp.issubdtype(dtype, jnp.bool_):
        return "b"
    return "i" if jnp.issubdtype(dtype, jnp.integer) else "f"


def _kind(value: Any) -> str:
    """What a value is, in a word or two."""
    if isinstance(value, str | int | float | None):
        return repr(value)
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def _describe(value: Any) -> str:
    """The type and shape of every array, and what holds them where that is no array."""
    if _is_array(value):
        return f"{value.dtype}{list(value.shape)}"
    leaves, _ = jax.tree_util.tree_flatten_with_path(value)
    parts = [f"{jax.tree_util.keystr(path).lstrip('.')} {_describe(x)}" for path, x in leaves]
    return f"{_kind(value)} ({', '.join(parts)})" if parts else _kind(value)

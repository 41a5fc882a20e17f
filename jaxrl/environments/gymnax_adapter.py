"""gymnax environments as ours: one cheap step, exact types, spaces that tell the truth."""

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxrl.environments.builder import Reset, Step, build_environment
from jaxrl.environments.spaces import action_space_of, narrowest_type, observation_space_of
from jaxrl.types import (
    Action,
    Environment,
    EnvState,
    Key,
    MultiDiscrete,
    Observation,
    Space,
    TimeStep,
)

GymnaxStep: TypeAlias = Callable[[Key, EnvState, Any], tuple[EnvState, TimeStep]]


def from_gymnax(environment: Any, params: Any, *, name: str | None = None) -> Environment:
    """Adapts a gymnax 1.x environment.

    Observations keep the type that the environment gives them (the space says which), but for
    MinAtar's truth values, which are bool; the reward is float32. Reset and step return exactly the
    same types, so that a scan can carry the state. `info` holds what the environment puts there.

    The step is gymnax's `step_env` with `is_truncated`. A class with a `step` of its own keeps it,
    and the successor is its `info["final_observation"]`; but such a step resets, which is work that
    nobody sees: loops start the next episode, and what the step would carry over into it is lost. A
    class with a `reset` of its own has every episode started by that.

    Args:
        environment: an object of a class that derives from gymnax's `Environment`.
        params: its `EnvParams`; leaves may be traced.
        name: for people and presets; by default the environment's own.

    Returns:
        The environment; its `max_episode_steps` is `params.max_steps_in_episode` where that exists.

    Raises:
        ValueError: where the environment does not keep gymnax's protocol.
    """
    name = str(environment.name) if name is None else name
    # Inside somebody's jit, what does not depend on a traced parameter stays a plain value.
    with jax.ensure_compile_time_eval():
        # As arrays, because that is what gymnax's own jitted functions would see.
        arrays = jax.tree.map(jnp.asarray, params)
        action_space = action_space_of(environment.action_space(arrays), name)
        observation_space = environment.observation_space(arrays)

    def observed_space(observation: Any) -> Space:
        return observation_space_of(observation_space, narrowest_type(observation, name), name)

    own_reset = _overrides(environment, "reset")
    reset = environment.reset if own_reset else environment.reset_env
    step = _own_step if _overrides(environment, "step") else _transition
    return build_environment(
        name=name,
        reset=_reset_function(reset, arrays),
        step=_checking_action(step(environment, arrays, name), action_space, name),
        observation_space=observed_space,
        action_space=action_space,
        max_episode_steps=_max_episode_steps(params),
    )


def _max_episode_steps(params: Any) -> Any:
    steps = getattr(params, "max_steps_in_episode", None)
    if steps is None or isinstance(steps, Tracer):
        return steps
    return int(steps)


def _overrides(environment: Any, method: str) -> bool:
    """Whether the environment brings a method of its own in place of gymnax's."""
    from gymnax.environments.environment import Environment as GymnaxEnvironment

    theirs = inspect.getattr_static(GymnaxEnvironment, method)
    return inspect.getattr_static(environment, method) is not theirs


def _reset_function(reset: Callable[..., Any], params: Any) -> Reset:
    def function(key: Key) -> tuple[EnvState, Observation]:
        observation, state = _theirs(reset, key, params)
        return state, observation

    return function


def _checking_action(step: GymnaxStep, space: Space, name: str) -> Step:
    """Lets in only actions of the space's shape, in its type and in gymnax's form."""

    def function(key: Key, state: EnvState, action: Action) -> tuple[EnvState, TimeStep]:
        action = jnp.asarray(action, space.dtype)
        if action.shape != space.shape:
            raise ValueError(f"an action of {name} has shape {space.shape}, not {action.shape}")
        # A Tuple space of gymnax's takes a tuple of scalars.
        theirs = tuple(action) if isinstance(space, MultiDiscrete) else action
        return step(key, state, theirs)

    return function


def _transition(environment: Any, params: Any, name: str) -> GymnaxStep:
    """A step that does not reset."""

    def function(key: Key, state: EnvState, action: Any) -> tuple[EnvState, TimeStep]:
        values = _theirs(environment.step_env, key, state, action, params)
        _expect_values(values, "observation, state, reward, terminated, info", "step_env", name)
        observation, state, reward, terminated, info = values
        truncated = _theirs(environment.is_truncated, state, params)
        return state, TimeStep(observation, reward, terminated, truncated, info)

    return function


def _own_step(environment: Any, params: Any, name: str) -> GymnaxStep:
    """The environment's own `step`, whose reset is passed over: the loops' own reset wins."""

    def function(key: Key, state: EnvState, action: Any) -> tuple[EnvState, TimeStep]:
        values = _theirs(environment.step, key, state, action, params)
        expected = "observation, state, reward, terminated, truncated, info"
        _expect_values(values, expected, "step", name)
        _, state, reward, terminated, truncated, info = values
        if "final_observation" not in info:
            raise ValueError(
                f"the step of {name} must put the successor before any reset into "
                'info["final_observation"], as gymnax 1.x does'
            )
        fields = ("terminated", "truncated", "final_observation")
        rest = {key: value for key, value in info.items() if key not in fields}
        successor = info["final_observation"]
        return state, TimeStep(successor, reward, terminated, truncated, rest)

    return function


def _theirs(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function of gymnax's, in some of which arrays of different rank meet."""
    with jax.numpy_rank_promotion("allow"):
        return function(*arguments)


def _expect_values(values: Any, expected: str, method: str, name: str) -> None:
    if len(values) != len(expected.split(", ")):
        raise ValueError(
            f"the {method} of {name} returns {len(values)} values, but gymnax 1.x expects "
            f"{len(expected.split(', '))}: {expected}"
        )

"""gymnax environments as ours: one cheap step, exact types, spaces that tell the truth."""

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxrl.environments.resets import Reset, Step, auto_reset, change_step
from jaxrl.environments.spaces import action_space_of, narrowest_type, observation_space_of
from jaxrl.environments.step_types import cast, settle_types
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
    same types, so that a scan can carry the state. `info` holds what the environment puts there. A
    class with a `step` of its own keeps it; otherwise `step_env`, `is_truncated` and `reset_env`
    are put together here, because gymnax's `step` draws random bits that a deterministic transition
    does not need.

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

    own_reset = _overrides(environment, "reset")
    reset = _reset_function(environment.reset if own_reset else environment.reset_env, arrays)
    has_own_step = _overrides(environment, "step")
    function = _own_step if has_own_step else _transition
    step = _checking_action(function(environment, arrays, name), action_space, name)
    state_type, observation_type, step_uses_key = settle_types(name, reset, step, action_space)
    observation_type = narrowest_type(observation_type, name)
    if not has_own_step:
        # Random bits are a large part of a simple environment's step: the reset gets the whole key
        # where the transition draws none.
        next_start = _reset_function(environment.reset_env, arrays)
        step = auto_reset(next_start, step, step_uses_key=step_uses_key)
    typed_reset, typed = _casting(reset, state_type, observation_type)
    return Environment(
        name=name,
        observation_space=observation_space_of(observation_space, observation_type, name),
        action_space=action_space,
        reset=typed_reset,
        step=change_step(step, typed),
        max_episode_steps=_max_episode_steps(params),
    )


def _casting(
    reset: Reset, state_type: Any, observation_type: Any
) -> tuple[Reset, Callable[[Step], Step]]:
    """A reset of the settled types, and what gives a step the same."""

    def typed_reset(key: Key) -> tuple[EnvState, Observation]:
        state, observation = reset(key)
        return cast(state, state_type), cast(observation, observation_type)

    def typed(step: Step) -> Step:
        def function(key: Key, state: EnvState, action: Action) -> tuple[EnvState, TimeStep]:
            state, time_step = step(key, state, action)
            return cast(state, state_type), TimeStep(
                observation=cast(time_step.observation, observation_type),
                reward=jnp.asarray(time_step.reward, jnp.float32),
                terminated=jnp.asarray(time_step.terminated, bool),
                truncated=jnp.asarray(time_step.truncated, bool),
                final_observation=cast(time_step.final_observation, observation_type),
                info=time_step.info,
            )

        return function

    return typed_reset, typed


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
        return state, TimeStep(observation, reward, terminated, truncated, observation, info)

    return function


def _own_step(environment: Any, params: Any, name: str) -> GymnaxStep:
    """The environment's own `step`, which resets."""

    def function(key: Key, state: EnvState, action: Any) -> tuple[EnvState, TimeStep]:
        values = _theirs(environment.step, key, state, action, params)
        expected = "observation, state, reward, terminated, truncated, info"
        _expect_values(values, expected, "step", name)
        observation, state, reward, terminated, truncated, info = values
        if "final_observation" not in info:
            raise ValueError(
                f"the step of {name} must put the successor before any reset into "
                'info["final_observation"], as gymnax 1.x does'
            )
        fields = ("terminated", "truncated", "final_observation")
        rest = {key: value for key, value in info.items() if key not in fields}
        final_observation = info["final_observation"]
        time_step = TimeStep(observation, reward, terminated, truncated, final_observation, rest)
        return state, time_step

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

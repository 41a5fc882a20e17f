"""The builder of environments: types of reset and step settled, promises checked."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from jaxrl.environments.promises import (
    check_limit,
    check_observation,
    check_space,
    check_time_step,
    describe,
    expect_pair,
    kind,
)
from jaxrl.types import (
    Action,
    Environment,
    EnvState,
    Key,
    MaskedObservation,
    MaskedSpace,
    Observation,
    ObservationSpace,
    Space,
    TimeStep,
)

Reset: TypeAlias = Callable[[Key], tuple[EnvState, Observation]]
Step: TypeAlias = Callable[[Key, EnvState, Action], tuple[EnvState, TimeStep]]

# The reward and an episode's ends, as learners and loops take them.
_EXACT: dict[str, Any] = {
    "reward": jax.ShapeDtypeStruct((), jnp.float32),
    "terminated": jax.ShapeDtypeStruct((), jnp.bool_),
    "truncated": jax.ShapeDtypeStruct((), jnp.bool_),
}


def build_environment(
    *,
    name: str,
    reset: Callable[[Key], tuple[Any, Any]],
    step: Callable[[Key, Any, Any], tuple[Any, Any]],
    observation_space: ObservationSpace | Callable[[Any], ObservationSpace],
    action_space: Space,
    max_episode_steps: Any = None,
    metrics: tuple[str, ...] = (),
) -> Environment:
    """Builds an environment from its functions and settles the types of what they return.

    A scan carries state and observation, so both must have one type, whatever reset and step make
    of them: each leaf of the state gets the type that step returns, and the observation that of its
    space where both are of one kind. The reward becomes float32, the ends of an episode bool.
    Reset and step are traced, which compiles nothing. An environment may also be built inside a
    function that is traced: what does not depend on traced values stays a plain value there.

    Args:
        name: for people and for presets.
        reset: (key) -> (state, observation).
        step: (key, state, action) -> (state, TimeStep), which knows nothing of the next episode.
        observation_space: of the observations; or a function from their abstract values (a pytree
            of `jax.ShapeDtypeStruct`) to it, for suites whose spaces do not tell the truth. What
            that function returns decides the observations' type.
        action_space: of the actions.
        max_episode_steps: no episode is longer; may be traced. None: no limit is known.
        metrics: names of entries of a step's `info` that are reported; see `Environment`.

    Returns:
        The environment.

    Raises:
        ValueError: the spaces, the time limit, or what reset and step return are not what they
            should be; or the state keeps changing its form.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxrl.environments import build_environment
        >>> from jaxrl.types import Box, Discrete, TimeStep
        >>> def reset(key):
        ...     return 0, jnp.zeros(1)
        >>> def step(key, time, action):
        ...     return time + 1, TimeStep(jnp.ones(1), action, time >= 3, False, {})
        >>> env = build_environment(
        ...     name="four-steps",
        ...     reset=reset,
        ...     step=step,
        ...     observation_space=Box(0.0, 1.0, (1,)),
        ...     action_space=Discrete(2),
        ...     max_episode_steps=4,
        ... )
        >>> env.max_episode_steps
        4
    """
    given: Any = observation_space
    with jax.ensure_compile_time_eval():
        functions = (reset, step, max_episode_steps, metrics)
        environment = Environment(name, given, action_space, *functions)
        return _settled(environment, space_of=given if callable(given) else None)


def require_environment(value: Any) -> Environment:
    """Lets an environment pass that keeps what it declares, and says what is wrong with another.

    Reset and step are traced, which compiles nothing. Types are settled as `build_environment` does
    where they are not exact.

    Args:
        value: what a user gave as an environment.

    Returns:
        The environment, with a reset and a step of exact types.

    Raises:
        ValueError: it is a name, an environment of another library, or something else; or one whose
            spaces, time limit, observations, state, reward or ends are not what they should be.
    """
    if not isinstance(value, Environment):
        raise ValueError(
            f"an algorithm needs a jaxrl Environment, not {kind(value)}: make one with "
            "jaxrl.make_env(...)"
        )
    return _settled(value)


def reads_key(environment: Environment) -> bool:
    """Whether a step reads the key that it gets, found out by tracing it."""
    state, _ = jax.eval_shape(environment.reset, _abstract_key())
    action = _abstract_action(environment)
    traced = jax.make_jaxpr(environment.step)(_abstract_key(), state, action).jaxpr
    key = traced.invars[0]
    return any(key in equation.invars for equation in traced.eqns) or key in traced.outvars


def _settled(environment: Environment, space_of: Callable[[Any], Any] | None = None) -> Environment:
    """The environment with one type for the state, one for the observation, and exact ends."""
    name = environment.name
    check_space("action", environment.action_space, name)
    check_limit(environment)
    if space_of is None:
        check_space("observation", environment.observation_space, name)
    first, later = _traced(environment)
    check_time_step(later[1], name)
    state_type = _settled_state(environment, first[0], later[0])
    seen = {"reset": first[1], "step": later[1].observation}
    if space_of is not None:
        _expect_same("observation", seen["reset"], seen["step"], name)
        environment = environment._replace(observation_space=space_of(_strong(seen["step"])))
        check_space("observation", environment.observation_space, name)
        seen = {method: _in_type_of(environment, value) for method, value in seen.items()}
    for method, observation in seen.items():
        check_observation(observation, f"observation of the {method}", environment)
    observation_type = _in_type_of(environment, seen["step"])
    time_step = later[1]._replace(observation=observation_type, **_EXACT)
    if _facts((first, later)) == _facts(((state_type, observation_type), (state_type, time_step))):
        return environment
    return _casting(environment, state_type, observation_type)


def _traced(environment: Environment) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Abstract values of what a reset and the first step return."""
    start = jax.eval_shape(environment.reset, _abstract_key())
    expect_pair(start, "reset", "(state, observation)", environment.name)
    action = _abstract_action(environment)
    answer = jax.eval_shape(environment.step, _abstract_key(), start[0], action)
    expect_pair(answer, "step", "(state, TimeStep)", environment.name)
    return start, answer


def _settled_state(environment: Environment, first: Any, later: Any) -> Any:
    """The state's type, which is the one that step returns."""
    _expect_same("state", first, later, environment.name)
    settled = _strong(later)
    if jax.tree.leaves(_strong(first)) != jax.tree.leaves(settled):
        # The first step changed a type; the next must not, or a scan could not carry the state.
        action = _abstract_action(environment)
        after = jax.eval_shape(environment.step, _abstract_key(), settled, action)[0]
        if jax.tree.leaves(_strong(after)) != jax.tree.leaves(settled):
            raise ValueError(_changing("state", settled, after, environment.name))
    return settled


def _in_type_of(environment: Environment, observation: Any) -> Any:
    """The abstract value of an observation, in the type that its space declares."""
    space = environment.observation_space
    if isinstance(space, MaskedSpace):
        inner = environment._replace(observation_space=space.space)
        return MaskedObservation(
            _in_type_of(inner, observation.observation), _strong(observation.action_mask)
        )
    parts = jax.tree.structure(space).flatten_up_to(observation)
    typed = [
        jax.tree.map(lambda leaf, dtype=of.dtype: jax.ShapeDtypeStruct(leaf.shape, dtype), part)
        for of, part in zip(jax.tree.leaves(space), parts, strict=True)
    ]
    return jax.tree.unflatten(jax.tree.structure(space), typed)


def _casting(environment: Environment, state_type: Any, observation_type: Any) -> Environment:
    """The environment, whose functions give what they return the settled types."""

    def reset(key: Key) -> tuple[EnvState, Observation]:
        state, observation = environment.reset(key)
        return _cast(state, state_type), _cast(observation, observation_type)

    def step(key: Key, state: EnvState, action: Action) -> tuple[EnvState, TimeStep]:
        state, time_step = environment.step(key, state, action)
        return _cast(state, state_type), TimeStep(
            observation=_cast(time_step.observation, observation_type),
            reward=jnp.asarray(time_step.reward, jnp.float32),
            terminated=jnp.asarray(time_step.terminated, bool),
            truncated=jnp.asarray(time_step.truncated, bool),
            info=time_step.info,
        )

    return environment._replace(reset=reset, step=step)


def _cast(values: Any, types: Any) -> Any:
    """Gives every leaf its type, and no weak one."""
    return jax.tree.map(lambda value, type_: jnp.asarray(value, type_.dtype), values, types)


def _strong(types: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), types)


def _facts(types: Any) -> list[Any]:
    return [(leaf.dtype, leaf.weak_type) for leaf in jax.tree.leaves(types)]


def _expect_same(what: str, before: Any, after: Any, name: str) -> None:
    """Structures and shapes, of which no cast makes others."""

    def form(types: Any) -> Any:
        return jax.tree.structure(types), [leaf.shape for leaf in jax.tree.leaves(types)]

    if form(before) != form(after):
        raise ValueError(_changing(what, before, after, name))


def _changing(what: str, before: Any, after: Any, name: str) -> str:
    return (
        f"the {what} of {name} must keep its form from reset to step, but changes from "
        f"{describe(before)} to {describe(after)}"
    )


def _abstract_key() -> Any:
    return jax.eval_shape(lambda: jax.random.key(0))


def _abstract_action(environment: Environment) -> Any:
    space = environment.action_space
    return jax.ShapeDtypeStruct(space.shape, space.dtype)

"""One type for the state and one for the observation, whatever reset and step make of them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.types import Space


def settle_types(
    name: str, reset: Callable[..., Any], step: Callable[..., Any], action_space: Space
) -> tuple[Any, Any, bool]:
    """Finds the types of state and observation that both reset and step can be cast to.

    They are those that step returns: resets of gymnax 1.0.1 leave some leaves weakly typed, and a
    user's own may count time in another type than its step does.

    Args:
        name: of the environment, for messages.
        reset: (key) -> (state, observation).
        step: (key, state, action) -> (state, TimeStep).
        action_space: of `action`.

    Returns:
        The state's and the observation's types (pytrees of `jax.ShapeDtypeStruct`), and whether
        step reads its key.

    Raises:
        ValueError: where shapes or structures differ, or types still change at the second step.
    """
    key = jax.eval_shape(lambda: jax.random.key(0))
    action = jax.ShapeDtypeStruct(action_space.shape, action_space.dtype)
    abstract_step = jax.make_jaxpr(step, return_shape=True)
    before = _strong(jax.eval_shape(reset, key))
    jaxpr, (state, time_step) = abstract_step(key, before[0], action)
    types = _strong((state, time_step.observation))
    _expect_same("state", before[0], types[0], name, dtypes=False)
    _expect_same("observation", before[1], types[1], name, dtypes=False)
    if jax.tree.leaves(types[0]) != jax.tree.leaves(before[0]):
        # The first step changed a type; the next must not, or a scan could not carry the state.
        _, (state, _) = abstract_step(key, types[0], action)
        _expect_same("state", types[0], _strong(state), name, dtypes=True)
    for field in ("reward", "terminated", "truncated"):
        shape = jnp.shape(getattr(time_step, field))
        if shape != ():
            raise ValueError(f"`{field}` of {name} has shape {shape}, expected a scalar")
    key_variable = jaxpr.jaxpr.invars[0]
    uses_key = any(key_variable is v for equation in jaxpr.eqns for v in equation.invars)
    return *types, uses_key or key_variable in jaxpr.jaxpr.outvars


def cast(values: Any, types: Any) -> Any:
    """Gives every leaf its type, and no weak one."""
    return jax.tree.map(lambda value, type_: jnp.asarray(value, type_.dtype), values, types)


def _strong(types: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), types)


def _expect_same(what: str, before: Any, after: Any, name: str, *, dtypes: bool) -> None:
    def facts(types: Any) -> list[Any]:
        return [leaf if dtypes else leaf.shape for leaf in jax.tree.leaves(types)]

    same_structure = jax.tree.structure(before) == jax.tree.structure(after)
    if not same_structure or facts(before) != facts(after):
        raise ValueError(
            f"the {what} of {name} must keep its form from reset to step to step, but changes "
            f"from {_describe(before)} to {_describe(after)}"
        )


def _describe(types: Any) -> str:
    leaves, _ = jax.tree_util.tree_flatten_with_path(types)
    return ", ".join(
        f"{jax.tree_util.keystr(path).lstrip('.') or 'array'} {leaf.dtype}{list(leaf.shape)}"
        for path, leaf in leaves
    )

"""Names for what functions of the library take and give; all are arrays or trees of them."""

from typing import Any, TypeAlias

from jaxtyping import Array

Key: TypeAlias = Array
"""A typed random key (`jax.random.key`), shape (). A function that takes one consumes it."""
PyTree: TypeAlias = Any
Params: TypeAlias = PyTree
Observation: TypeAlias = PyTree
Action: TypeAlias = Array
EnvState: TypeAlias = PyTree
Carry: TypeAlias = PyTree
AgentState: TypeAlias = Any
SearchState: TypeAlias = Any
State: TypeAlias = Any
Metrics: TypeAlias = dict[str, Array]

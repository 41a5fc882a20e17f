"""What a State has learnt, and whether it is made of finite numbers; for one member, traced."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxrl.types import State

# The name of the flag in the row that a chunk's program returns; no file has it as a column.
LEARNT_IS_FINITE = "learnt_is_finite"

_LEARNT = {"params", "parameters", "networks", "search"}
_OF_THE_TASK = {"worlds", "env_state", "replay"}
_REMEMBERED = ("reward", "observation")


def learnt_is_finite(state: State) -> Bool[Array, ""]:
    """Says whether all numbers that a State has learnt are finite.

    These are the floats in its fields `params`, `parameters`, `networks` and `search`, wherever
    they lie, and not those of the environments or of a replay. A search that has found nothing yet
    says so by an infinity, so that in `search` nan alone counts.

    Args:
        state: of one member.
    """
    finite = jnp.bool_(True)
    for names, leaf in _float_leaves(state):
        if names & _LEARNT and not names & _OF_THE_TASK:
            broken = jnp.isnan(leaf) if "search" in names else ~jnp.isfinite(leaf)
            finite &= ~jnp.any(broken)
    return finite


def remembers_nan(state: State) -> dict[str, Bool[Array, ""]]:
    """Says whether a replay holds a reward or an observation that is nan.

    Args:
        state: of one member.

    Returns:
        By `reward` and `observation`; False where there is no replay.
    """
    found = {name: jnp.bool_(False) for name in _REMEMBERED}
    for names, leaf in _float_leaves(state):
        if "replay" not in names:
            continue
        for name in _REMEMBERED:
            if name in names:
                found[name] |= jnp.any(jnp.isnan(leaf))
    return found


def has_replay(state: State) -> bool:
    """Whether anything in a State, or in its type, belongs to a replay."""
    return any("replay" in names for names, _ in _float_leaves(state))


def _float_leaves(state: State) -> Iterator[tuple[set[str], Any]]:
    """Every leaf of floats, and the names of the fields and keys on the way to it."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.size:
            names = {getattr(entry, "name", getattr(entry, "key", None)) for entry in path}
            yield {name for name in names if isinstance(name, str)}, leaf

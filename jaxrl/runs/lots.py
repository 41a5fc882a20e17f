"""Members in lots: on a CPU as many at a time as its caches hold, elsewhere all at once.

A wide `vmap` goes through the arrays of all members for every operation, and what 256 agents of PPO
touch in one step is larger than a core's cache. Lots are slower where they are small, since each
operation costs something however few it is for, and where chunks are short: a lot's State is copied
out and in once a chunk.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

Kept = TypeVar("Kept")

# The most members of a lot.
MOST = 32


def in_lots(
    function: Callable[[Any, Any], tuple[Any, Any]], kept: Kept, given: Any
) -> tuple[Kept, Any]:
    """Applies a function of many members to lots of them, one lot after another.

    Args:
        function: (kept, given) -> (kept, results), for any number of members.
        kept: [members], such as a State; updated in place where it is donated.
        given: [members], at least one array.

    Returns:
        What is kept, and the results, [members].
    """
    count = jax.tree.leaves(given)[0].shape[0]
    size = lot_size(count)
    if size == count:
        return function(kept, given)
    whole = count // size * size

    def lot(kept: Any, own: Any) -> tuple[Any, Any]:
        start, given = own
        after, results = function(_members(kept, start, size), given)
        return _replaced(kept, after, start), results

    lots = jax.tree.map(lambda x: x[:whole].reshape(whole // size, size, *x.shape[1:]), given)
    kept, results = jax.lax.scan(lot, kept, (jnp.arange(0, whole, size), lots))
    results = jax.tree.map(lambda x: x.reshape(whole, *x.shape[2:]), results)
    if whole == count:
        return kept, results
    after, last = function(
        _members(kept, whole, count - whole), jax.tree.map(lambda x: x[whole:], given)
    )
    joined = jax.tree.map(lambda *x: jnp.concatenate(x), results, last)
    return _replaced(kept, after, whole), joined


def lot_size(count: int) -> int:
    """How many of so many members are in a lot: a divisor, where there is one near the most."""
    if count <= MOST or jax.default_backend() != "cpu":
        return count
    # What is left over would be a program of its own.
    sizes = (size for size in range(MOST, MOST // 2, -1) if count % size == 0)
    return next(sizes, MOST)


def _members(tree: Any, start: Any, number: int) -> Any:
    return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, start, number), tree)


def _replaced(tree: Any, values: Any, start: Any) -> Any:
    return jax.tree.map(
        lambda x, new: jax.lax.dynamic_update_slice_in_dim(x, new, start, 0), tree, values
    )

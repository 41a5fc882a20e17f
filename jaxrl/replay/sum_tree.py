"""A tree of sums: draws an index with a probability in proportion to its weight.

Nodes have 64 children, so that a million leaves take four levels, and a walk few operations. A sum
is always added up from its children, so that rounding does not build up over millions of changes.
"""

import math
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

_CHILDREN = 64


class SumTree(NamedTuple):
    """Weights and their sums.

    Attributes:
        levels: float32, each [nodes, 64]: the children of every node, from the root down; the last
            level's are the weights.
    """

    levels: tuple[Float[Array, "nodes 64"], ...]


Total: TypeAlias = Float[Array, ""]


def init_sum_tree(num_leaves: int) -> SumTree:
    """A tree of zeros for at least so many leaves."""
    sizes: list[int] = []
    while not sizes or sizes[-1] > 1:
        sizes.append(math.ceil((sizes[-1] if sizes else num_leaves) / _CHILDREN))
    return SumTree(
        levels=tuple(jnp.zeros((size, _CHILDREN), jnp.float32) for size in reversed(sizes))
    )


def total_weight(tree: SumTree) -> Total:
    """The sum of all weights."""
    return jnp.sum(tree.levels[0])


def weights_at(tree: SumTree, index: Int[Array, " M"]) -> Float[Array, " M"]:
    """The weights of some leaves."""
    return tree.levels[-1][index // _CHILDREN, index % _CHILDREN]


def set_weights(tree: SumTree, index: Int[Array, " M"], weight: Float[Array, " M"]) -> SumTree:
    """Changes the weights of some leaves; of an index that comes several times, one wins.

    Args:
        tree: to be changed.
        index: of leaves.
        weight: at least 0; what is not, nan among it, counts as 0, and what would let the total
            overflow as the most that does not.
    """
    levels = list(tree.levels)
    # One sum that is not finite would be part of all sums above it, for ever.
    most = float(jnp.finfo(jnp.float32).max) / (2 * levels[-1].size)
    weight = jnp.where(weight > 0, jnp.minimum(weight, most), 0.0)
    if index.size == 1:
        # XLA makes a slice's update of a single one, with a copy of the whole level on the CPU.
        index, weight = jnp.repeat(index, 2), jnp.repeat(weight, 2)

    def put(level: Array, place: Array, value: Array) -> Array:
        return level.at[place // _CHILDREN, place % _CHILDREN].set(value)

    levels[-1] = put(levels[-1], index, weight)
    node = index // _CHILDREN
    for depth in reversed(range(len(levels) - 1)):
        sums = jnp.sum(levels[depth + 1][node], axis=-1)
        levels[depth] = put(levels[depth], node, sums)
        node = node // _CHILDREN
    return SumTree(levels=tuple(levels))


def find(tree: SumTree, mass: Float[Array, " M"]) -> tuple[Int[Array, " M"], Float[Array, " M"]]:
    """The leaf in whose share of the total, laid end to end, each mass falls.

    Args:
        tree: with a positive total.
        mass: in [0, total).

    Returns:
        Leaves, never one of weight 0, whatever the rounding; and their weights. (Reading these
        again later might come after a change of the tree, which would then be made in a copy.)
    """
    # A product with a triangle of ones is a running sum that the CPU does fast.
    triangle = jnp.triu(jnp.ones((_CHILDREN, _CHILDREN), jnp.float32))
    places = jnp.arange(_CHILDREN, dtype=jnp.int32)
    node = jnp.zeros(mass.shape, jnp.int32)
    weight = jnp.zeros(mass.shape, jnp.float32)
    for level in tree.levels:
        weights = level[node]
        # At an accelerator's default precision, leaves in the rear would be drawn too often.
        running = jnp.matmul(weights, triangle, precision="highest")
        beyond = (running > mass[:, None]) & (weights > 0)
        # Rounding may leave nothing beyond: then it is the last one that has any weight.
        last = jnp.max(jnp.where(weights > 0, places, 0), axis=-1)
        child = jnp.where(jnp.any(beyond, axis=-1), jnp.argmax(beyond, axis=-1), last)
        before = jnp.take_along_axis(running - weights, child[:, None], axis=-1)[:, 0]
        weight = jnp.take_along_axis(weights, child[:, None], axis=-1)[:, 0]
        mass = jnp.maximum(mass - before, 0.0)
        node = node * _CHILDREN + child.astype(jnp.int32)
    return node, weight

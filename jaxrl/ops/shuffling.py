"""Cheap pseudo-random permutations, for shuffling a batch into minibatches."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32, UInt32

from jaxrl.types import Key

# Fewer leave the permutations of a few elements visibly unequal: after 6 rounds the 24 of n = 4 are
# off by 4 % of their probability, after 8 by less than 1 %.
_NUM_ROUNDS = 8


def random_permutation(key: Key, n: int) -> Int32[Array, "n"]:
    """A pseudo-random permutation of 0 .. n - 1 without sorting, in O(n).

    A keyed bijection on the b-bit integers, b = ceil(log2 n), made of rounds of

        x <- (multiplier x + increment) mod 2^b, with an odd multiplier;  x <- x xor (x >> shift)

    is applied to every index. Where n is no power of two, results beyond it are sent through the
    bijection again until all lie below (cycle walking), which keeps it one-to-one; that costs more
    passes the further n lies below the next power of two.

    This is pseudo-random and no uniform draw: the bijections that the rounds can form are few
    beside the n! permutations. What minibatches need does hold, and is tested: each index lands
    everywhere equally often, as do pairs of indices, and the orders of a few elements are equally
    frequent. Use `jax.random.permutation` where exact uniformity matters; its sort takes some
    hundred times as long.

    Args:
        key: consumed.
        n: how many, static, 1 <= n <= 2^31.

    Returns:
        The permuted indices.

    Raises:
        ValueError: where n is out of range.

    Source: Black and Rogaway (2002), "Ciphers with Arbitrary Finite Domains", for cycle walking;
    the rounds are those of common integer hash functions, with keyed constants.
    """
    if not 1 <= n <= 2**31:
        raise ValueError(f"n={n} must be at least 1 and at most 2**31")
    num_bits = (n - 1).bit_length()
    constants = jax.random.bits(key, (_NUM_ROUNDS * 3,), jnp.uint32).reshape(_NUM_ROUNDS, 3)
    permuted = _scramble(constants, jnp.arange(n, dtype=jnp.uint32), num_bits)
    if n < 2**num_bits:
        permuted = jax.lax.while_loop(
            lambda x: jnp.any(x >= n),
            lambda x: jnp.where(x >= n, _scramble(constants, x, num_bits), x),
            permuted,
        )
    return permuted.astype(jnp.int32)


def _scramble(
    constants: UInt32[Array, "rounds 3"], x: UInt32[Array, "n"], num_bits: int
) -> UInt32[Array, "n"]:
    """The bijection on the `num_bits`-bit integers that the constants choose."""
    mask = jnp.uint32(2**num_bits - 1)
    multipliers = constants[:, 0] | 1
    increments = constants[:, 1]
    # Shifts that differ between keys mix far better than one fixed shift at the same cost.
    shifts = 1 + constants[:, 2] % max(1, num_bits - 1)
    for i in range(_NUM_ROUNDS):
        x = (x * multipliers[i] + increments[i]) & mask
        x = x ^ (x >> shifts[i])
    return x

"""Members over the local devices: each device runs the program of its share, and none waits."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

EACH = PartitionSpec("members")
ALL = PartitionSpec()


def num_devices(num_members: int) -> int:
    """Returns how many local devices share the members evenly: the most that divide them."""
    present = len(jax.local_devices())
    return max(count for count in range(1, present + 1) if num_members % count == 0)


def jit_over_devices(
    function: Callable[..., Any],
    num_members: int,
    *,
    arguments: tuple[PartitionSpec, ...],
    results: Any,
    donate: int | None = None,
) -> Any:
    """Makes a program of all members one in which every local device has its share of them.

    The devices exchange nothing: a loop that ends earlier on one of them does not wait.

    Args:
        function: of arrays [members, ...] and of what the members share.
        num_members: how many there are.
        arguments: for each argument, `EACH` where its leaves are [members, ...], `ALL` where the
            members share it.
        results: the same for what it returns; for a tuple, a tuple.
        donate: the place of the argument that the program may overwrite.

    Returns:
        The function, jitted; on one device nothing else.
    """
    donated = () if donate is None else (donate,)
    count = num_devices(num_members)
    if count == 1:
        return jax.jit(function, donate_argnums=donated)
    mesh = Mesh(np.array(jax.local_devices()[:count]), ("members",))
    shared = jax.shard_map(
        function, mesh=mesh, in_specs=arguments, out_specs=results, check_vma=False
    )
    # Said of what comes in and what goes out: arrays without elements are placed anywhere else.
    placed, returned = jax.tree.map(
        lambda spec: NamedSharding(mesh, spec),
        (arguments, results),
        is_leaf=lambda spec: isinstance(spec, PartitionSpec),
    )
    return jax.jit(shared, in_shardings=placed, out_shardings=returned, donate_argnums=donated)

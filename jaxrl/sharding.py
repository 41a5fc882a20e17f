"""Environments of one agent over several devices, where a mesh is set whose axis is `envs`.

The loops say which axes have environments; the compiler does the rest. Every device steps its share
and works out the gradient of it, and gradients, statistics and metrics are means over all of them.

    mesh = jax.sharding.Mesh(jax.devices(), ("envs",))
    with jax.set_mesh(mesh):
        result = jax.jit(lambda key: jaxrl.train(key, algorithm))(jax.random.key(0))
"""

from typing import TypeVar

import jax
from jax.sharding import PartitionSpec

T = TypeVar("T")

ENVIRONMENTS = "envs"


def over_devices(tree: T, *, axis: int, name: str | None = None) -> T:
    """Shares an axis out over the devices of the mesh; without such a mesh, does nothing.

    Args:
        tree: arrays with the axis.
        axis: its place.
        name: of the setting that gives its length, where every device must have as much; None: the
            last device may have less.

    Raises:
        ValueError: the devices do not divide the length.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if ENVIRONMENTS not in mesh.axis_names:
        return tree
    count = mesh.shape[ENVIRONMENTS]
    placed = PartitionSpec(*(None,) * axis, ENVIRONMENTS)

    def place(x: jax.Array) -> jax.Array:
        if name is not None and x.shape[axis] % count:
            raise ValueError(
                f"{name}={x.shape[axis]} cannot be shared out evenly over {count} devices: use a "
                f"multiple of {count}"
            )
        return jax.lax.with_sharding_constraint(x, placed)

    return jax.tree.map(place, tree)

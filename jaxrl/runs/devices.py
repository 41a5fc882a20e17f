"""Members, or the environments of each, over the local devices.

Members: each device runs the program of its share, and none waits for another. Environments: the
devices train every member together, and the compiler adds up what they have to know of each other.
"""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxrl.loops import OnPolicyState, WholeEpisodesState
from jaxrl.runs.specification import Specification
from jaxrl.sharding import ENVIRONMENTS

EACH = PartitionSpec("members")
ALL = PartitionSpec()
_SHARES = PartitionSpec(None, ENVIRONMENTS)


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
    return _jit_placed(shared, mesh, arguments, results, donated)


def check_devices(specification: Specification) -> None:
    """Checks that what a new run says of devices does something here; a resumed one may lack them.

    Raises:
        ValueError: environments are to be shared out, and there is one device.
    """
    if specification.shard == "envs" and len(jax.local_devices()) == 1:
        raise ValueError(
            "shard='envs' does nothing with one device: it shares the environments out over several"
        )


class Layout(NamedTuple):
    """How the programs of a run are laid out over the local devices.

    Attributes:
        each: where arrays [members, ...] are.
        states: where the parts of the States of all members are.
        jit: makes a program, as `jit_over_devices` does with the number of members.
        jit_evaluation: the same for evaluations, whose arguments are `each`.
        mesh: to be set while a program is traced; None: none.
    """

    each: PartitionSpec
    states: Any
    jit: Callable[..., Any]
    jit_evaluation: Callable[..., Any]
    mesh: Mesh | None

    def tracing(self) -> contextlib.AbstractContextManager[Any]:
        """Surrounds the tracing of its programs."""
        return contextlib.nullcontext() if self.mesh is None else jax.set_mesh(self.mesh)


def layout_of(specification: Specification, states: Any) -> Layout:
    """Decides what the local devices share: the members of a run, or the environments of each.

    Args:
        specification: the run.
        states: types of the States of all members.

    Raises:
        ValueError: environments are to be shared out, and the algorithm does not learn from whole
            rollouts of many.
    """
    if specification.shard == "envs":
        mesh = Mesh(np.array(jax.local_devices()), (ENVIRONMENTS,))
        return Layout(
            each=ALL,
            states=_over_environments(specification.algorithm, states),
            jit=partial(_jit_over_environments, mesh=mesh),
            # On one device: whoever acts is whole on each of them.
            jit_evaluation=jax.jit,
            mesh=mesh,
        )
    over_members = partial(jit_over_devices, num_members=len(specification.members))
    return Layout(
        each=EACH,
        states=EACH,
        jit=over_members,
        jit_evaluation=partial(over_members, arguments=(ALL, EACH, EACH, EACH, EACH), results=EACH),
        mesh=None,
    )


def _over_environments(algorithm: str, states: Any) -> Any:
    """A `PartitionSpec` for each part of the States."""
    if isinstance(states, OnPolicyState):
        count = len(jax.local_devices())
        num_envs = jax.tree.leaves(states.worlds.observation)[0].shape[1]
        if num_envs % count:
            raise ValueError(
                f"num_envs={num_envs} cannot be shared out evenly over {count} devices: use a "
                f"multiple of {count}, or shard='members'"
            )
        whole = jax.tree.map(lambda _: ALL, states)
        return whole._replace(worlds=jax.tree.map(lambda _: _SHARES, states.worlds))
    if isinstance(states, WholeEpisodesState):
        # Its environments begin anew in every iteration.
        return ALL
    raise ValueError(
        f"shard='envs' does nothing for {algorithm}: it is for algorithms that learn from whole "
        "rollouts of many environments, such as ppo, a2c, trpo, impala, pqn and reinforce"
    )


def _jit_over_environments(
    function: Callable[..., Any],
    mesh: Mesh,
    *,
    arguments: tuple[Any, ...],
    results: Any,
    donate: int | None = None,
) -> Any:
    donated = () if donate is None else (donate,)
    return _jit_placed(function, mesh, arguments, results, donated)


def _jit_placed(
    function: Callable[..., Any], mesh: Mesh, arguments: Any, results: Any, donated: Any
) -> Any:
    # Said of what comes in and what goes out: arrays without elements are placed anywhere else.
    placed, returned = jax.tree.map(
        lambda spec: NamedSharding(mesh, spec),
        (arguments, results),
        is_leaf=lambda spec: isinstance(spec, PartitionSpec),
    )
    return jax.jit(function, in_shardings=placed, out_shardings=returned, donate_argnums=donated)

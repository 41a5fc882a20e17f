"""Networks of single examples: fresh parameters from spaces, batches, memoryless policies."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxrl.networks.protocol import over_batch
from jaxrl.types import (
    Carry,
    Key,
    MaskedSpace,
    Network,
    Observation,
    ObservationSpace,
    Params,
    Policy,
    sample_element,
    zero_element,
)


def seen_space(space: ObservationSpace) -> Any:
    """The space of what a network gets: without the masks of the actions."""
    return space.space if isinstance(space, MaskedSpace) else space


def init_network(network: Network, key: Key, *spaces: Any) -> Params:
    """Fresh parameters of a network of single examples from some spaces."""
    return network.init(key, *map(zero_element, spaces))


def apply_to_batch(network: Network, params: Params, *inputs: Any) -> Any:
    """Applies a network of single examples to a batch of them."""
    return over_batch(network, network.apply)(params, *inputs)


def policy_of(network: Network, params: Params, choose: Callable[[Any], Array]) -> Policy:
    """The policy that makes an action of what a network says, and remembers nothing."""

    def start(key: Key) -> Carry:
        del key
        return ()

    def act(key: Key, carry: Carry, observation: Observation) -> tuple[Carry, Array]:
        del key
        return carry, choose(network.apply(params, observation))

    return Policy(start=start, act=act)


def output_shapes(
    network: Network, of: Callable[[Any], Any], *spaces: Any
) -> list[tuple[int, ...]]:
    """The shapes of what is made of a network's output for single examples of some spaces."""

    def output(key: Any) -> Any:
        key_init, *keys = jax.random.split(key, 1 + len(spaces))
        params = init_network(network, key_init, *spaces)
        inputs = [sample_element(space, key) for space, key in zip(spaces, keys, strict=True)]
        return of(network.apply(params, *inputs))

    return [jnp.shape(x) for x in jax.tree.leaves(jax.eval_shape(output, jax.random.key(0)))]

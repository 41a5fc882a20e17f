"""gymnax spaces as ours."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxrl.types import Box, Discrete, MultiDiscrete, Space

# Environments of gymnax 1.0.1 whose observations leave the bounds that they declare: by rewards or
# negative entries among them, by a rounding error, or because MNIST's bytes are read as signed.
_WRONG_OBSERVATION_BOUNDS = (
    "MemoryChain-bsuite",
    "UmbrellaChain-bsuite",
    "MNISTBandit-bsuite",
    "MetaMaze-misc",
    "GaussianBandit-misc",
)

# Environments of gymnax 1.0.1 whose observations are truth values, given as float32.
_TRUTH_VALUES = (
    "Asterix-MinAtar",
    "Breakout-MinAtar",
    "Freeway-MinAtar",
    "Seaquest-MinAtar",
    "SpaceInvaders-MinAtar",
)

# What networks, statistics and replays take of numbers that `jax_enable_x64` makes wide.
_SINGLE = {"float64": jnp.float32, "int64": jnp.int32, "uint64": jnp.uint32}


def action_space_of(space: Any, name: str) -> Space:
    """The action space of a gymnax environment: Discrete, Box, or a Tuple of Discrete.

    Raises:
        ValueError: for any other kind of space.
    """
    from gymnax.environments import spaces

    if isinstance(space, spaces.Tuple) and all(
        isinstance(child, spaces.Discrete) for child in space.spaces
    ):
        counts = tuple(_num_categories(child, name) for child in space.spaces)
        return MultiDiscrete(counts)
    if isinstance(space, spaces.Discrete):
        return Discrete(_num_categories(space, name), space.dtype)
    if isinstance(space, spaces.Box):
        return Box(space.low, space.high, tuple(space.shape), jnp.dtype(space.dtype))
    raise ValueError(
        f"the action space of {name} is a {type(space).__name__}; "
        "it must be Discrete, Box, or a Tuple of Discrete"
    )


def observation_space_of(space: Any, observation: Any, name: str) -> Space:
    """The observation space of a gymnax environment, as its observations really are.

    gymnax 1.0.1's Catch promises int32 and returns float32, FourRooms the other way round; the type
    returned is what the space says here. Where the bounds are wrong, there are none.

    Args:
        space: what the environment declares.
        observation: the abstract value of its observations.
        name: of the environment, for messages.

    Raises:
        ValueError: for another kind of space than Discrete and Box, or another shape than declared.
    """
    from gymnax.environments import spaces

    if not isinstance(space, spaces.Discrete | spaces.Box):
        raise ValueError(
            f"the observation space of {name} is a {type(space).__name__}; "
            "it must be Discrete or Box"
        )
    shapes = [leaf.shape for leaf in jax.tree.leaves(observation)]
    if shapes != [tuple(space.shape)]:
        raise ValueError(
            f"the observation space of {name} has shape {tuple(space.shape)}, "
            f"but its observations have {', '.join(map(str, shapes))}"
        )
    dtype = jax.tree.leaves(observation)[0].dtype
    if isinstance(space, spaces.Discrete):
        return Discrete(_num_categories(space, name), dtype)
    if name in _WRONG_OBSERVATION_BOUNDS:
        return Box(-jnp.inf, jnp.inf, tuple(space.shape), dtype)
    return Box(space.low, space.high, tuple(space.shape), dtype)


def narrowest_type(observation: Any, name: str) -> Any:
    """The narrowest type that loses nothing that learning needs of an environment's observations.

    MinAtar's come as truth values, a fourth of the memory of rollouts; a replay keeps bits. Numbers
    of 64 bits, as `jax_enable_x64` makes them, take the 32 of the networks and statistics.

    Args:
        observation: the abstract value of the observations, as the environment gives them.
        name: of the environment.
    """

    def narrowest(leaf: Any) -> Any:
        dtype = jnp.bool_ if name in _TRUTH_VALUES else _SINGLE.get(str(leaf.dtype), leaf.dtype)
        return jax.ShapeDtypeStruct(leaf.shape, dtype)

    return jax.tree.map(narrowest, observation)


def _num_categories(space: Any, name: str) -> int:
    if isinstance(space.n, Tracer):
        raise ValueError(
            f"the number of categories in a space of {name} depends on a traced parameter: "
            "it must be known before tracing"
        )
    return int(space.n)

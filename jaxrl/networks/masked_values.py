"""Q-networks and policies of discrete actions that keep to masks of the allowed ones."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxrl.distributions import Categorical, mask_logits
from jaxrl.networks.action_values import q_network
from jaxrl.networks.applying import output_shapes, policy_of, seen_space
from jaxrl.networks.masking import refuse_masks, require_masks
from jaxrl.networks.protocol import require_array, require_network
from jaxrl.networks.settings import ValueNetworkSettings, torso_attributes
from jaxrl.types import (
    Discrete,
    Key,
    MaskedObservation,
    MaskedSpace,
    Network,
    Observation,
    ObservationSpace,
    Params,
    Policy,
)

# Worth less than anything, and finite, so that no product of it with 0 is nan.
_FORBIDDEN = -1e9


def seen_and_mask(observation: Observation) -> tuple[Observation, Bool[Array, "*batch K"] | None]:
    """Splits an observation into what a network sees and the allowed actions; None: all."""
    if isinstance(observation, MaskedObservation):
        return observation.observation, observation.action_mask
    return observation, None


def make_q_network(
    observation_space: ObservationSpace,
    action_space: Discrete,
    config: ValueNetworkSettings,
    *,
    network: Network | None = None,
    dueling: bool = False,
) -> Network:
    """The Q-network, the user's or the default one, to which forbidden actions are worth least.

    Args:
        observation_space: of the observations, with or without masks.
        action_space: of the K actions.
        config: the settings of the default network.
        network: maps what is seen, one example, to the values [K]; None: the default one.
        dueling: of the default network, see `q_network`.

    Returns:
        The network, which takes the observations with their masks.

    Raises:
        ValueError: the network or its settings do not suit the spaces.
    """
    if network is None:
        network = q_network(
            seen_space(observation_space),
            action_space,
            dueling=dueling,
            **torso_attributes(config),
        )
    require_network(network)
    masked = _values_with_masks(network, observation_space)
    wanted = (action_space.num_categories,)
    shapes = output_shapes(masked, lambda values: values, observation_space)
    if shapes != [wanted]:
        raise ValueError(
            f"a network of action values maps one observation to values of shape {wanted}, "
            f"but this one returns {', '.join(map(str, shapes))}"
        )
    return masked


def _values_with_masks(network: Network, observation_space: ObservationSpace) -> Network:
    """A Q-network for observations with or without masks, one or a batch of them."""
    check_masks = _check_of_masks(observation_space)

    def init(key: Key, observation: Observation) -> Params:
        return network.init(key, seen_and_mask(observation)[0])

    def apply(params: Params, observation: Observation) -> Float[Array, "*batch K"]:
        check_masks(observation)
        seen, mask = seen_and_mask(observation)
        values = network.apply(params, seen)
        require_array(values, "what a network of action values says")
        return values if mask is None else jnp.where(mask, values, _FORBIDDEN)

    return Network(init=init, apply=apply, batched=network.batched)


def policy_with_masks(network: Network, observation_space: ObservationSpace) -> Network:
    """A policy of discrete actions that keeps to the masks of observations that have them.

    Args:
        network: maps what is seen to a `Categorical`; what else it returns is left as it is.
        observation_space: of the observations, with or without masks.

    Returns:
        The network, which takes the observations with their masks, one or a batch of them.
    """
    check_masks = _check_of_masks(observation_space)

    def init(key: Key, observation: Observation) -> Params:
        return network.init(key, seen_and_mask(observation)[0])

    def apply(params: Params, observation: Observation) -> Any:
        check_masks(observation)
        seen, mask = seen_and_mask(observation)
        distribution = network.apply(params, seen)
        if mask is None or not isinstance(distribution, Categorical):
            # Whoever asked for a categorical says what is wrong with another.
            return distribution
        return Categorical(mask_logits(distribution.logits, mask))

    return Network(init=init, apply=apply, batched=network.batched)


def _check_of_masks(observation_space: ObservationSpace) -> Callable[[Observation], None]:
    """The check that an observation has a mask where its space has them, and else has none."""
    return require_masks if isinstance(observation_space, MaskedSpace) else refuse_masks


def greedy_policy(network: Network, params: Params) -> Policy:
    """The policy that takes the action of the highest value.

    Args:
        network: as `make_q_network` makes it.
        params: its parameters.
    """
    return policy_of(network, params, lambda values: jnp.argmax(values, axis=-1).astype(jnp.int32))

"""Networks whose policies keep to the allowed actions."""

import dataclasses
from typing import Any

from jaxtyping import Array, Bool

from jaxrl.distributions import Categorical, MultiCategorical, mask_logits
from jaxrl.types import Key, MaskedObservation, Observation, Params, RecurrentNetwork


def masking_actions(network: RecurrentNetwork) -> RecurrentNetwork:
    """Lets an actor-critic's network take `MaskedObservation`s and forbid what the masks forbid.

    The distribution that comes out is that of the allowed actions: its log-probabilities and its
    entropy are too.

    Args:
        network: maps what is seen to (distribution, value); of a network without memory,
            `without_memory` makes one of this kind.

    Raises:
        ValueError: at its use, where the distribution is not over categories, or has another
            number of them than the masks.
    """

    def init(key: Key, observation: MaskedObservation) -> Params:
        require_masks(observation)
        return network.init(key, observation.observation)

    def apply(params: Params, memory: Any, observation: MaskedObservation) -> tuple[Any, Any]:
        require_masks(observation)
        memory, output = network.apply(params, memory, observation.observation)
        return memory, _masked(output, observation.action_mask)

    def unroll(
        params: Params, memory: Any, observation: MaskedObservation, ended: Bool[Array, "T B"]
    ) -> tuple[Any, Any]:
        require_masks(observation)
        memories, output = network.unroll(params, memory, observation.observation, ended)
        return memories, _masked(output, observation.action_mask)

    return RecurrentNetwork(init=init, start=network.start, apply=apply, unroll=unroll)


def require_masks(observation: Any) -> None:
    """Lets an observation with a mask of the allowed actions pass.

    Raises:
        ValueError: it has none.
    """
    if not isinstance(observation, MaskedObservation):
        raise ValueError(
            "this policy was learnt with masks of actions: give it MaskedObservation(observation, "
            f"action_mask), not {type(observation).__name__}"
        )


def refuse_masks(observation: Any) -> None:
    """Lets a bare observation pass.

    Raises:
        ValueError: it comes with a mask of actions, to which the policy would not keep.
    """
    if isinstance(observation, MaskedObservation):
        raise ValueError(
            "this policy knows no masks of actions, and was given a MaskedObservation: give it the "
            "bare one, or build the algorithm with mask_actions(env)"
        )


def without_masks(network: RecurrentNetwork) -> RecurrentNetwork:
    """The network, which now refuses observations with masks that it would not keep to."""

    def apply(params: Params, memory: Any, observation: Observation) -> tuple[Any, Any]:
        refuse_masks(observation)
        return network.apply(params, memory, observation)

    return network._replace(apply=apply)


def _masked(output: Any, mask: Bool[Array, "*batch K"]) -> Any:
    """The output with the logits of forbidden actions masked."""
    if not isinstance(output, tuple) or len(output) != 2:
        # Whoever asked for an actor-critic says what is wrong with this one.
        return output
    distribution, value = output
    if not isinstance(distribution, Categorical | MultiCategorical):
        raise ValueError(
            "masks of actions need a network that returns a Categorical or a MultiCategorical, "
            f"not a {type(distribution).__name__}"
        )
    if distribution.logits.shape[-1] != mask.shape[-1]:
        raise ValueError(
            f"the network's distribution has {distribution.logits.shape[-1]} logits, "
            f"but the masks of actions have {mask.shape[-1]} entries"
        )
    logits = mask_logits(distribution.logits, mask)
    return dataclasses.replace(distribution, logits=logits), value

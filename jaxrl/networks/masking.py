"""Networks whose policies keep to the allowed actions."""

import dataclasses
from typing import Any

from jaxtyping import Array, Bool

from jaxrl.distributions import Categorical, MultiCategorical, mask_logits
from jaxrl.types import Key, MaskedObservation, Params, RecurrentNetwork


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
        return network.init(key, observation.observation)

    def apply(params: Params, memory: Any, observation: MaskedObservation) -> tuple[Any, Any]:
        memory, output = network.apply(params, memory, observation.observation)
        return memory, _masked(output, observation.action_mask)

    def unroll(
        params: Params, memory: Any, observation: MaskedObservation, ended: Bool[Array, "T B"]
    ) -> tuple[Any, Any]:
        memories, output = network.unroll(params, memory, observation.observation, ended)
        return memories, _masked(output, observation.action_mask)

    return RecurrentNetwork(init=init, start=network.start, apply=apply, unroll=unroll)


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

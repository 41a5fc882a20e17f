"""The actor-critic with memory: a GRU between the torso and the heads."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxrl.networks.actor_critic import VALUE_INIT, torso_and_head
from jaxrl.networks.gru import GRU
from jaxrl.networks.initialization import from_one_draw
from jaxrl.networks.layers import Dense
from jaxrl.networks.seam import from_flax
from jaxrl.networks.torsos import encode_observation
from jaxrl.types import Key, Observation, Params, RecurrentNetwork, Space


class RecurrentActorCritic(nn.Module):
    """Maps a memory and observations to memories and (distribution, value).

    Separate torsos have a core each, a shared torso has one: what the actor must remember is not
    always what the critic must. The memory is a tuple with the memory of each core.

    Attributes:
        torso: makes a fresh feature extractor.
        head: maps the actor's features to a distribution.
        observation_space: of the observations.
        core_size: H, of each core.
        shared_torso: one feature extractor and core for actor and critic instead of one each.
    """

    torso: Callable[[str], nn.Module]
    head: nn.Module
    observation_space: Space
    core_size: int
    shared_torso: bool = False

    @nn.compact
    def __call__(
        self, memory: Any, observation: Observation, ended: Bool[Array, "T B"] | None = None
    ) -> tuple[Any, tuple[Any, Float[Array, "*sequence"]]]:
        """Takes one step, or, where `ended` is given, T steps of B sequences (see `GRU`)."""
        x = encode_observation(observation, self.observation_space)
        names = ("shared",) if self.shared_torso else ("actor", "critic")
        memories = tuple(
            GRU(self.core_size, name=f"{name}_core")(
                core_memory, self.torso(f"{name}_torso")(x), ended
            )
            for name, core_memory in zip(names, memory, strict=True)
        )
        value = Dense(1, VALUE_INIT, name="value")(memories[-1])
        return memories, (self.head(memories[0]), value[..., 0])


def recurrent_actor_critic(
    observation_space: Space,
    action_space: Space,
    *,
    core_size: int = 64,
    shared_torso: bool = False,
    **attributes: Any,
) -> RecurrentNetwork:
    """Builds the default actor-critic with memory of an environment's spaces.

    Args:
        observation_space: any of ours.
        action_space: Discrete, MultiDiscrete or Box.
        core_size: H, of the memory of each core.
        shared_torso: one feature extractor and core for actor and critic instead of one each.
        **attributes: of the torsos and the head, as for `actor_critic`; `compute_dtype` is that of
            the torsos only.

    Raises:
        ValueError: `torso` does not suit the observations.
    """
    torso_of, head = torso_and_head(observation_space, action_space, **attributes)
    module = RecurrentActorCritic(
        torso=torso_of,
        head=head,
        observation_space=observation_space,
        core_size=core_size,
        shared_torso=shared_torso,
    )
    network = from_one_draw(from_flax(module))

    def start() -> tuple[Float[Array, " H"], ...]:
        return tuple(jnp.zeros(core_size) for _ in range(1 if shared_torso else 2))

    def init(key: Key, observation: Observation) -> Params:
        return network.init(key, start(), observation)

    return RecurrentNetwork(init=init, start=start, apply=network.apply, unroll=network.apply)

"""The actor-critic with memory: a GRU or an LSTM between the torso and the heads."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxrl.networks.actor_critic import VALUE_INIT, torso_and_head
from jaxrl.networks.gru import GRU
from jaxrl.networks.initialization import from_one_draw
from jaxrl.networks.layers import Dense
from jaxrl.networks.lstm import LSTM, LSTMMemory
from jaxrl.networks.protocol import from_flax
from jaxrl.networks.torsos import encode_observation
from jaxrl.types import Key, Observation, Params, RecurrentNetwork, Space, SpaceTree

CORES: dict[str, type[GRU] | type[LSTM]] = {"gru": GRU, "lstm": LSTM}


def first_memory(core: str, size: int) -> Any:
    """The memory of a core at an episode's start: zeros [size], of an LSTM a pair of them.

    Args:
        core: a name in `CORES`.
        size: H.
    """
    zeros = jnp.zeros(size, jnp.float32)
    return LSTMMemory(cell=zeros, output=zeros) if core == "lstm" else zeros


def _output(memory: Any) -> Float[Array, "*sequence H"]:
    """What a core shows of its memory: a GRU all of it."""
    return memory.output if isinstance(memory, LSTMMemory) else memory


class RecurrentActorCritic(nn.Module):
    """Maps a memory and observations to memories and (distribution, value).

    One core remembers for both, as in most recurrent PPO: it takes most of the time, and what the
    actor must remember, the critic must know as well. It follows the actor's torso; a critic with a
    torso of its own reads its features beside the memory. With separate cores the actor's and the
    critic's memories have nothing to do with each other. The memory is a tuple with that of each
    core.

    Attributes:
        torso: makes a fresh feature extractor.
        head: maps the actor's features to a distribution.
        observation_space: of the observations.
        core_size: H, of each core.
        shared_torso: one feature extractor for actor and critic instead of one each.
        shared_core: one core for actor and critic instead of one each.
        core: a name in `CORES`.
    """

    torso: Callable[[str], nn.Module]
    head: nn.Module
    observation_space: SpaceTree
    core_size: int
    shared_torso: bool = False
    shared_core: bool = True
    core: str = "gru"

    @nn.compact
    def __call__(
        self, memory: Any, observation: Observation, ended: Bool[Array, "T B"] | None = None
    ) -> tuple[Any, tuple[Any, Float[Array, "*sequence"]]]:
        """Takes one step, or, where `ended` is given, T steps of B sequences (see `GRU`)."""
        x = encode_observation(observation, self.observation_space)
        actor_features = self.torso("shared_torso" if self.shared_torso else "actor_torso")(x)
        critic_features = actor_features if self.shared_torso else self.torso("critic_torso")(x)
        core = CORES[self.core]
        if self.shared_core:
            memories = (core(self.core_size, name="shared_core")(memory[0], actor_features, ended),)
        else:
            memories = (
                core(self.core_size, name="actor_core")(memory[0], actor_features, ended),
                core(self.core_size, name="critic_core")(memory[1], critic_features, ended),
            )
        remembered = _output(memories[-1])
        if self.shared_core and not self.shared_torso:
            critic_features = critic_features.astype(jnp.float32)
            remembered = jnp.concatenate((remembered, critic_features), axis=-1)
        value = Dense(1, VALUE_INIT, name="value")(remembered)
        return memories, (self.head(_output(memories[0])), value[..., 0])


def recurrent_actor_critic(
    observation_space: SpaceTree,
    action_space: Space,
    *,
    core: str = "gru",
    core_size: int = 64,
    shared_torso: bool = False,
    shared_core: bool = True,
    **attributes: Any,
) -> RecurrentNetwork:
    """Builds the default actor-critic with memory of an environment's spaces.

    Args:
        observation_space: any of ours, or a pytree of them.
        action_space: Discrete, MultiDiscrete or Box.
        core: "gru" or "lstm".
        core_size: H, of the memory of each core.
        shared_torso: one feature extractor for actor and critic instead of one each.
        shared_core: one core for actor and critic instead of one each.
        **attributes: of the torsos and the head, as for `actor_critic`; `compute_dtype` is that of
            the torsos only.

    Raises:
        ValueError: there is no such core, or `torso` does not suit the observations.
    """
    if core not in CORES:
        raise ValueError(f"core={core!r} is not one of {', '.join(CORES)}")
    torso_of, head = torso_and_head(observation_space, action_space, **attributes)
    module = RecurrentActorCritic(
        torso=torso_of,
        head=head,
        observation_space=observation_space,
        core_size=core_size,
        shared_torso=shared_torso,
        shared_core=shared_core,
        core=core,
    )
    network = from_one_draw(from_flax(module))

    def start() -> tuple[Any, ...]:
        return tuple(first_memory(core, core_size) for _ in range(1 if shared_core else 2))

    def init(key: Key, observation: Observation) -> Params:
        return network.init(key, start(), observation)

    return RecurrentNetwork(init=init, start=start, apply=network.apply, unroll=network.apply)

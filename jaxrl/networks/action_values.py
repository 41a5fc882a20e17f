"""Values of actions: a Q-network for all discrete ones, a critic for one continuous one."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.networks.actor_critic import HEAD_INIT, VALUE_INIT
from jaxrl.networks.initialization import from_one_draw
from jaxrl.networks.layers import Dense
from jaxrl.networks.mlp import normalized
from jaxrl.networks.protocol import from_flax
from jaxrl.networks.torsos import ACTIVATIONS, encode_observation, make_torso
from jaxrl.types import Box, Discrete, Network, Observation, SpaceTree


class QNetwork(nn.Module):
    """Maps observations to the values of K actions; leading axes are batch.

    Attributes:
        torso: makes a fresh feature extractor.
        observation_space: of the observations.
        num_actions: K.
        dueling: a state's value and the actions' advantages are learnt apart: Q = V + A - mean A
            (Wang et al. 2016, arXiv:1511.06581, equation 9).
    """

    torso: Callable[[str], nn.Module]
    observation_space: SpaceTree
    num_actions: int
    dueling: bool = False

    @nn.compact
    def __call__(self, observation: Observation) -> Float[Array, "*batch K"]:
        x = encode_observation(observation, self.observation_space)
        features = self.torso("torso")(x).astype(jnp.float32)
        values = Dense(self.num_actions, VALUE_INIT, name="values")(features)
        if not self.dueling:
            return values
        state_value = Dense(1, VALUE_INIT, name="state_value")(features)
        return state_value + values - jnp.mean(values, axis=-1, keepdims=True)


class Critic(nn.Module):
    """Maps observations and continuous actions to values; leading axes are batch.

    Attributes:
        torso: makes what turns an observation into a vector, without dense layers of its own.
        observation_space: of the observations.
        action_space: a Box of vectors with finite bounds; the network sees them as -1 and 1, and
            where they are equal, 0.
        hidden_sizes: widths of the dense layers.
        action_layer: the layer that the action enters, 0 for the first.
        activation: elementwise, between layers.
        layer_norm: normalise each layer before its activation.
        dtype: of the hidden layers; the parameters and the last layer are float32.
    """

    torso: Callable[[str], nn.Module]
    observation_space: SpaceTree
    action_space: Box
    hidden_sizes: Sequence[int]
    action_layer: int = 0
    activation: Callable[[Array], Array] = nn.relu
    layer_norm: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, observation: Observation, action: Float[Array, "*batch D"]
    ) -> Float[Array, "*batch"]:
        low, high = (jnp.broadcast_to(x, action.shape) for x in self.action_space.bounds())
        free = high > low
        action = (action - low) / jnp.where(free, high - low, 1.0) * 2 - 1
        action = jnp.where(free, action, 0.0)
        x = self.torso("torso")(encode_observation(observation, self.observation_space))
        for layer, size in enumerate(self.hidden_sizes):
            if layer == self.action_layer:
                x = jnp.concatenate((x, action.astype(x.dtype)), axis=-1)
            x = self.activation(normalized(Dense(size, dtype=self.dtype)(x), self.layer_norm))
        if self.action_layer >= len(self.hidden_sizes):
            x = jnp.concatenate((x, action.astype(x.dtype)), axis=-1)
        return Dense(1, HEAD_INIT, name="value")(x.astype(jnp.float32))[..., 0]


def q_network(
    observation_space: SpaceTree,
    action_space: Discrete,
    *,
    torso: str = "auto",
    hidden_sizes: Sequence[int] = (128, 128),
    activation: str = "relu",
    compute_dtype: str = "float32",
    layer_norm: bool = False,
    dueling: bool = False,
) -> Network:
    """Builds the default Q-network, of the values of all discrete actions.

    Args:
        observation_space: any of ours, or a pytree of them.
        action_space: of the actions.
        torso: a name in `TORSOS`; see `make_torso`.
        hidden_sizes: widths of the dense layers.
        activation: a name in `ACTIVATIONS`.
        compute_dtype: of the torso; parameters and the last layer are float32.
        layer_norm: normalise each layer before its activation.
        dueling: learn the state's value and the actions' advantages apart.

    Raises:
        ValueError: `torso` does not suit the observations.
    """
    torso_of = make_torso(
        torso,
        observation_space,
        hidden_sizes=hidden_sizes,
        activation=activation,
        compute_dtype=compute_dtype,
        layer_norm=layer_norm,
    )
    module = QNetwork(
        torso=torso_of,
        observation_space=observation_space,
        num_actions=action_space.num_categories,
        dueling=dueling,
    )
    return from_one_draw(from_flax(module))._replace(batched=True)


def critic(
    observation_space: SpaceTree,
    action_space: Box,
    *,
    torso: str = "auto",
    hidden_sizes: Sequence[int] = (256, 256),
    activation: str = "relu",
    compute_dtype: str = "float32",
    layer_norm: bool = False,
    action_layer: int = 0,
) -> Network:
    """Builds the default network of the value of a continuous action.

    Args:
        observation_space: any of ours, or a pytree of them.
        action_space: a Box of vectors with finite bounds.
        torso: see `q_network`; the action joins after a convolution.
        hidden_sizes: widths of the dense layers.
        activation: a name in `ACTIVATIONS`.
        compute_dtype: of the torso; parameters and the last layer are float32.
        layer_norm: normalise each layer before its activation.
        action_layer: the dense layer that the action enters, 0 for the first.

    Raises:
        ValueError: `torso` does not suit the observations.
    """
    module = Critic(
        torso=make_torso(
            torso,
            observation_space,
            hidden_sizes=(),
            activation=activation,
            compute_dtype=compute_dtype,
            layer_norm=layer_norm,
        ),
        observation_space=observation_space,
        action_space=action_space,
        hidden_sizes=tuple(hidden_sizes),
        action_layer=action_layer,
        activation=ACTIVATIONS[activation],
        layer_norm=layer_norm,
        dtype=jnp.dtype(compute_dtype),
    )
    return from_one_draw(from_flax(module))._replace(batched=True)

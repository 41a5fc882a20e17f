"""The actor-critic: from observations to a distribution over actions and a value."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.distributions import Categorical, DiagonalGaussian, MultiCategorical
from jaxrl.exploration import StateDependentGaussian
from jaxrl.networks.initialization import from_one_draw, orthogonal
from jaxrl.networks.layers import Dense
from jaxrl.networks.protocol import from_flax
from jaxrl.networks.torsos import encode_observation, make_torso
from jaxrl.types import Discrete, MultiDiscrete, Network, Observation, Space, SpaceTree

# A nearly uniform first policy, and values of the size of the features.
HEAD_INIT = orthogonal(0.01)
VALUE_INIT = orthogonal(1.0)


class PolicyHead(nn.Module):
    """Maps features to a distribution over a space's actions.

    Discrete spaces get logits, Box spaces a Gaussian over the flattened action whose standard
    deviation does not depend on the state, or, with `state_dependent_exploration`, depends on the
    features as in gSDE (Raffin et al. 2021).

    Attributes:
        action_space: of the actions.
        initial_log_std: where the logarithm of the standard deviation starts.
        state_dependent_exploration: gSDE instead of independent noise.
    """

    action_space: Space
    initial_log_std: Any = 0.0
    state_dependent_exploration: bool = False

    @nn.compact
    def __call__(self, features: Float[Array, "*batch H"]) -> Any:
        # The networks' last layers stay in float32.
        features = features.astype(jnp.float32)
        space = self.action_space
        if isinstance(space, Discrete):
            return Categorical(logits=Dense(space.num_categories, HEAD_INIT)(features))
        if isinstance(space, MultiDiscrete):
            logits = Dense(sum(space.num_categories), HEAD_INIT)(features)
            return MultiCategorical(logits=logits, num_categories=space.num_categories)
        size = math.prod(space.shape)
        mean = Dense(size, HEAD_INIT)(features)
        shape = (features.shape[-1], size) if self.state_dependent_exploration else (size,)
        initializer = nn.initializers.constant(self.initial_log_std)
        log_std = self.param("log_std", initializer, shape, jnp.float32)
        if self.state_dependent_exploration:
            return StateDependentGaussian(mean=mean, features=features, log_std=log_std)
        return DiagonalGaussian(mean=mean, log_std=log_std)


class ActorCritic(nn.Module):
    """Maps observations to (distribution, value), with one torso or two; leading axes are batch.

    Attributes:
        torso: makes a fresh feature extractor.
        head: maps the actor's features to a distribution.
        observation_space: of the observations.
        shared_torso: one feature extractor for actor and critic instead of one each.
    """

    torso: Callable[[str], nn.Module]
    head: nn.Module
    observation_space: SpaceTree
    shared_torso: bool = False

    @nn.compact
    def __call__(self, observation: Observation) -> tuple[Any, Float[Array, "*batch"]]:
        x = encode_observation(observation, self.observation_space)
        actor_features = self.torso("shared_torso" if self.shared_torso else "actor_torso")(x)
        critic_features = actor_features if self.shared_torso else self.torso("critic_torso")(x)
        value = Dense(1, VALUE_INIT, name="value")(critic_features.astype(jnp.float32))
        return self.head(actor_features), value[..., 0]


def actor_critic(
    observation_space: SpaceTree,
    action_space: Space,
    *,
    torso: str = "auto",
    hidden_sizes: Sequence[int] = (64, 64),
    activation: str = "tanh",
    shared_torso: bool = False,
    initial_log_std: Float[Array, ""] | float = 0.0,
    state_dependent_exploration: bool = False,
    compute_dtype: str = "float32",
) -> Network:
    """Builds the default actor-critic of an environment's spaces.

    Args:
        observation_space: any of ours, or a pytree of them.
        action_space: Discrete, MultiDiscrete or Box.
        torso: a name in `TORSOS`; see `make_torso`.
        hidden_sizes: widths of the dense layers.
        activation: a name in `ACTIVATIONS`.
        shared_torso: one feature extractor for actor and critic.
        initial_log_std: for Box actions.
        state_dependent_exploration: gSDE, for Box actions.
        compute_dtype: of the torsos; parameters and heads are float32.

    Raises:
        ValueError: `torso` does not suit the observations.
    """
    torso_of, head = torso_and_head(
        observation_space,
        action_space,
        torso=torso,
        hidden_sizes=hidden_sizes,
        activation=activation,
        initial_log_std=initial_log_std,
        state_dependent_exploration=state_dependent_exploration,
        compute_dtype=compute_dtype,
    )
    network = from_flax(
        ActorCritic(
            torso=torso_of,
            head=head,
            observation_space=observation_space,
            shared_torso=shared_torso,
        )
    )
    return from_one_draw(network)._replace(batched=True)


def torso_and_head(
    observation_space: SpaceTree,
    action_space: Space,
    *,
    torso: str = "auto",
    hidden_sizes: Sequence[int] = (64, 64),
    activation: str = "tanh",
    initial_log_std: Float[Array, ""] | float = 0.0,
    state_dependent_exploration: bool = False,
    compute_dtype: str = "float32",
) -> tuple[Callable[[str], nn.Module], PolicyHead]:
    """Constructors of the torsos and of the policy's head; arguments as for `actor_critic`.

    Raises:
        ValueError: `torso` does not suit the observations.
    """
    torso_of = make_torso(
        torso,
        observation_space,
        hidden_sizes=hidden_sizes,
        activation=activation,
        compute_dtype=compute_dtype,
    )
    head = PolicyHead(
        action_space=action_space,
        initial_log_std=initial_log_std,
        state_dependent_exploration=state_dependent_exploration,
    )
    return torso_of, head

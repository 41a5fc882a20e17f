"""Policies whose continuous actions keep within finite bounds by a tanh."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.distributions import Categorical, TanhGaussian
from jaxrl.exploration import SquashedStateDependentGaussian, StateDependentGaussian
from jaxrl.networks.actor_critic import HEAD_INIT
from jaxrl.networks.initialization import from_one_draw
from jaxrl.networks.layers import Dense
from jaxrl.networks.protocol import from_flax
from jaxrl.networks.torsos import encode_observation, make_torso
from jaxrl.types import Box, Discrete, Network, Observation, SpaceTree

# As in CleanRL, by a tanh; Haarnoja et al. clip to -20 and 2. Below -5 a policy hardly explores.
LOG_STD_RANGE = (-5.0, 2.0)

# Of gSDE, as in Stable-Baselines3: tanh(2) is 0.96.
_LARGEST_MEAN = 2.0


class DeterministicHead(nn.Module):
    """Maps features to an action, by a tanh onto the bounds (Lillicrap et al. 2016, section 7).

    Attributes:
        action_space: a Box of vectors with finite bounds.
    """

    action_space: Box

    @nn.compact
    def __call__(self, features: Float[Array, "*batch H"]) -> Float[Array, "*batch D"]:
        unit = jnp.tanh(Dense(self.action_space.shape[0], HEAD_INIT, name="action")(features))
        low, high = (jnp.broadcast_to(x, unit.shape) for x in self.action_space.bounds())
        return low + (high - low) * 0.5 * (unit + 1)


class SquashedGaussianHead(nn.Module):
    """Maps features to a tanh-Gaussian whose deviation depends on the state.

    Attributes:
        action_space: a Box of vectors with finite bounds.
        state_dependent_exploration: gSDE: the noise is linear in the features, whose weights'
            deviations do not depend on the state.
        initial_log_std: where the logarithms of these deviations start; of gSDE only.
    """

    action_space: Box
    state_dependent_exploration: bool = False
    initial_log_std: Any = -3.0

    @nn.compact
    def __call__(
        self, features: Float[Array, "*batch H"]
    ) -> TanhGaussian | SquashedStateDependentGaussian:
        space = self.action_space
        low, high = map(jnp.asarray, space.bounds())
        size = space.shape[0]
        mean = Dense(size, HEAD_INIT, name="mean")(features)
        if self.state_dependent_exploration:
            shape = (features.shape[-1], size)
            initializer = nn.initializers.constant(self.initial_log_std)
            log_std = self.param("log_std", initializer, shape, jnp.float32)
            # Where the tanh is flat, noise on the mean would not be seen. Stable-Baselines3 clips
            # the mean, which has no gradient beyond: it would stay there for ever.
            mean = _LARGEST_MEAN * jnp.tanh(mean / _LARGEST_MEAN)
            base = StateDependentGaussian(mean=mean, features=features, log_std=log_std)
            return SquashedStateDependentGaussian(base=base, low=low, high=high)
        unit = jnp.tanh(Dense(size, HEAD_INIT, name="log_std")(features))
        least, most = LOG_STD_RANGE
        log_std = least + 0.5 * (most - least) * (unit + 1)
        return TanhGaussian(mean=mean, log_std=log_std, low=low, high=high)


class CategoricalHead(nn.Module):
    """Maps features to a distribution over discrete actions.

    Attributes:
        action_space: of the actions.
    """

    action_space: Discrete

    @nn.compact
    def __call__(self, features: Float[Array, "*batch H"]) -> Categorical:
        return Categorical(Dense(self.action_space.num_categories, HEAD_INIT)(features))


class PolicyModule(nn.Module):
    """Maps observations to what a head makes of their features; leading axes are batch.

    Attributes:
        torso: makes a fresh feature extractor.
        head: maps features to an action or to a distribution.
        observation_space: of the observations.
    """

    torso: Callable[[str], nn.Module]
    head: nn.Module
    observation_space: SpaceTree

    @nn.compact
    def __call__(self, observation: Observation) -> Any:
        x = encode_observation(observation, self.observation_space)
        return self.head(self.torso("torso")(x).astype(jnp.float32))


def policy_of_head(
    observation_space: SpaceTree,
    head: nn.Module,
    *,
    torso: str = "auto",
    hidden_sizes: Sequence[int] = (256, 256),
    activation: str = "relu",
    compute_dtype: str = "float32",
    layer_norm: bool = False,
) -> Network:
    """Builds the default policy that ends in a head of this module.

    Args:
        observation_space: any of ours, or a pytree of them.
        head: maps features to an action or to a distribution.
        torso: a name in `TORSOS`; see `make_torso`.
        hidden_sizes: widths of the dense layers.
        activation: a name in `ACTIVATIONS`.
        compute_dtype: of the torso; parameters and the last layer are float32.
        layer_norm: normalise each layer before its activation.

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
    module = PolicyModule(torso=torso_of, head=head, observation_space=observation_space)
    return from_one_draw(from_flax(module))._replace(batched=True)

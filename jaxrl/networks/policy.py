"""A network that is only a policy: what black-box search perturbs."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.distributions import Categorical, DiagonalGaussian, MultiCategorical, TanhGaussian
from jaxrl.networks.actor_critic import HEAD_INIT
from jaxrl.networks.initialization import orthogonal
from jaxrl.networks.protocol import from_flax
from jaxrl.networks.torsos import ACTIVATIONS, encode_observation
from jaxrl.types import Box, Discrete, MultiDiscrete, Network, Observation, Space, SpaceTree


class PolicyNetwork(nn.Module):
    """Maps one observation to a distribution over actions.

    Attributes:
        observation_space: of the observation.
        action_space: of the actions; a Box of vectors.
        hidden_sizes: widths of the layers before the last; none: a linear policy.
        activation: elementwise, between layers.
        use_bias: whether layers add a bias.
        squash_actions: tanh onto the bounds of a Box, instead of an output that the environment's
            door clips.
        is_stochastic: gives the distribution over a Box a spread among the parameters. A
            deterministic policy reads only the mode, so that a spread would be searched in vain.
        initial_log_std: where the logarithm of the standard deviation starts.
    """

    observation_space: SpaceTree
    action_space: Space
    hidden_sizes: Sequence[int] = ()
    activation: Callable[[Array], Array] = jnp.tanh
    use_bias: bool = True
    squash_actions: bool = False
    is_stochastic: bool = False
    initial_log_std: Any = 0.0

    @nn.compact
    def __call__(self, observation: Observation) -> Any:
        x = encode_observation(observation, self.observation_space).reshape(-1)
        for size in self.hidden_sizes:
            x = self.activation(self._affine(size, orthogonal(math.sqrt(2)))(x))
        space = self.action_space
        if isinstance(space, Discrete):
            return Categorical(logits=self._affine(space.num_categories, HEAD_INIT)(x))
        if isinstance(space, MultiDiscrete):
            logits = self._affine(sum(space.num_categories), HEAD_INIT)(x)
            return MultiCategorical(logits=logits, num_categories=space.num_categories)
        size = math.prod(space.shape)
        mean = self._affine(size, HEAD_INIT)(x)
        log_std: Float[Array, " D"] = jnp.zeros(size, jnp.float32)
        if self.is_stochastic:
            # The parameter is the difference from the start: a search scales its first parameters.
            difference = self.param("log_std", nn.initializers.zeros, (size,), jnp.float32)
            log_std = jnp.asarray(self.initial_log_std, jnp.float32) + difference
        if self.squash_actions:
            low, high = map(jnp.asarray, space.bounds())
            return TanhGaussian(mean=mean, log_std=log_std, low=low, high=high)
        return DiagonalGaussian(mean=mean, log_std=log_std)

    def _affine(self, size: int, kernel_init: orthogonal) -> nn.Module:
        return nn.Dense(size, use_bias=self.use_bias, kernel_init=kernel_init)


def policy_network(
    observation_space: SpaceTree,
    action_space: Space,
    *,
    hidden_sizes: Sequence[int] = (),
    activation: str = "tanh",
    use_bias: bool = True,
    squash_actions: bool = False,
    is_stochastic: bool = False,
    initial_log_std: Any = 0.0,
) -> Network:
    """Builds a policy of an environment's spaces, linear by default.

    Args:
        observation_space: any of ours, or a pytree of them; images are flattened.
        action_space: Discrete, MultiDiscrete, or a Box of vectors.
        hidden_sizes: widths of the hidden layers.
        activation: a name in `ACTIVATIONS`.
        use_bias: whether layers add a bias.
        squash_actions: tanh onto the bounds of a Box.
        is_stochastic: whether actions will be drawn, and not only the mode taken.
        initial_log_std: for Box actions of a stochastic policy.

    Raises:
        ValueError: `squash_actions` without a Box of finite bounds.
    """
    if squash_actions and not (isinstance(action_space, Box) and action_space.is_bounded()):
        raise ValueError(
            f"squash_actions=True needs Box actions with finite bounds, not {action_space}"
        )
    return from_flax(
        PolicyNetwork(
            observation_space=observation_space,
            action_space=action_space,
            hidden_sizes=tuple(hidden_sizes),
            activation=ACTIVATIONS[activation],
            use_bias=use_bias,
            squash_actions=squash_actions,
            is_stochastic=is_stochastic,
            initial_log_std=initial_log_std,
        )
    )

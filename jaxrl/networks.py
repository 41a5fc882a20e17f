"""Networks: any library's module as two functions, and the modules that agents use by default.

A network for an actor-critic maps one observation to (distribution, value); everything an agent
needs to know of the action space is in the distribution, so a network of your own can use any
module and any distribution.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.distributions import Categorical, DiagonalGaussian, MultiCategorical
from jaxrl.exploration import StateDependentGaussian
from jaxrl.types import Box, Discrete, Key, MultiDiscrete, Network, Observation, Space

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "gelu": jax.nn.gelu,
    "elu": jax.nn.elu,
}


def from_flax(module: nn.Module) -> Network:
    """Turns a linen module into a `Network`: `init` gives its variables, `apply` calls it."""
    return Network(init=module.init, apply=module.apply)


def encode_observation(observation: Observation, space: Space) -> Float[Array, "*shape"]:
    """Turns one observation into floats for a network.

    Integers of a Discrete space become a one-hot vector, those of a MultiDiscrete space a
    concatenation of them; bytes are scaled from [0, 255] to [0, 1]; a Box keeps its shape.
    """
    if isinstance(space, Discrete):
        return jax.nn.one_hot(observation, space.num_categories)
    if isinstance(space, MultiDiscrete):
        pieces = [jax.nn.one_hot(observation[i], n) for i, n in enumerate(space.num_categories)]
        return jnp.concatenate(pieces)
    observation = jnp.asarray(observation)
    scale = 1 / 255 if observation.dtype == jnp.uint8 else 1.0
    return observation.astype(jnp.float32) * scale


def orthogonal(scale: float) -> Callable[..., Array]:
    """An initialiser of matrices whose shorter side's vectors are orthogonal, of norm `scale`.

    Axes before the last one count as one. The matrix is uniformly distributed, as flax's is, which
    takes it from LAPACK's QR: two of those side by side, as under `vmap` over seeds, can wait for
    each other for ever on a machine of two cores. Gram-Schmidt needs no LAPACK, and done twice it
    is orthogonal to rounding (Giraud et al. 2005, "The loss of orthogonality in the Gram-Schmidt
    orthogonalization process").
    """

    def initialize(key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        rows, columns = math.prod(shape[:-1]), shape[-1]
        start = jax.random.normal(key, (max(rows, columns), min(rows, columns)))

        def add_column(j: Array, basis: Array) -> Array:
            column = start[:, j]
            for _ in range(2):
                column = column - basis @ (column @ basis)
            return basis.at[:, j].set(column / jnp.linalg.norm(column))

        basis = jax.lax.fori_loop(0, start.shape[1], add_column, jnp.zeros_like(start))
        matrix = basis if rows >= columns else basis.T
        return (scale * matrix.reshape(shape)).astype(dtype)

    return initialize


def orthogonal_dense(size: int, scale: float, dtype: Any = jnp.float32) -> nn.Dense:
    """A dense layer with orthogonal weights and zero biases (PPO's implementation details)."""
    return nn.Dense(size, dtype=dtype, kernel_init=orthogonal(scale))


class MLP(nn.Module):
    """A multi-layer perceptron on the flattened input; every layer is followed by the activation.

    Attributes:
        hidden_sizes: the width of each layer; the output has the last one's.
        activation: elementwise.
        dtype: of the computation; the parameters are float32.
    """

    hidden_sizes: Sequence[int]
    activation: Callable[[Array], Array] = jnp.tanh
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = x.reshape(-1).astype(self.dtype)
        for size in self.hidden_sizes:
            x = self.activation(orthogonal_dense(size, math.sqrt(2), self.dtype)(x))
        return x


class MinAtarCNN(nn.Module):
    """One 3x3 convolution of 16 channels, then dense layers (Young & Tian 2019, section 4).

    Attributes:
        hidden_sizes: widths of the dense layers that follow.
        channels: of the convolution.
        activation: elementwise.
        dtype: of the computation; the parameters are float32.
    """

    hidden_sizes: Sequence[int] = (128,)
    channels: int = 16
    activation: Callable[[Array], Array] = jax.nn.relu
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        convolution = nn.Conv(
            self.channels,
            kernel_size=(3, 3),
            padding="VALID",
            dtype=self.dtype,
            kernel_init=orthogonal(math.sqrt(2)),
        )
        x = self.activation(convolution(x.astype(self.dtype)))
        return MLP(self.hidden_sizes, self.activation, self.dtype)(x)


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
    def __call__(self, features: Float[Array, " H"]) -> Any:
        # A nearly uniform first policy; the networks' last layers stay in float32.
        features = features.astype(jnp.float32)
        space = self.action_space
        if isinstance(space, Discrete):
            return Categorical(logits=orthogonal_dense(space.num_categories, 0.01)(features))
        if isinstance(space, MultiDiscrete):
            logits = orthogonal_dense(sum(space.num_categories), 0.01)(features)
            return MultiCategorical(logits=logits, num_categories=space.num_categories)
        size = math.prod(space.shape)
        mean = orthogonal_dense(size, 0.01)(features)
        shape = (features.shape[-1], size) if self.state_dependent_exploration else (size,)
        initializer = nn.initializers.constant(self.initial_log_std)
        log_std = self.param("log_std", initializer, shape)
        if self.state_dependent_exploration:
            return StateDependentGaussian(mean=mean, features=features, log_std=log_std)
        return DiagonalGaussian(mean=mean, log_std=log_std)


class ActorCritic(nn.Module):
    """Maps one observation to (distribution, value), with one torso or two.

    Attributes:
        torso: makes a fresh feature extractor.
        head: maps the actor's features to a distribution.
        observation_space: of the observations.
        shared_torso: one feature extractor for actor and critic instead of one each.
    """

    torso: Callable[[str], nn.Module]
    head: nn.Module
    observation_space: Space
    shared_torso: bool = False

    @nn.compact
    def __call__(self, observation: Observation) -> tuple[Any, Float[Array, ""]]:
        x = encode_observation(observation, self.observation_space)
        actor_features = self.torso("shared_torso" if self.shared_torso else "actor_torso")(x)
        critic_features = actor_features if self.shared_torso else self.torso("critic_torso")(x)
        value = orthogonal_dense(1, 1.0)(critic_features.astype(jnp.float32))
        return self.head(actor_features), value[0]


def actor_critic(
    observation_space: Space,
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
        observation_space: any of ours.
        action_space: Discrete, MultiDiscrete or Box.
        torso: "mlp", "cnn" (for [height, width, channels]), or "auto": "cnn" for such shapes.
        hidden_sizes: widths of the dense layers.
        activation: a name in `ACTIVATIONS`.
        shared_torso: one feature extractor for actor and critic.
        initial_log_std: for Box actions.
        state_dependent_exploration: gSDE, for Box actions.
        compute_dtype: of the torsos; parameters and heads are float32.

    Raises:
        ValueError: `torso` does not suit the observations.
    """
    is_image = isinstance(observation_space, Box) and len(observation_space.shape) == 3
    if torso == "auto":
        torso = "cnn" if is_image and min(observation_space.shape[:2]) >= 3 else "mlp"
    if torso == "cnn" and not is_image:
        raise ValueError(
            "torso='cnn' needs observations of shape [height, width, channels], "
            f"got shape {observation_space.shape}: use torso='mlp'"
        )
    module = {"mlp": MLP, "cnn": MinAtarCNN}[torso]

    def make_torso(name: str) -> nn.Module:
        return module(
            hidden_sizes=tuple(hidden_sizes),
            activation=ACTIVATIONS[activation],
            dtype=jnp.dtype(compute_dtype),
            name=name,
        )

    head = PolicyHead(
        action_space=action_space,
        initial_log_std=initial_log_std,
        state_dependent_exploration=state_dependent_exploration,
    )
    return from_flax(
        ActorCritic(
            torso=make_torso,
            head=head,
            observation_space=observation_space,
            shared_torso=shared_torso,
        )
    )

"""Networks: any library's module as two functions, and the modules that agents use by default.

A network for an actor-critic maps one observation to (distribution, value); everything an agent
needs to know of the action space is in the distribution, so a network of your own can use any
module and any distribution.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.distributions import Categorical, DiagonalGaussian, MultiCategorical
from jaxrl.exploration import StateDependentGaussian
from jaxrl.types import (
    Box,
    Discrete,
    Key,
    MultiDiscrete,
    Network,
    Observation,
    Params,
    Space,
)

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "gelu": jax.nn.gelu,
    "elu": jax.nn.elu,
}

# A nearly uniform first policy, and values of the size of the features.
HEAD_SCALE = 0.01
VALUE_SCALE = 1.0


def from_flax(module: nn.Module) -> Network:
    """Turns a linen module into a `Network`: `init` gives its variables, `apply` calls it."""
    return Network(init=module.init, apply=module.apply)


def over_batch(network: Network, function: Callable[..., Any]) -> Callable[..., Any]:
    """Lets a function of (params, *one example) that applies a network take a batch [M, ...].

    Args:
        network: that `function` applies; where it takes batches itself, nothing is done.
        function: whose arguments after the first are examples.
    """

    def vmapped(params: Params, *examples: Any) -> Any:
        return jax.vmap(function, (None, *(0 for _ in examples)))(params, *examples)

    return function if network.batched else vmapped


def encode_observation(observation: Observation, space: Space) -> Float[Array, "*shape"]:
    """Turns observations into floats for a network; leading axes are batch.

    Integers of a Discrete space become a one-hot vector, those of a MultiDiscrete space a
    concatenation of them; bytes are scaled from [0, 255] to [0, 1]; a Box keeps its shape.
    """
    if isinstance(space, Discrete):
        return jax.nn.one_hot(observation, space.num_categories)
    if isinstance(space, MultiDiscrete):
        sizes = enumerate(space.num_categories)
        pieces = [jax.nn.one_hot(observation[..., i], size) for i, size in sizes]
        return jnp.concatenate(pieces, axis=-1)
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
        draw = jax.random.normal(key, (math.prod(shape),))
        return (scale * _orthogonalize(draw, tuple(shape))).astype(dtype)

    return initialize


# Traced once per shape (`inline` compiles nothing): flax asks for a parameter's shape at every use.
@functools.partial(jax.jit, static_argnames="shape", inline=True)
def _orthogonalize(draw: Float[Array, " size"], shape: tuple[int, ...]) -> Array:
    """Makes an orthogonal matrix of standard normal numbers by Gram-Schmidt, twice."""
    rows, columns = math.prod(shape[:-1]), shape[-1]
    start = draw.reshape(max(rows, columns), min(rows, columns))

    def add_column(j: Array, basis: Array) -> Array:
        column = start[:, j]
        for _ in range(2):
            column = column - basis @ (column @ basis)
        return basis.at[:, j].set(column / jnp.linalg.norm(column))

    basis = jax.lax.fori_loop(0, start.shape[1], add_column, jnp.zeros_like(start))
    return (basis if rows >= columns else basis.T).reshape(shape)


@jax.custom_vjp
def matmul(x: Float[Array, "*batch M"], kernel: Float[Array, "M N"]) -> Float[Array, "*batch N"]:
    """`x @ kernel`, with a gradient of the kernel that is fast on the CPU.

    There XLA takes three times as long for a product over the rows of its left side as for a plain
    one, so that side is copied into place first. Reverse mode only, of any order.
    """
    return x @ kernel


def _matmul_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ kernel, (x, kernel)


def _matmul_backward(residuals: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    rows = x.reshape(-1, x.shape[-1])
    columns = gradient.reshape(-1, gradient.shape[-1])
    kernel_gradient = jax.lax.platform_dependent(
        rows,
        columns,
        cpu=lambda a, b: jax.lax.optimization_barrier(a.T) @ b,
        default=lambda a, b: a.T @ b,
    )
    return gradient @ kernel.T, kernel_gradient


matmul.defvjp(_matmul_forward, _matmul_backward)


class Dense(nn.Module):
    """An affine map of the last axis, with orthogonal weights and zero biases at first.

    Attributes:
        size: of the output.
        scale: of the weights, as `orthogonal` takes it.
        dtype: of the computation; the parameters are float32.
    """

    size: int
    scale: float = math.sqrt(2)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*batch M"]) -> Float[Array, "*batch N"]:
        kernel = self.param("kernel", orthogonal(self.scale), (x.shape[-1], self.size))
        bias = self.param("bias", nn.initializers.zeros, (self.size,))
        return matmul(x.astype(self.dtype), kernel.astype(self.dtype)) + bias.astype(self.dtype)


class MLP(nn.Module):
    """A multi-layer perceptron on the last axis; every layer is followed by the activation.

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
        for size in self.hidden_sizes:
            x = self.activation(Dense(size, dtype=self.dtype)(x))
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
        x = x.reshape(*x.shape[:-3], -1)
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
    def __call__(self, features: Float[Array, "*batch H"]) -> Any:
        # The networks' last layers stay in float32.
        features = features.astype(jnp.float32)
        space = self.action_space
        if isinstance(space, Discrete):
            return Categorical(logits=Dense(space.num_categories, HEAD_SCALE)(features))
        if isinstance(space, MultiDiscrete):
            logits = Dense(sum(space.num_categories), HEAD_SCALE)(features)
            return MultiCategorical(logits=logits, num_categories=space.num_categories)
        size = math.prod(space.shape)
        mean = Dense(size, HEAD_SCALE)(features)
        shape = (features.shape[-1], size) if self.state_dependent_exploration else (size,)
        initializer = nn.initializers.constant(self.initial_log_std)
        log_std = self.param("log_std", initializer, shape)
        if self.state_dependent_exploration:
            return StateDependentGaussian(mean=mean, features=features, log_std=log_std)
        return DiagonalGaussian(mean=mean, log_std=log_std)


class ActorCritic(nn.Module):
    """Maps observations to (distribution, value), with one torso or two; leading axes are batch.

    Attributes:
        torso: makes a fresh feature extractor.
        head: maps the actor's features to a distribution.
        observation_space: of the observations.
        flatten: whether the torso takes vectors rather than the observation's shape.
        shared_torso: one feature extractor for actor and critic instead of one each.
    """

    torso: Callable[[str], nn.Module]
    head: nn.Module
    observation_space: Space
    flatten: bool = True
    shared_torso: bool = False

    @nn.compact
    def __call__(self, observation: Observation) -> tuple[Any, Float[Array, "*batch"]]:
        x = encode_observation(observation, self.observation_space)
        if self.flatten and isinstance(self.observation_space, Box):
            batch_axes = x.ndim - len(self.observation_space.shape)
            x = x.reshape(*x.shape[:batch_axes], -1)
        actor_features = self.torso("shared_torso" if self.shared_torso else "actor_torso")(x)
        critic_features = actor_features if self.shared_torso else self.torso("critic_torso")(x)
        value = Dense(1, VALUE_SCALE, name="value")(critic_features.astype(jnp.float32))
        return self.head(actor_features), value[..., 0]


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
    network = from_flax(
        ActorCritic(
            torso=make_torso,
            head=head,
            observation_space=observation_space,
            flatten=torso == "mlp",
            shared_torso=shared_torso,
        )
    )
    return network._replace(init=_from_one_draw(network.init), batched=True)


def _from_one_draw(init: Callable[..., Params]) -> Callable[..., Params]:
    """Draws the kernels of an actor-critic shape by shape: each further draw adds compile time."""

    def initialize(key: Key, *inputs: Any) -> Params:
        leaves, structure = jax.tree_util.tree_flatten_with_path(init(key, *inputs))
        names = [[entry.key for entry in path] for path, _ in leaves]
        values = [leaf for _, leaf in leaves]
        kernels = [i for i, path in enumerate(names) if path[-1] == "kernel"]
        sizes = [values[i].size for i in kernels]
        # The barrier keeps XLA from compiling the draw into each of its uses.
        draw = jax.lax.optimization_barrier(jax.random.normal(key, (sum(sizes),)))
        draws = dict(zip(kernels, jnp.split(draw, list(itertools.accumulate(sizes))[:-1])))
        for shape in sorted({values[i].shape for i in kernels}):
            alike = [i for i in kernels if values[i].shape == shape]
            stacked = jnp.stack([draws[i] for i in alike])
            matrices = jax.vmap(lambda d: _orthogonalize(d, shape))(stacked)  # noqa: B023
            for i, matrix in zip(alike, matrices):
                draws[i] = _scale_of(names[i]) * matrix
        return jax.tree.unflatten(structure, [draws.get(i, x) for i, x in enumerate(values)])

    return initialize


def _scale_of(path: list[str]) -> float:
    scales = {"head": HEAD_SCALE, "value": VALUE_SCALE}
    return next((scales[name] for name in path if name in scales), math.sqrt(2))

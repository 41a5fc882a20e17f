"""Convolutional feature extractors of images, small and large."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl.networks.initialization import orthogonal
from jaxrl.networks.mlp import MLP, normalized

# Channels, width of the kernel and stride of each convolution.
_NATURE_LAYERS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
# Channels of each section, which halves the image's sides.
_IMPALA_SECTIONS = (16, 32, 32)
_IMPALA_BLOCKS = 2


class MinAtarCNN(nn.Module):
    """One 3x3 convolution of 16 channels, then dense layers (Young & Tian 2019).

    Attributes:
        hidden_sizes: widths of the dense layers that follow.
        channels: of the convolution.
        activation: elementwise.
        dtype: of the computation; the parameters are float32.
        layer_norm: normalise each layer before its activation, the convolution over its channels.
    """

    hidden_sizes: Sequence[int] = (128,)
    channels: int = 16
    activation: Callable[[Array], Array] = jax.nn.relu
    dtype: Any = jnp.float32
    layer_norm: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        convolution = nn.Conv(
            self.channels,
            kernel_size=(3, 3),
            padding="VALID",
            dtype=self.dtype,
            kernel_init=orthogonal(math.sqrt(2)),
        )
        x = self.activation(normalized(convolution(x.astype(self.dtype)), self.layer_norm))
        dense = MLP(
            self.hidden_sizes,
            self.activation,
            self.dtype,
            input_axes=3,
            layer_norm=self.layer_norm,
        )
        return dense(x)


class NatureCNN(nn.Module):
    """Three convolutions, then dense layers (Mnih et al. 2015, doi:10.1038/nature14236, Methods).

    They have 32 kernels of 8x8 with stride 4, 64 of 4x4 with stride 2 and 64 of 3x3 with stride 1,
    without padding: an image has at least 36 x 36 pixels, and one of 84 x 84 becomes 7 x 7 x 64.
    The paper has one dense layer of 512 units and ReLUs.

    Attributes:
        hidden_sizes: widths of the dense layers that follow.
        activation: elementwise.
        dtype: of the computation; the parameters are float32.
        layer_norm: normalise each layer before its activation, a convolution over its channels.
    """

    hidden_sizes: Sequence[int] = (512,)
    activation: Callable[[Array], Array] = jax.nn.relu
    dtype: Any = jnp.float32
    layer_norm: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "*batch H W C"]) -> Float[Array, "*batch F"]:
        x = x.astype(self.dtype)
        for channels, width, stride in _NATURE_LAYERS:
            convolution = nn.Conv(
                channels,
                kernel_size=(width, width),
                strides=(stride, stride),
                padding="VALID",
                dtype=self.dtype,
                kernel_init=orthogonal(math.sqrt(2)),
            )
            x = self.activation(normalized(convolution(x), self.layer_norm))
        return MLP(
            self.hidden_sizes,
            self.activation,
            self.dtype,
            input_axes=3,
            layer_norm=self.layer_norm,
        )(x)


class ImpalaCNN(nn.Module):
    """The residual network of IMPALA (Espeholt et al. 2018, arXiv:1802.01561, figure 3, right).

    Three sections of 16, 32 and 32 channels, each of a 3x3 convolution, a 3x3 max-pooling with
    stride 2 and two residual blocks x + conv(relu(conv(relu(x)))), then a ReLU and dense layers.
    Images are padded: one of 72 x 96 becomes 9 x 12 x 32. The paper has one dense layer of 256
    units.

    The second convolution of each of the six blocks starts smaller by the root of their number, of
    which the paper says nothing: the features are then about as large as the image's values.

    Attributes:
        hidden_sizes: widths of the dense layers that follow.
        activation: elementwise, in place of the ReLUs.
        dtype: of the computation; the parameters are float32.
        layer_norm: normalise before each activation, over the channels.
    """

    hidden_sizes: Sequence[int] = (256,)
    activation: Callable[[Array], Array] = jax.nn.relu
    dtype: Any = jnp.float32
    layer_norm: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "*batch H W C"]) -> Float[Array, "*batch F"]:
        x = x.astype(self.dtype)
        num_blocks = len(_IMPALA_SECTIONS) * _IMPALA_BLOCKS
        for channels in _IMPALA_SECTIONS:
            x = self._convolve(x, channels, scale=1.0)
            x = nn.max_pool(x, window_shape=(3, 3), strides=(2, 2), padding="SAME")
            for _ in range(_IMPALA_BLOCKS):
                inside = self._convolve(self._activate(x), channels, scale=math.sqrt(2))
                last_scale = math.sqrt(2 / num_blocks)
                x = x + self._convolve(self._activate(inside), channels, scale=last_scale)
        return MLP(
            self.hidden_sizes,
            self.activation,
            self.dtype,
            input_axes=3,
            layer_norm=self.layer_norm,
        )(self._activate(x))

    def _activate(self, x: Array) -> Array:
        return self.activation(normalized(x, self.layer_norm))

    def _convolve(self, x: Array, channels: int, *, scale: float) -> Array:
        convolution = nn.Conv(
            channels, kernel_size=(3, 3), dtype=self.dtype, kernel_init=orthogonal(scale)
        )
        return convolution(x)

"""Settings of the default networks."""

from typing import Any

from jaxrl.networks.torsos import ACTIVATIONS
from jaxrl.settings import settings, static


@settings
class TorsoSettings:
    """Settings of the feature extractors."""

    torso: str = static("auto", choices=("auto", "mlp", "cnn"))
    """Feature extractor; auto takes cnn for [height, width, channels] observations."""
    hidden_sizes: tuple[int, ...] = static((64, 64), minimum=1, maximum=2**20)
    """Widths of the dense layers."""
    activation: str = static("tanh", choices=tuple(ACTIVATIONS))
    """Elementwise function between layers."""
    compute_dtype: str = static("float32", choices=("float32", "bfloat16"))
    """Precision of the feature extractors; parameters and output layers stay float32."""


@settings
class ValueNetworkSettings(TorsoSettings):
    """Settings of networks that value actions, and of the policies beside them."""

    hidden_sizes: tuple[int, ...] = static((256, 256), minimum=1, maximum=2**20)
    """Widths of the dense layers."""
    activation: str = static("relu", choices=tuple(ACTIVATIONS))
    """Elementwise function between layers."""
    layer_norm: bool = static(False)
    """Normalise each layer before its activation (Ba et al. 2016)."""


def torso_attributes(config: ValueNetworkSettings) -> dict[str, Any]:
    """The settings of a default network that do not depend on what it is for."""
    return {
        "torso": config.torso,
        "hidden_sizes": config.hidden_sizes,
        "activation": config.activation,
        "compute_dtype": config.compute_dtype,
        "layer_norm": config.layer_norm,
    }

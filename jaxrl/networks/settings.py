"""Settings of the default networks."""

from typing import Any

from jaxrl.networks.torsos import ACTIVATIONS, TORSOS, torso_kind
from jaxrl.settings import Need, Surroundings, default_network, settings, static
from jaxrl.types import MaskedSpace


def _has_layers(config: Any, surroundings: Surroundings | None) -> bool:
    """Whether the default networks have layers before their last; unknown as long as it may be."""
    kind = config.torso
    if surroundings is not None:
        space = surroundings.observation_space
        kind = torso_kind(kind, space.space if isinstance(space, MaskedSpace) else space)
    return bool(config.hidden_sizes) or kind != "mlp"


_DEFAULT = default_network()
_LAYERS = Need("hidden_sizes or a convolution", _has_layers, fields=("hidden_sizes", "torso"))


@settings
class TorsoSettings:
    """Settings of the feature extractors."""

    torso: str = static("auto", choices=TORSOS, needs=_DEFAULT)
    """Feature extractor; auto takes cnn, one 3x3 convolution, for [height, width, channels]
    observations. Of larger images: nature_cnn (Mnih et al. 2015), there with hidden_sizes of 512,
    or impala_cnn (Espeholt et al. 2018), there with 256; both with relu."""
    hidden_sizes: tuple[int, ...] = static((64, 64), minimum=1, maximum=2**20, needs=_DEFAULT)
    """Widths of the dense layers."""
    activation: str = static("tanh", choices=tuple(ACTIVATIONS), needs=(_DEFAULT, _LAYERS))
    """Elementwise function between layers."""
    compute_dtype: str = static(
        "float32", choices=("float32", "bfloat16"), needs=(_DEFAULT, _LAYERS)
    )
    """Precision of the feature extractors; parameters and output layers stay float32."""


@settings
class ValueNetworkSettings(TorsoSettings):
    """Settings of networks that value actions, and of the policies beside them."""

    hidden_sizes: tuple[int, ...] = static((256, 256), minimum=1, maximum=2**20)
    """Widths of the dense layers."""
    activation: str = static("relu", choices=tuple(ACTIVATIONS))
    """Elementwise function between layers."""
    layer_norm: bool = static(False, needs=(_DEFAULT, _LAYERS))
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

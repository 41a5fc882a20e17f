"""Settings of the default networks."""

from jaxrl.networks.torsos import ACTIVATIONS
from jaxrl.settings import settings, static


@settings
class TorsoSettings:
    """What extracts features from observations."""

    torso: str = static("auto", choices=("auto", "mlp", "cnn"))
    """Feature extractor; auto takes cnn for [height, width, channels] observations."""
    hidden_sizes: tuple[int, ...] = static((64, 64), minimum=1, maximum=2**20)
    """Widths of the dense layers."""
    activation: str = static("tanh", choices=tuple(ACTIVATIONS))
    """Elementwise function between layers."""
    compute_dtype: str = static("float32", choices=("float32", "bfloat16"))
    """Precision of the feature extractors; parameters and output layers stay float32."""

"""Generalised state-dependent exploration (gSDE, Raffin et al. 2021)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl.distributions import DiagonalGaussian, TanhGaussian, distribution_dataclass
from jaxrl.exploration.protocol import Exploration
from jaxrl.types import Key


@distribution_dataclass
class StateDependentGaussian:
    """A Gaussian whose noise is linear in the policy's features (gSDE, Raffin et al. 2021).

    An action is `mean + features @ (noise * exp(log_std))` with a standard normal noise matrix that
    is kept for several steps; over the matrix's draw, it has the law of the diagonal Gaussian with
    variance `features**2 @ exp(log_std)**2` (equation 8), which `marginal` gives.

    Attributes:
        mean: [..., D].
        features: [..., H]; no gradient flows through them into the variance.
        log_std: [H, D].
    """

    mean: Float[Array, "*batch D"]
    features: Float[Array, "*batch H"]
    log_std: Float[Array, "*batch H D"]

    def marginal(self) -> DiagonalGaussian:
        """The law of one action, [..., D]."""
        squares = jnp.square(jax.lax.stop_gradient(self.features))
        # The constant keeps the logarithm finite where every feature is zero (SB3 does the same).
        variances = jnp.exp(2 * self.log_std)
        variance = jnp.einsum("...h,...hd->...d", squares, variances, precision="highest") + 1e-6
        return DiagonalGaussian(mean=self.mean, log_std=0.5 * jnp.log(variance))

    def sample_with(self, noise: Float[Array, "H D"]) -> Float[Array, "*batch D"]:
        """The action that a standard normal noise matrix gives."""
        scaled = noise * jnp.exp(self.log_std)
        return self.mean + jnp.einsum(
            "...h,...hd->...d", self.features, scaled, precision="highest"
        )

    def sample(self, key: Key) -> Float[Array, "*batch D"]:
        """Draws an action from the marginal, [..., D]."""
        return self.marginal().sample(key)

    def mode(self) -> Float[Array, "*batch D"]:
        """The mean, [..., D]."""
        return self.mean

    def log_probability(self, action: Float[Array, "*batch D"]) -> Float[Array, "*batch"]:
        """Log-density of the marginal, [...]."""
        return self.marginal().log_probability(action)

    def entropy(self) -> Float[Array, "*batch"]:
        """Entropy of the marginal in nats, [...]."""
        return self.marginal().entropy()

    def kl_divergence(self, other: "StateDependentGaussian") -> Float[Array, "*batch"]:
        """KL(self || other) of the marginals, [...]."""
        return self.marginal().kl_divergence(other.marginal())


@distribution_dataclass
class SquashedStateDependentGaussian:
    """A `StateDependentGaussian` squashed into finite bounds by a tanh, as a `TanhGaussian` is.

    Attributes:
        base: before the squashing.
        low: broadcasts to the actions.
        high: likewise.
    """

    base: StateDependentGaussian
    low: Float[Array, "*#batch #D"] | float
    high: Float[Array, "*#batch #D"] | float

    def marginal(self) -> TanhGaussian:
        """The law of one action, [..., D]."""
        base = self.base.marginal()
        return TanhGaussian(mean=base.mean, log_std=base.log_std, low=self.low, high=self.high)

    def sample_with(self, noise: Float[Array, "H D"]) -> Float[Array, "*batch D"]:
        """The action that a standard normal noise matrix gives."""
        return self.marginal().squash(self.base.sample_with(noise))

    def sample_and_log_probability(
        self, key: Key
    ) -> tuple[Float[Array, "*batch D"], Float[Array, "*batch"]]:
        """Draws from the marginal an action, [..., D], and its log-density, [...]."""
        return self.marginal().sample_and_log_probability(key)

    def mode(self) -> Float[Array, "*batch D"]:
        """The squashed mean, [..., D]."""
        return self.marginal().mode()


class NoiseMatrix(NamedTuple):
    """One environment's gSDE noise.

    Attributes:
        noise: [H, D], standard normal.
        age: int32 (), steps since it was drawn.
    """

    noise: Float[Array, "*batch H D"]
    age: Int[Array, "*batch"]


def state_dependent_noise(num_features: int, action_size: int, *, interval: int) -> Exploration:
    """gSDE: the noise matrix is drawn at an episode's start and then every `interval` steps.

    Args:
        num_features: H, of the policy's last hidden layer.
        action_size: D.
        interval: steps for which one noise matrix is kept.
    """

    def start(key: Key) -> NoiseMatrix:
        return NoiseMatrix(
            noise=jax.random.normal(key, (num_features, action_size), jnp.float32), age=jnp.int32(0)
        )

    def sample(key: Key, carry: NoiseMatrix, distribution: Any) -> tuple[NoiseMatrix, Array]:
        old = carry.age >= interval
        noise = jnp.where(old, start(key).noise, carry.noise)
        age = jnp.where(old, 0, carry.age) + 1
        return NoiseMatrix(noise=noise, age=age), distribution.sample_with(noise)

    return Exploration(start=start, sample=sample)

"""Action distributions: frozen pytrees of their parameters, with the same method names on all.

The last axis of a parameter is the event (or category) axis; every axis before it is batch. Actions
must have exactly the batch shape of the parameters: to score many actions under one distribution,
vmap. `kl_divergence(other)` is KL(self || other).
"""

import dataclasses
import itertools
import math
from typing import TypeVar, dataclass_transform

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxrl.types import Key

T = TypeVar("T")


def mask_logits(
    logits: Float[Array, "*batch K"], mask: Bool[Array, "*#batch K"]
) -> Float[Array, "*batch K"]:
    """Forbids the categories whose `mask` is False.

    Their probability becomes exactly 0 and no gradient reaches their logits. The mask value is the
    dtype's lowest finite number and not minus infinity, so that the log-probability of a forbidden
    action is finite and a log-ratio of two of them is not NaN.

    Args:
        logits: one per category; of a `MultiCategorical`, concatenated.
        mask: True where the category is allowed. A row without any allowed category becomes the
            uniform distribution over all of them: keep at least one allowed.

    Returns:
        The masked logits.

    Source: Huang and Ontañón (2022), "A Closer Look at Invalid Action Masking in Policy Gradient
    Algorithms".
    """
    chex.assert_equal_shape_suffix([logits, mask], 1)
    return jnp.where(mask, logits, jnp.finfo(logits.dtype).min)


@dataclass_transform(frozen_default=True)
def distribution_dataclass(cls: type[T]) -> type[T]:
    """Makes a class a frozen dataclass and a pytree."""
    # JAX also builds one from placeholders (eval_shape, in_axes), which no shape check would pass.
    cls.__no_type_check__ = True  # pyright: ignore[reportAttributeAccessIssue]
    return jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True)(cls))


@distribution_dataclass
class Categorical:
    """The integers 0 .. K - 1 with probabilities softmax(logits); actions are int32 [*batch]."""

    logits: Float[Array, "*batch K"]

    def sample(self, key: Key) -> Int[Array, "*batch"]:
        """Draws one action per row by inverting the distribution function; consumes the key.

        One uniform number per row costs less than the Gumbel trick's one per category. Its 23 bits
        are the resolution: probabilities are exact to 2**-23, and 0 stays exactly 0.
        """
        uniform = jax.random.uniform(key, self.logits.shape[:-1], jnp.float32)[..., None]
        probability = jax.nn.softmax(self.logits.astype(jnp.float32))
        # A parallel prefix sum may round two neighbours differently across a category of
        # probability 0, which would let it be drawn: such categories never win, nor set the total.
        cumulative = jnp.where(probability > 0, jnp.cumsum(probability, axis=-1), 0.0)
        threshold = uniform * jnp.max(cumulative, axis=-1, keepdims=True)
        return jnp.argmax(threshold < cumulative, axis=-1).astype(jnp.int32)

    def mode(self) -> Int[Array, "*batch"]:
        """The most probable action; the lowest one of equals."""
        return jnp.argmax(self.logits, axis=-1).astype(jnp.int32)

    def log_probability(self, action: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
        """The log-probability of an action; NaN where it is no category.

        Such an action is a mistake, and not an event of probability 0: minus infinity would make a
        probability ratio of 0 of it, which a clipped loss passes over in silence.
        """
        chex.assert_shape(action, self.logits.shape[:-1])
        size = self.logits.shape[-1]
        log_probability = jax.nn.log_softmax(self.logits)
        # A gather's gradient is a scatter, which on the CPU costs a third of a network's gradient.
        categories = jnp.broadcast_to(jnp.arange(size, dtype=jnp.int32), self.logits.shape)
        chosen = categories == action[..., None]
        total = jnp.sum(jnp.where(chosen, log_probability, 0.0), axis=-1)
        return jnp.where((action >= 0) & (action < size), total, jnp.nan)

    def probabilities(self) -> Float[Array, "*batch K"]:
        """Probability of every category, [*batch, K]."""
        return jax.nn.softmax(self.logits)

    def entropy(self) -> Float[Array, "*batch"]:
        """-sum_k p_k log p_k, where 0 log 0 is 0; in nats."""
        log_probability = jax.nn.log_softmax(self.logits)
        probability = jnp.exp(log_probability)
        information = jnp.where(probability > 0, log_probability, 0.0)
        return -jnp.sum(probability * information, axis=-1)

    def kl_divergence(self, other: "Categorical") -> Float[Array, "*batch"]:
        """sum_k p_k (log p_k - log q_k); huge or infinite where `other` masks what p allows."""
        chex.assert_equal_shape([self.logits, other.logits])
        log_probability = jax.nn.log_softmax(self.logits)
        difference = log_probability - jax.nn.log_softmax(other.logits)
        probability = jnp.exp(log_probability)
        return jnp.sum(probability * jnp.where(probability > 0, difference, 0.0), axis=-1)


@distribution_dataclass
class MultiCategorical:
    """A product of n independent categoricals; actions are int32 [*batch, n].

    The logits of all factors lie behind one another on the last axis, num_categories[i] of them for
    the i-th factor.
    """

    logits: Float[Array, "*batch sum_K"]
    num_categories: tuple[int, ...] = dataclasses.field(metadata={"static": True})

    def factors(self) -> tuple[Categorical, ...]:
        """The n categoricals of which this is the product."""
        chex.assert_axis_dimension(self.logits, -1, sum(self.num_categories))
        ends = itertools.accumulate(self.num_categories)
        return tuple(
            Categorical(self.logits[..., end - size : end])
            for end, size in zip(ends, self.num_categories, strict=True)
        )

    def sample(self, key: Key) -> Int[Array, "*batch n"]:
        """Draws one action per row; consumes the key."""
        keys = jax.random.split(key, len(self.num_categories))
        actions = [factor.sample(keys[i]) for i, factor in enumerate(self.factors())]
        return jnp.stack(actions, axis=-1)

    def mode(self) -> Int[Array, "*batch n"]:
        """The most probable action."""
        return jnp.stack([factor.mode() for factor in self.factors()], axis=-1)

    def log_probability(self, action: Int[Array, "*batch n"]) -> Float[Array, "*batch"]:
        """The log-probability of an action, the sum over the factors."""
        chex.assert_shape(action, (*self.logits.shape[:-1], len(self.num_categories)))
        factors = enumerate(self.factors())
        return sum(
            (factor.log_probability(action[..., i]) for i, factor in factors),
            start=jnp.zeros(self.logits.shape[:-1], self.logits.dtype),
        )

    def entropy(self) -> Float[Array, "*batch"]:
        """The sum of the factors' entropies; in nats."""
        return sum(
            (factor.entropy() for factor in self.factors()),
            start=jnp.zeros(self.logits.shape[:-1], self.logits.dtype),
        )

    def kl_divergence(self, other: "MultiCategorical") -> Float[Array, "*batch"]:
        """The sum of the factors' divergences."""
        factors = zip(self.factors(), other.factors(), strict=True)
        return sum(
            (factor.kl_divergence(other_factor) for factor, other_factor in factors),
            start=jnp.zeros(self.logits.shape[:-1], self.logits.dtype),
        )


@distribution_dataclass
class DiagonalGaussian:
    """Independent normals with standard deviations exp(log_std); actions are float [*batch, D].

    `log_std` may lack batch axes or have ones in them: it broadcasts to the mean's shape.
    """

    mean: Float[Array, "*batch D"]
    log_std: Float[Array, "*#batch #D"]

    def sample(self, key: Key) -> Float[Array, "*batch D"]:
        """Draws one action per row, differentiable in the parameters; consumes the key."""
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + jnp.exp(self._full_log_std()) * noise

    def mode(self) -> Float[Array, "*batch D"]:
        """The mean."""
        return self.mean

    def log_probability(self, action: Float[Array, "*batch D"]) -> Float[Array, "*batch"]:
        """-sum_i [((a_i - mean_i) / std_i)^2 / 2 + log std_i + log(2 pi) / 2]."""
        chex.assert_equal_shape([action, self.mean])
        return -jnp.sum(_information(action, self.mean, self._full_log_std()), axis=-1)

    def entropy(self) -> Float[Array, "*batch"]:
        """sum_i [log std_i + log(2 pi e) / 2]; in nats, and negative where std is small."""
        return jnp.sum(self._full_log_std() + 0.5 * math.log(2 * math.pi * math.e), axis=-1)

    def kl_divergence(self, other: "DiagonalGaussian") -> Float[Array, "*batch"]:
        """sum_i [log(s_q / s_p) + (s_p^2 + (mean_p - mean_q)^2) / (2 s_q^2) - 1/2]."""
        return jnp.sum(self.divergences(other), axis=-1)

    def divergences(self, other: "DiagonalGaussian") -> Float[Array, "*batch D"]:
        """The terms of `kl_divergence`, one of each dimension."""
        chex.assert_equal_shape([self.mean, other.mean])
        log_std, other_log_std = self._full_log_std(), other._full_log_std()
        log_ratio = log_std - other_log_std
        standardised = (self.mean - other.mean) * jnp.exp(-other_log_std)
        # expm1 keeps the digits where the two are close, as successive policies are.
        return 0.5 * jnp.square(standardised) + 0.5 * jnp.expm1(2 * log_ratio) - log_ratio

    def _full_log_std(self) -> Float[Array, "*batch D"]:
        return jnp.broadcast_to(self.log_std, self.mean.shape)


def _information(
    x: Float[Array, "*batch D"], mean: Float[Array, "*batch D"], log_std: Float[Array, "*#batch #D"]
) -> Float[Array, "*batch D"]:
    """Minus the logarithm of normal densities."""
    standardised = (x - mean) * jnp.exp(-log_std)
    return 0.5 * jnp.square(standardised) + log_std + 0.5 * math.log(2 * math.pi)


@distribution_dataclass
class TanhGaussian:
    """A diagonal Gaussian x squashed into finite bounds; actions are float [*batch, D].

    action = low + (high - low) (tanh(x) + 1) / 2, with x ~ Normal(mean, exp(log_std)).

    There is no `entropy`: it has no closed form. Use -log_probability of a sample. A dimension
    whose bounds are equal is constant: densities are those of the others.

    Source: Haarnoja et al. (2018), "Soft Actor-Critic Algorithms and Applications", appendix C; the
    density here includes the scale to [low, high], which the paper leaves at [-1, 1].
    """

    mean: Float[Array, "*batch D"]
    log_std: Float[Array, "*#batch #D"]
    low: Float[Array, "*#batch #D"] | float
    high: Float[Array, "*#batch #D"] | float

    def sample(self, key: Key) -> Float[Array, "*batch D"]:
        """Draws one action per row, differentiable in the parameters; consumes the key."""
        return self.squash(self._base().sample(key))

    def sample_and_log_probability(
        self, key: Key
    ) -> tuple[Float[Array, "*batch D"], Float[Array, "*batch"]]:
        """Draws an action and its log-density; consumes the key.

        Exact also where the action rounds to a bound, for it never inverts the tanh.
        """
        unsquashed = self._base().sample(key)
        return self.squash(unsquashed), self._log_density(unsquashed)

    def mode(self) -> Float[Array, "*batch D"]:
        """The squashed mean: the median of each dimension, which the density's peak need not be."""
        return self.squash(self.mean)

    def log_probability(self, action: Float[Array, "*batch D"]) -> Float[Array, "*batch"]:
        """The log-density at `action`, by inverting the squashing.

        An action on a bound, or so near that float32 cannot tell, is moved inside by one rounding
        error of the unit interval; prefer `sample_and_log_probability` for one's own samples.
        """
        chex.assert_equal_shape([action, self.mean])
        low, _, width = self._full_bounds()
        unit = 2 * (action - low) / jnp.where(width > 0, width, 1.0) - 1
        limit = 1 - float(jnp.finfo(self.mean.dtype).eps)
        return self._log_density(jnp.arctanh(jnp.clip(unit, -limit, limit)))

    def kl_divergence(self, other: "TanhGaussian") -> Float[Array, "*batch"]:
        """That of the Gaussians inside: a shared squashing keeps it. Both need the same bounds."""
        divergences = self._base().divergences(other._base())
        return jnp.sum(jnp.where(self._full_bounds()[2] > 0, divergences, 0.0), axis=-1)

    def squash(self, x: Float[Array, "*batch D"]) -> Float[Array, "*batch D"]:
        """The action that a value of the Gaussian inside becomes."""
        low, high, width = self._full_bounds()
        scaled = low + width * 0.5 * (jnp.tanh(x) + 1)
        # Rounding in the line above may step over a bound by the last digit.
        return jnp.clip(scaled, low, high)

    def _base(self) -> DiagonalGaussian:
        return DiagonalGaussian(self.mean, self.log_std)

    def _full_bounds(self) -> tuple[Array, Array, Array]:
        """Low, high and what lies between, each [*batch, D]."""
        bounds = (jnp.asarray(bound, self.mean.dtype) for bound in (self.low, self.high))
        low, high = (jnp.broadcast_to(bound, self.mean.shape) for bound in bounds)
        return low, high, high - low

    def _log_density(self, x: Float[Array, "*batch D"]) -> Float[Array, "*batch"]:
        # log(1 - tanh(x)^2) = 2 (log 2 - x - softplus(-2x)), which stays finite for large |x|.
        log_slope = 2 * (math.log(2) - x - jax.nn.softplus(-2 * x))
        width = self._full_bounds()[2]
        log_half_range = jnp.log(0.5 * jnp.where(width > 0, width, 1.0))
        information = _information(x, self.mean, self.log_std) + log_slope + log_half_range
        return -jnp.sum(jnp.where(width > 0, information, 0.0), axis=-1)
